// One timed training run in a process of its own: `train.ts --model gpt2 --dtype bfloat16 --steps 8 [--from DIR]`.
// With --from it starts from weights and batches that bench/peers/curves.py wrote, so that losses can be compared.
// Prints one JSON line.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  type Dtype,
  Generator,
  getThreads,
  linear,
  liveTensors,
  mapFile,
  ones,
  randint,
  randn,
  scope,
  setThreads,
  type Tensor,
  tensor,
  zeros,
} from '../../src/tensor/index.ts'
import { type Batch, bert, gpt2, type ModelSize } from './models.ts'
import { Parameters } from './parameters.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'gpt2' },
    dtype: { type: 'string', default: 'bfloat16' },
    steps: { type: 'string', default: '8' },
    warmup: { type: 'string', default: '2' },
    from: { type: 'string' },
    threads: { type: 'string' },
    ceiling: { type: 'boolean', default: false },
  },
})

const configs = {
  gpt2: {
    build: gpt2,
    batch: 4,
    length: 512,
    share: 1,
    learningRate: 3e-4,
    size: { layers: 12, hidden: 768, heads: 12, mlp: 3072, vocab: 50257, paddedVocab: 50304, positions: 512 },
  },
  'bert-base': {
    build: bert,
    batch: 16,
    length: 128,
    share: 0.15,
    learningRate: 1e-4,
    size: { layers: 12, hidden: 768, heads: 12, mlp: 3072, vocab: 30522, paddedVocab: 30528, positions: 512 },
  },
  tiny: {
    build: gpt2,
    batch: 2,
    length: 32,
    share: 1,
    learningRate: 1e-3,
    size: { layers: 2, hidden: 64, heads: 2, mlp: 256, vocab: 1000, paddedVocab: 1024, positions: 32 },
  },
  'tiny-bert': {
    build: bert,
    batch: 2,
    length: 32,
    share: 0.15,
    learningRate: 1e-3,
    size: { layers: 2, hidden: 64, heads: 2, mlp: 256, vocab: 1000, paddedVocab: 1024, positions: 32 },
  },
} satisfies Record<
  string,
  { build: typeof gpt2; batch: number; length: number; share: number; learningRate: number; size: ModelSize }
>

const config = configs[values.model as keyof typeof configs]
if (config === undefined) throw new Error(`Expected --model ${Object.keys(configs).join(', ')}, got ${values.model}.`)
if (values.threads !== undefined) setThreads(Number(values.threads))
const steps = Number(values.steps)
const generator = new Generator(1)

interface Exported {
  tensors: Record<string, { shape: number[]; offset: number }>
  batches: { offset: number; steps: number; batch: number; length: number }
}
const from = values.from
const manifest =
  from === undefined ? undefined : (JSON.parse(readFileSync(join(from, 'manifest.json'), 'utf8')) as Exported)
const file = from !== undefined && existsSync(join(from, 'data.bin')) ? mapFile(join(from, 'data.bin')) : undefined

const initial = (name: string, shape: readonly number[]): Tensor => {
  const given = manifest?.tensors[name]
  if (manifest !== undefined && file !== undefined) {
    if (given === undefined) throw new Error(`${from} has no ${name}`)
    const made = zeros(shape)
    const read = file.tensor(given.offset, given.shape, 'float32')
    made.narrow(0, 0, given.shape[0]).copy_(read)
    return made
  }
  if (shape.length > 1) return randn(shape, { generator }).mul(0.02).detach()
  return name.includes('norm') && name.endsWith('weight') ? ones(shape) : zeros(shape)
}

const parameters = new Parameters(values.dtype as Dtype, initial)
const model = config.build(parameters, config.size)
const { batch, length } = config

const makeBatch = (step: number): Batch => {
  if (manifest !== undefined && file !== undefined) {
    const row = manifest.batches
    const bytes = row.batch * row.length * 8
    const at = row.offset + (step % row.steps) * 2 * bytes
    const ids = file.tensor(at, [row.batch, row.length], 'int64')
    const targets = file.tensor(at + bytes, [row.batch * row.length], 'int64')
    return config.share === 1 ? { ids, targets } : { ids, targets, positions: targets.ne(-100).nonzero().view([-1]) }
  }
  const ids = randint(0, config.size.vocab, [batch, length], { dtype: 'int64', generator })
  const targets = randint(0, config.size.vocab, [batch * length], { dtype: 'int64', generator })
  if (config.share === 1) return { ids, targets }
  const positions = tensor(
    Int32Array.from({ length: Math.round(batch * length * config.share) }, (_, i) => Math.floor(i / config.share)),
    { dtype: 'int64' },
  )
  return { ids, targets, positions }
}

/** The step's products of one shape, by whichever product of this machine is the fastest. */
interface Products {
  count: number
  run: () => unknown
}

const millisecondsOf = (run: () => unknown): number => {
  const started = performance.now()
  scope(() => void run())
  return performance.now() - started
}

const ceilingProducts = (): Products[] =>
  model.products(batch, length, Math.round(batch * length * config.share)).map(([m, k, n, count]) => {
    const dtypes: Dtype[] = ['float32', 'bfloat16']
    const ways = dtypes.flatMap((dtype) => {
      const [a, b] = [randn([m, k], { dtype }), randn([n, k], { dtype })]
      return [() => linear(a, b), () => a.mm(b.t())]
    })
    const best = ways.map((run) => Math.min(...Array.from({ length: 4 }, () => millisecondsOf(run))))
    return { count, run: ways[best.indexOf(Math.min(...best))] }
  })

/**
 * Milliseconds that the step's matrix products alone take: forward, and both gradients, which have the same cost. The mean of some runs, as a
 * step contains what disturbs them too.
 */
const measureCeiling = (products: readonly Products[]): number =>
  products.reduce((total, { count, run }) => {
    const runs = 4
    let sum = 0
    for (let i = 0; i < runs; i++) sum += millisecondsOf(run)
    return total + (3 * count * sum) / runs
  }, 0)

const times: number[] = []
const losses: number[] = []
const live: number[] = []
const products = values.ceiling ? ceilingProducts() : []
const ceilings: number[] = []
let faults = 0
let flops = 0
for (let step = 0; step < steps; step++) {
  const started = performance.now()
  const usage = process.resourceUsage()
  const loss = scope(() => {
    const rows = makeBatch(step)
    const sum = model.loss(rows)
    sum.backward()
    const weight = rows.positions?.size ?? rows.targets.ne(-100).sum().item()
    parameters.step(weight, { learningRate: config.learningRate, weightDecay: 0.01, betas: [0.9, 0.999] })
    flops = model.products(batch, length, weight).reduce((total, [m, k, n, times]) => total + 6 * m * k * n * times, 0)
    return sum.item() / weight
  })
  times.push(performance.now() - started)
  // Right after the step, as a shared machine is faster in one minute than in the next.
  if (values.ceiling) ceilings.push(measureCeiling(products) / times[step])
  losses.push(loss)
  live.push(liveTensors())
  faults = process.resourceUsage().minorPageFault - usage.minorPageFault
}

const median = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]

const warm = Math.min(Number(values.warmup), times.length - 1)
const kept = times.slice(warm)
const status = readFileSync('/proc/self/status', 'utf8')
const peakMb = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024
const ms = median(kept)
console.log(
  JSON.stringify({
    model: values.model,
    dtype: values.dtype,
    parameters: parameters.count,
    batch,
    length,
    steps,
    msPerStep: ms,
    tokensPerSecond: (batch * length * 1000) / ms,
    gflopPerSecond: flops / ms / 1e6,
    ceilingShare: values.ceiling ? median(ceilings.slice(warm)) : undefined,
    peakMb: Math.round(peakMb),
    liveTensors: [live[0], live.at(-1)],
    minorFaultsLastStep: faults,
    threads: getThreads(),
    losses,
  }),
)
