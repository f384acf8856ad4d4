// Products of ever new shapes, as batches without padding have them: prints the process's memory after 100 and after 500.
import { linear, scope, setThreads, Tensor } from '../../src/tensor/index.ts'

setThreads(1)
const [outputs, inputs] = [1536, 384]
const half = (shape: [number, number]) =>
  Tensor.from(new Float32Array(shape[0] * shape[1]).fill(0.01), { shape }).to({ dtype: 'bfloat16' })
const weight = half([outputs, inputs])
weight.requiresGrad = true
const rssMb: number[] = []
for (let count = 1; count <= 500; count++) {
  scope(() => {
    linear(half([64 + count, inputs]), weight)
      .to({ dtype: 'float32' })
      .sum()
      .backward()
    weight.grad = undefined
  })
  if (count === 100 || count === 500) rssMb.push(Math.round(process.memoryUsage.rss() / 1e6))
}
console.log(JSON.stringify({ rssMb }))
