// What writing a 124M model costs: CPU time of each format beside that of a copy of the model's bytes, in turns, and the largest
// anonymous memory of the process while it writes. The memory of the open model, which is mapped from its file, is not
// anonymous.
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { saveModel } from '../../src/checkpoint/index.ts'
import { chooseTarget } from '../../src/export/index.ts'
import { openSource } from '../../src/export/open-source.ts'
import { buildModel, models } from '../../src/models/index.ts'
import { Generator } from '../../src/tensor/index.ts'

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

const cpuSeconds = (before: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

/** Writes the formats in turn with copies of the model's file. @param tokenizer folder of a byte-level BPE tokenizer */
export const writing = async (root: string, tokenizer: string, smoke: boolean, say: Say): Promise<void> => {
  const folder = join(root, 'gpt2-124m')
  const config = models.gpt2.adjust(smoke ? models.gpt2.presets.test : models.gpt2.presets.small, { vocabSize: 50257 })
  const built = buildModel(models.gpt2, config, 'causal-lm').initialize({ std: 0.02, generator: new Generator(1) })
  await saveModel(built.eval(), folder, { tokenizer })
  for (const tensor of new Set(built.parameters().values())) tensor.free()
  const source = await openSource({ model: folder })
  const file = join(folder, 'model.safetensors')
  const largest = Math.max(...[...source.model.parameters().values()].map(({ size }) => 4 * size))
  for (let round = 0; round < (smoke ? 1 : 3); round++)
    for (const name of ['merged', 'gguf:f16', 'gguf:q8_0', 'onnx', 'onnx:fp16', 'onnx:q8']) {
      const copied = process.cpuUsage()
      copyFileSync(file, join(root, 'copy'))
      const copy = cpuSeconds(copied)
      rmSync(join(root, 'copy'))
      const { target, variant } = chooseTarget(name)
      const out = join(root, 'written')
      mkdirSync(out)
      global.gc?.()
      const before = anonymous()
      const stop = await watchMemory()
      const started = process.cpuUsage()
      await target.write(source, variant, out, { note: () => {} })
      const cpu = cpuSeconds(started)
      const peak = await stop()
      rmSync(out, { recursive: true })
      say({
        format: name,
        megabytes: Math.round(statSync(file).size / 1e6),
        copyCpu: copy.toFixed(2),
        cpu: cpu.toFixed(2),
        timesCopy: (cpu / copy).toFixed(1),
        addedMb: Math.round((peak - before) / 1e6),
        peakMb: Math.round(peak / 1e6),
        limitMb: Math.round((1.5 * largest) / 1e6 + 300),
      })
    }
}
