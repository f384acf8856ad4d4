// One side of bench/kernels.ts, a process of its own as the choice of products is made once: operations for each CPU second of products with
// one thread, as JSON. Arguments: the shapes as JSON, the kinds by commas, seconds for each.

import { createRandom } from '../../src/core/index.ts'
import {
  blockLinear,
  Generator,
  keepPackedBlocks,
  linear,
  noGrad,
  packedLinear,
  packInt8,
  packNf4,
  peakRate,
  randn,
  scope,
  setThreads,
  Tensor,
} from '../../src/tensor/index.ts'

export interface Shape {
  rows: number
  depth: number
  columns: number
}
/** Operations for each CPU second, by kind, in the order of the shapes. */
export interface Rates {
  peaks: Record<string, number>
  rates: Record<string, number[]>
}

const blockBytes: Record<string, [values: number, bytes: number]> = {
  Q4_0: [32, 18],
  Q4_1: [32, 20],
  Q8_0: [32, 34],
  Q4_K: [256, 144],
  Q6_K: [256, 210],
}

/** Blocks whose float16 scales are small: the speed depends on nothing else. */
const blocksOf = (format: string, { depth, columns }: Shape): Tensor => {
  const [values, bytes] = blockBytes[format]
  const random = createRandom(1)
  const data = Uint8Array.from({ length: (columns * depth * bytes) / values }, () => Math.floor(random.float() * 128))
  return Tensor.from(data, { shape: [columns, data.length / columns] })
}

/** The product of a kind for a shape, or nothing where the kind does not take it. */
const productOf = (kind: string, shape: Shape): (() => unknown) | undefined => {
  const { rows, depth, columns } = shape
  const input = randn([rows, depth], { generator: new Generator(1) })
  if (kind in blockBytes) {
    if (depth % blockBytes[kind][0] !== 0) return undefined
    const blocks = blocksOf(kind, shape)
    keepPackedBlocks(blocks, kind)
    return () => blockLinear(input, blocks, kind)
  }
  const weight = randn([columns, depth], { generator: new Generator(2) })
  if (kind === 'int8' || kind === 'nf4') {
    const [codes, scales] = (kind === 'int8' ? packInt8 : packNf4)(weight)
    return () => packedLinear(input, codes, [scales], columns, null)
  }
  const [x, w] = [input, weight].map((t) => t.to(kind as 'float32'))
  return () => linear(x, w)
}

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** The best of some turns, each long enough for the clock of the process. */
const rateOf = (product: () => unknown, { rows, depth, columns }: Shape, seconds: number): number => {
  const operations = 2 * rows * depth * columns
  const run = () => scope(() => void product())
  run()
  let best = 0
  let times = 1
  for (let turn = 0; turn < 5; ) {
    const start = cpuSeconds()
    for (let i = 0; i < times; i++) run()
    const taken = cpuSeconds() - start
    if (taken < seconds / 5) {
      times *= 2
      continue
    }
    best = Math.max(best, (operations * times) / taken)
    turn++
  }
  return best
}

if (process.argv.length > 2) {
  const [shapes, kinds, seconds] = process.argv.slice(2)
  setThreads(1)
  const peaks = Object.fromEntries(
    ['float32', 'bfloat16', 'int8', 'bfloat16-tiles', 'int8-tiles'].map((kind) => [kind, peakRate(kind)]),
  )
  const rates: Record<string, number[]> = {}
  noGrad(() => {
    for (const kind of kinds.split(','))
      rates[kind] = (JSON.parse(shapes) as Shape[]).map((shape) =>
        scope(() => {
          const product = productOf(kind, shape)
          return product === undefined ? 0 : rateOf(product, shape, Number(seconds))
        }),
      )
  })
  console.log(JSON.stringify({ peaks, rates } satisfies Rates))
}
