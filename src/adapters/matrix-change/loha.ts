// LoHa: the change is the elementwise product of two low-rank matrices, so that its rank may be the product of theirs.
import { z } from 'zod'
import type { Named } from '../../core/index.ts'
import { adapterFields, defineAdapter } from '../adapter.ts'
import { numberField } from '../peft/format.ts'
import { targetsField } from '../targets.ts'
import { attachMatrices, initializeUniform, type MatrixMethod, modulesOf } from './layer.ts'
import { matrixFiles } from './peft-files.ts'

const schema = z.strictObject({
  targets: targetsField,
  rank: z.int().min(1).max(4096).default(8).describe('rank of each of the two low-rank matrices'),
  alpha: z.number().positive().default(8).describe('scaling: the change is multiplied by alpha / rank'),
  ...adapterFields,
})
type LohaConfig = z.output<Named<'loha', typeof schema>>

const methodOf = ({ rank, alpha }: LohaConfig): MatrixMethod => ({
  shapes: (outputs, inputs) => ({
    w1Left: [outputs, rank],
    w1Right: [rank, inputs],
    w2Left: [outputs, rank],
    w2Right: [rank, inputs],
  }),
  initialize({ w1Left, w1Right, w2Left, w2Right }, generator) {
    for (const tensor of [w1Left, w1Right, w2Left]) initializeUniform(tensor, generator)
    w2Right.zero_()
  },
  change: () => ({
    matrix: ({ w1Left, w1Right, w2Left, w2Right }) =>
      w1Left
        .matmul(w1Right)
        .mul(w2Left.matmul(w2Right))
        .mul(alpha / rank),
  }),
})

export const loha = defineAdapter({
  type: 'loha',
  source: 'arXiv:2108.06098',
  config: schema,
  learningRate: 1e-3,
  family: 'lora',
  plan: (model, config, { generator }) => attachMatrices(modulesOf(model, config.targets), methodOf(config), generator),
  peft: matrixFiles<LohaConfig>({
    type: 'LOHA',
    suffixes: { w1Left: '.hada_w1_a', w1Right: '.hada_w1_b', w2Left: '.hada_w2_a', w2Right: '.hada_w2_b' },
    fields: ['r', 'alpha', 'rank_dropout', 'module_dropout'],
    write: ({ rank, alpha }) => ({ r: rank, alpha, rank_dropout: 0, module_dropout: 0 }),
    read: (file, targets) => ({
      type: 'loha',
      targets,
      rank: numberField(file, 'r', 8),
      alpha: numberField(file, 'alpha', 8),
    }),
    method: methodOf,
  }),
})
