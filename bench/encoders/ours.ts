// Our side of bench/encoders.ts: texts to vectors.
//   ours.ts MODEL TEXTS.json OUT COUNT THREADS int8|q8_0|float32
import { open } from '../../src/inference/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { measureEncoder } from './measure.ts'

const [model, file, out, count, threads, weights] = process.argv.slice(2)
setThreads(Number(threads))
const encoder = await open(model, {
  head: 'embedding',
  ...(weights === 'int8' || weights === 'q8_0' ? { weights } : {}),
})
await measureEncoder({ file, out, count: Number(count) }, (texts) => encoder.embed(texts))
