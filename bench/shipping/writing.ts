// What writing a 124M model costs, beside a copy of the model's file, in turns: wall-clock and CPU time of each format, with the
// hashes of its files, until they are on the disk (fsync), and the largest anonymous memory of the process while it writes. The
// memory of the open model, which is mapped from its file, is not anonymous.
import {
  closeSync,
  copyFileSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { saveModel } from '../../src/checkpoint/index.ts'
import { chooseTarget } from '../../src/export/index.ts'
import { openSource } from '../../src/export/open-source.ts'
import { buildModel, models } from '../../src/models/index.ts'
import { Generator } from '../../src/tensor/index.ts'

import { median, printTable } from '../side-by-side.ts'

type Say = (values: object) => void

const anonymous = (): number => 1024 * Number(/RssAnon:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])

/** Samples the anonymous memory of the process every 2 ms from another thread. */
const watchMemory = async (): Promise<() => Promise<number>> => {
  const peak = new Float64Array(new SharedArrayBuffer(8))
  const worker = new Worker(
    `const { workerData } = require('node:worker_threads'); const { readFileSync } = require('node:fs')
    const read = () => { const now = 1024 * Number(/RssAnon:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]); if (now > workerData[0]) workerData[0] = now }
    setInterval(read, 2)`,
    { eval: true, workerData: peak },
  )
  await new Promise((resolve) => worker.once('online', resolve))
  return async () => {
    await worker.terminate()
    return peak[0]
  }
}

/** Flushes a file, or all files of a folder, to the disk. */
const flush = (path: string): void => {
  if (statSync(path).isDirectory()) for (const name of readdirSync(path)) flush(join(path, name))
  const file = openSync(path, 'r')
  fsyncSync(file)
  closeSync(file)
}

/** Seconds of wall-clock and CPU time. */
const timed = async (body: () => void | Promise<void>): Promise<{ wall: number; cpu: number }> => {
  const [started, before] = [performance.now(), process.cpuUsage()]
  await body()
  const { user, system } = process.cpuUsage(before)
  return { wall: (performance.now() - started) / 1e3, cpu: (user + system) / 1e6 }
}

const formats = ['merged', 'gguf:f16', 'gguf:q8_0', 'gguf:q4_k_m', 'onnx', 'onnx:fp16', 'onnx:q8', 'onnx:q4']

/** Writes the formats in turn with copies of the model's file. @param tokenizer folder of a byte-level BPE tokenizer */
export const writing = async (root: string, tokenizer: string, smoke: boolean, say: Say): Promise<void> => {
  const folder = join(root, 'gpt2-124m')
  const config = models.gpt2.adjust(smoke ? models.gpt2.presets.test : models.gpt2.presets.small, { vocabSize: 50257 })
  const built = buildModel(models.gpt2, config, 'causal-lm').initialize({ std: 0.02, generator: new Generator(1) })
  await saveModel(built.eval(), folder, { tokenizer })
  for (const tensor of new Set(built.parameters().values())) tensor.free()
  const source = await openSource({ model: folder })
  const [file, copied, out] = [join(folder, 'model.safetensors'), join(root, 'copy'), join(root, 'written')]
  const largest = Math.max(...[...source.model.parameters().values()].map(({ size }) => 4 * size))
  const rows = new Map<string, Record<string, number>[]>()
  const round = (value: number) => Number(value.toFixed(2))
  for (let turn = 0; turn < (smoke ? 1 : 3); turn++)
    for (const name of formats) {
      const copy = await timed(() => {
        copyFileSync(file, copied)
        flush(copied)
      })
      rmSync(copied)
      const { target, variant } = chooseTarget(name)
      mkdirSync(out)
      global.gc?.()
      const before = anonymous()
      const stop = await watchMemory()
      const written = await timed(async () => {
        await target.write(source, variant, out, { note: () => {}, onHash: () => {} })
        flush(out)
      })
      const peak = await stop()
      rmSync(out, { recursive: true })
      const row = {
        megabytes: Math.round(statSync(file).size / 1e6),
        copy: round(copy.wall),
        seconds: round(written.wall),
        timesCopy: round(written.wall / copy.wall),
        copyCpu: round(copy.cpu),
        cpu: round(written.cpu),
        timesCopyCpu: round(written.cpu / copy.cpu),
        addedMb: Math.round((peak - before) / 1e6),
        limitMb: Math.round((1.5 * largest) / 1e6 + 300),
      }
      say({ format: name, ...row })
      rows.set(name, [...(rows.get(name) ?? []), row])
    }
  const columns = Object.keys(rows.get(formats[0])?.[0] ?? {})
  printTable([
    ['median of', ...columns],
    ...[...rows].map(([name, some]) => [name, ...columns.map((column) => median(some.map((row) => row[column])))]),
  ])
}
