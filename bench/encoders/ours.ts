// Our side of bench/encoders.ts: texts to vectors, which are written as float32; one JSON line.
//   ours.ts MODEL TEXTS.json OUT COUNT THREADS q8_0|float32
import { readFileSync, writeFileSync } from 'node:fs'
import { open } from '../../src/inference/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import type { EncoderRun } from '../encoders.ts'

const [model, file, out, count, threads, weights] = process.argv.slice(2)
setThreads(Number(threads))
const texts = JSON.parse(readFileSync(file, 'utf8')) as string[]
const encoder = await open(model, weights === 'q8_0' ? { head: 'embedding', weights } : { head: 'embedding' })
// Both sides warm up on what is not measured.
const held = await encoder.embed(texts.slice(Number(count)))
const [wall, cpu] = [performance.now(), process.cpuUsage()]
const vectors = await encoder.embed(texts.slice(0, Number(count)))
const { user, system } = process.cpuUsage(cpu)
const seconds = (performance.now() - wall) / 1000
writeFileSync(
  out,
  Buffer.concat([...vectors, ...held].map((one) => Buffer.from(one.buffer, one.byteOffset, one.byteLength))),
)
console.log(JSON.stringify({ seconds, cpuSeconds: (user + system) / 1e6, width: held[0].length } satisfies EncoderRun))
