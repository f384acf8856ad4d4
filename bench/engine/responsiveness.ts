// Trains in a worker while the main thread measures its own event loop, idle and while it runs forward passes on the very
// weights that are being trained. Prints one JSON line: a row for each case.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { startWorker } from '../../src/core/index.ts'
import {
  Generator,
  noGrad,
  ones,
  randint,
  randn,
  type SharedTensor,
  scope,
  setThreads,
  Tensor,
  zeros,
} from '../../src/tensor/index.ts'
import { gpt2, type ModelSize } from './models.ts'
import { Parameters } from './parameters.ts'

interface Setting {
  size: ModelSize
  batch: number
  length: number
  steps: number
  threads: number
}

type Message = { weights: Record<string, SharedTensor> } | { losses: number[]; msPerStep: number }

const train = ({ size, batch, length, steps, threads }: Setting) => {
  setThreads(threads)
  const generator = new Generator(1)
  const initial = (name: string, shape: readonly number[]) => {
    if (shape.length > 1) return randn(shape, { generator }).mul(0.02)
    return name.includes('norm') && name.endsWith('weight') ? ones(shape) : zeros(shape)
  }
  const parameters = new Parameters('float32', initial)
  const model = gpt2(parameters, size)
  parentPort?.postMessage({
    weights: Object.fromEntries([...parameters.working].map(([name, weight]) => [name, weight.share()])),
  })
  const losses: number[] = []
  const started = performance.now()
  for (let step = 0; step < steps; step++)
    losses.push(
      scope(() => {
        const ids = randint(0, size.vocab, [batch, length], { dtype: 'int64', generator })
        const targets = randint(0, size.vocab, [batch * length], { dtype: 'int64', generator })
        const loss = model.loss({ ids, targets })
        loss.backward()
        parameters.step(batch * length, { learningRate: 3e-4, weightDecay: 0.01, betas: [0.9, 0.999] })
        return loss.item() / (batch * length)
      }),
    )
  parentPort?.postMessage({ losses, msPerStep: (performance.now() - started) / steps })
}

/** Runs one training worker; with `forward`, a pass over the live weights every 200 ms on this thread. */
const measure = (setting: Setting, forward: boolean) =>
  new Promise<{ losses: number[]; row: Record<string, string | number> }>((fulfil, reject) => {
    const delay = monitorEventLoopDelay({ resolution: 10 })
    const passes: number[] = []
    let timer: NodeJS.Timeout | undefined
    let finite = true
    const worker = startWorker(new URL(import.meta.url), { workerData: setting })
    worker.on('error', reject)
    worker.on('message', (message: Message) => {
      if ('weights' in message) {
        const weights = new Map(Object.entries(message.weights).map(([name, shared]) => [name, Tensor.adopt(shared)]))
        const live = new Parameters('float32', (name) => weights.get(name) as Tensor)
        const model = forward ? gpt2(live, setting.size) : undefined
        delay.enable()
        if (model === undefined) return
        timer = setInterval(() => {
          const started = performance.now()
          const loss = scope(() =>
            noGrad(() => {
              const ids = zeros([1, 16], { dtype: 'int64' })
              return model.loss({ ids, targets: zeros([16], { dtype: 'int64' }) }).item()
            }),
          )
          finite &&= Number.isFinite(loss)
          passes.push(performance.now() - started)
        }, 200)
        return
      }
      delay.disable()
      clearInterval(timer)
      passes.sort((a, b) => a - b)
      const ms = (ns: number) => (ns / 1e6).toFixed(1)
      fulfil({
        losses: message.losses,
        row: {
          main: forward ? 'forward passes on the live weights' : 'idle',
          threads: setting.threads,
          'ms/step': message.msPerStep.toFixed(1),
          'delay p50 ms': ms(delay.percentile(50)),
          'delay p99 ms': ms(delay.percentile(99)),
          'delay max ms': ms(delay.max),
          passes: passes.length,
          'pass p50 ms': passes.length > 0 ? passes[passes.length >> 1].toFixed(1) : '-',
          finite: String(finite),
        },
      })
    })
  })

if (isMainThread) {
  const smoke = process.argv.includes('--smoke')
  setThreads(1)
  const small = { layers: 2, hidden: 64, heads: 2, mlp: 256, vocab: 1000, paddedVocab: 1024, positions: 64 }
  const real = { layers: 6, hidden: 384, heads: 6, mlp: 1536, vocab: 8192, paddedVocab: 8192, positions: 256 }
  const base = smoke
    ? { size: small, batch: 2, length: 64, steps: 2 }
    : { size: real, batch: 4, length: 256, steps: 40 }
  const rows: Record<string, string | number>[] = []
  let alone: number[] | undefined
  for (const threads of [2, 1])
    for (const forward of [false, true]) {
      const { losses, row } = await measure({ ...base, threads }, forward)
      // With the same thread count the training must not notice the reader.
      if (!forward) alone = losses
      row['losses unchanged'] = forward ? String(losses.every((loss, i) => loss === alone?.[i])) : '-'
      rows.push(row)
    }
  console.log(JSON.stringify(rows))
} else train(workerData as Setting)
