// LoKr: the change is the Kronecker product of two small matrices, of which large ones are products of narrow ones.
import { z } from 'zod'
import type { Named } from '../../core/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import { adapterFields, defineAdapter } from '../adapter.ts'
import { numberField } from '../peft/format.ts'
import { targetsField } from '../targets.ts'
import type { Tensors } from './layer.ts'
import { attachMatrices, initializeUniform, type MatrixMethod, modulesOf } from './layer.ts'
import { matrixFiles } from './peft-files.ts'

const schema = z.strictObject({
  targets: targetsField,
  rank: z.int().min(1).max(4096).default(8).describe('rank of the factors that are products of narrow matrices'),
  alpha: z.number().positive().default(8).describe('scaling: the change is multiplied by alpha / rank'),
  decomposeBoth: z
    .boolean()
    .default(false)
    .describe('make a product of narrow matrices of the left, smaller factor too, where it is large enough'),
  factor: z
    .int()
    .min(-1)
    .refine((value) => value !== 0, 'Expected -1 or a size of at least 1, got 0.')
    .default(-1)
    .describe('size of the left factor, at most; -1: as near the root of the width as a divisor is'),
  ...adapterFields,
})
type LokrConfig = z.output<Named<'lokr', typeof schema>>

/**
 * Two factors of a number, the smaller one first: near `factor`, or near the root of the number with -1.
 * @source peft/tuners/lokr/layer.py, factorization
 */
const factorize = (size: number, factor: number): [smaller: number, larger: number] => {
  if (factor > 0 && size % factor === 0) return [factor, size / factor]
  const most = factor === -1 ? size : factor
  let [m, n] = [1, size]
  while (m < n) {
    let next = m + 1
    while (size % next !== 0) next++
    if (next + size / next > 1 + size || next > most) break
    ;[m, n] = [next, size / next]
  }
  return m > n ? [n, m] : [m, n]
}

/** The sizes of both factors, and which of them are products. */
const layoutOf = ({ rank, decomposeBoth, factor }: LokrConfig, outputs: number, inputs: number) => {
  const [left, right] = [factorize(outputs, factor), factorize(inputs, factor)]
  return {
    w1: [left[0], right[0]],
    w2: [left[1], right[1]],
    w1Narrow: decomposeBoth && rank < Math.max(left[0], right[0]) / 2,
    w2Narrow: rank < Math.max(left[1], right[1]) / 2,
  }
}

const methodOf = (config: LokrConfig): MatrixMethod => {
  const { rank, alpha } = config
  const pairOf = (name: string, [rows, columns]: number[], narrow: boolean): Record<string, readonly number[]> =>
    narrow ? { [`${name}Left`]: [rows, rank], [`${name}Right`]: [rank, columns] } : { [name]: [rows, columns] }
  return {
    shapes: (outputs, inputs) => {
      const { w1, w2, w1Narrow, w2Narrow } = layoutOf(config, outputs, inputs)
      return { ...pairOf('w1', w1, w1Narrow), ...pairOf('w2', w2, w2Narrow) }
    },
    initialize(tensors, generator) {
      for (const [name, tensor] of Object.entries(tensors))
        if (name === 'w1' || name === 'w1Left') tensor.zero_()
        else initializeUniform(tensor, generator)
    },
    change: (outputs, inputs) => ({
      matrix: (tensors) => {
        const [first, second] = [factorOf(tensors, 'w1'), factorOf(tensors, 'w2')]
        // Kronecker product: [A,1,C,1] · [1,B,1,D].
        const product = first.unsqueeze(1).unsqueeze(3).mul(second.unsqueeze(0).unsqueeze(2))
        return product.reshape([outputs, inputs]).mul(alpha / rank)
      },
    }),
  }
}

const factorOf = (tensors: Tensors, name: string): Tensor =>
  tensors[name] ?? tensors[`${name}Left`].matmul(tensors[`${name}Right`])

export const lokr = defineAdapter({
  type: 'lokr',
  source: 'arXiv:2309.14859',
  config: schema,
  learningRate: 1e-3,
  family: 'lora',
  plan: (model, config, { generator }) => attachMatrices(modulesOf(model, config.targets), methodOf(config), generator),
  peft: matrixFiles<LokrConfig>({
    type: 'LOKR',
    suffixes: {
      w1: '.lokr_w1',
      w1Left: '.lokr_w1_a',
      w1Right: '.lokr_w1_b',
      w2: '.lokr_w2',
      w2Left: '.lokr_w2_a',
      w2Right: '.lokr_w2_b',
    },
    fields: [
      'r',
      'alpha',
      'decompose_both',
      'decompose_factor',
      'rank_dropout',
      'module_dropout',
      'rank_dropout_scale',
    ],
    write: ({ rank, alpha, decomposeBoth, factor }) => ({
      r: rank,
      alpha,
      decompose_both: decomposeBoth,
      decompose_factor: factor,
      rank_dropout: 0,
      module_dropout: 0,
    }),
    read: (file, targets) => ({
      type: 'lokr',
      targets,
      rank: numberField(file, 'r', 8),
      alpha: numberField(file, 'alpha', 8),
      decomposeBoth: file.fields.decompose_both === true,
      factor: numberField(file, 'decompose_factor', -1),
    }),
    method: methodOf,
  }),
})
