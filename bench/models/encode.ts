// Our side of the encoder benchmark, a process of its own: runs batches through a model and prints one JSON line.
// Arguments: folder, file of batches, fixed | padded | packed, runs, threads.
import { readFileSync } from 'node:fs'
import { loadModel } from '../../src/checkpoint/index.ts'
import { inferenceMode, scope, setThreads, Tensor } from '../../src/tensor/index.ts'
import type { Batches } from './batches.ts'

const [folder, file, mode, runs, threads] = process.argv.slice(2)
setThreads(Number(threads))
const model = await loadModel(folder, { head: 'embedding', headOptions: { pooling: 'mean' } })
const { fixed, mixed } = JSON.parse(readFileSync(file, 'utf8')) as Batches
const batches = mode === 'fixed' ? [fixed] : mixed

const int64 = (values: number[], shape: number[]) => Tensor.from(BigInt64Array.from(values, BigInt), { shape })

const inputsOf = (rows: number[][]) => {
  if (mode === 'packed') {
    const starts = [0]
    for (const ids of rows) starts.push(starts[starts.length - 1] + ids.length)
    const ids = rows.flat()
    return { inputIds: int64(ids, [1, ids.length]), starts: int64(starts, [starts.length]) }
  }
  const length = Math.max(...rows.map((ids) => ids.length))
  const pad = (ids: number[]) => [...ids, ...new Array<number>(length - ids.length).fill(0)]
  const shape = [rows.length, length]
  const attentionMask = rows.flatMap((ids) => pad(ids.map(() => 1)))
  return { inputIds: int64(rows.flatMap(pad), shape), attentionMask: int64(attentionMask, shape) }
}

const run = (rows: number[][]): Float32Array =>
  inferenceMode(() => scope(() => model.forward(inputsOf(rows)).logits.toFloat32Array()))

for (const rows of batches.slice(0, 2)) run(rows)
const seconds: number[] = []
const cpuSeconds: number[] = []
let sample: number[] = []
for (let i = 0; i < Number(runs); i++) {
  const cpu = process.cpuUsage()
  const start = performance.now()
  for (const [b, rows] of batches.entries()) {
    const vectors = run(rows)
    if (b === 0) sample = [...vectors.subarray(0, 4)]
  }
  seconds.push((performance.now() - start) / 1000)
  const used = process.cpuUsage(cpu)
  cpuSeconds.push((used.user + used.system) / 1e6)
}
const examples = batches.reduce((sum, rows) => sum + rows.length, 0)
console.log(JSON.stringify({ seconds, cpuSeconds, examples, sample }))
