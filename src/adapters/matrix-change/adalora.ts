// AdaLoRA: low-rank changes as singular vectors and values, of which the least important are dropped during training, so that
// matrices that need it keep a higher rank.
import { z } from 'zod'
import { CheckpointError, ConfigError, type Named, show } from '../../core/index.ts'
import { noGrad, type Tensor, tensor } from '../../tensor/index.ts'
import { type Attachment, adapterFields, defineAdapter, type TrainingFacts } from '../adapter.ts'
import { expectNoBias, numberField, type PeftFile } from '../peft/format.ts'
import type { NamedLinear } from '../peft/names.ts'
import { targetsField } from '../targets.ts'
import type { MatrixLayer, Tensors } from './layer.ts'
import { attachMatrices, type MatrixMethod, modulesOf } from './layer.ts'
import { matrixFiles } from './peft-files.ts'
import {
  fullMasks,
  keptIn,
  orthogonality,
  RankAllocation,
  type RankMasks,
  type RankSchedule,
} from './rank-allocation.ts'

const decay = () => z.number().gt(0).lt(1).default(0.85)

const schema = z.strictObject({
  targets: targetsField,
  targetRank: z.int().min(1).max(4096).default(8).describe('average rank of the matrices after the allocation'),
  initialRank: z.int().min(1).max(4096).default(12).describe('rank of each matrix at the start'),
  alpha: z.number().positive().default(16).describe('scaling: the change is multiplied by alpha / initialRank'),
  warmupSteps: z.int().min(0).optional().describe('steps before ranks are reduced (default: a tenth of the run)'),
  finalSteps: z
    .int()
    .min(0)
    .optional()
    .describe('steps at the end, with ranks as they are (default: three tenths of the run)'),
  interval: z.int().min(1).default(1).describe('steps between two allocations'),
  sensitivityDecay: decay().describe('decay of the average importance of a component'),
  uncertaintyDecay: decay().describe('decay of the average change of that importance'),
  orthogonality: z
    .number()
    .min(0)
    .default(0.5)
    .describe('factor of the loss term that keeps singular vectors orthogonal; 0 disables it'),
  ...adapterFields,
})
type AdaLoraConfig = z.output<Named<'adalora', typeof schema>>

/** The ranks of an adapter, and when they are allocated. */
interface Ranks {
  masks: RankMasks
  schedule: RankSchedule
}

/** Of each attachment: its files have them. */
const ranksOf = new WeakMap<Attachment, Ranks>()

/** Whether the tensors have the kept components only. */
const isPruned = (mask: Tensor, { singular }: Tensors): boolean => singular.shape[0] !== mask.shape[0]

/** @param masks of an adapter in files, whose tensors have the kept components only */
const methodOf = ({ initialRank, alpha }: AdaLoraConfig, masks?: RankMasks): MatrixMethod => {
  const rankOf = ({ theirs }: NamedLinear) => {
    const mask = masks?.get(theirs)
    return mask === undefined ? initialRank : keptIn(mask).filter((kept) => kept).length
  }
  return {
    shapes: (outputs, inputs, module) => {
      const rank = rankOf(module)
      return { right: [rank, inputs], singular: [rank, 1], left: [outputs, rank] }
    },
    initialize({ right, singular, left }, generator) {
      right.normal_(0, 0.02, { generator })
      left.normal_(0, 0.02, { generator })
      singular.zero_()
    },
    // PEFT adds the constant for layers without a rank.
    change: () => ({
      factors: ({ right, singular, left }) => ({
        left,
        right: right.mul(singular).mul(alpha / (initialRank + 1e-5)),
      }),
    }),
  }
}

const scheduleFor = ({ warmupSteps, finalSteps }: AdaLoraConfig, total: number): RankSchedule => {
  const warmup = warmupSteps ?? Math.floor(total / 10)
  const final = finalSteps ?? Math.floor((3 * total) / 10)
  if (warmup >= total - final)
    throw new ConfigError(
      `\`adalora\` needs steps in which ranks are reduced, got ${warmup} steps of warmup and ${final} at the end of a run of ${total}. Lower \`adapter.warmupSteps\` or \`adapter.finalSteps\`, or train for longer.`,
    )
  return { warmup, final, total }
}

/** The matrices of an attachment by module, each with the path of its layer. */
const matricesOf = ({ placements }: Attachment) => {
  const seen = new Set<Tensor>()
  return placements.flatMap(({ path, adapter }) => {
    const { tensors } = adapter as MatrixLayer
    if (seen.has(tensors.singular)) return []
    seen.add(tensors.singular)
    return [{ path, tensors }]
  })
}

const beginTraining = (
  attachment: Attachment,
  config: AdaLoraConfig,
  { totalSteps, parameters }: TrainingFacts,
): ReturnType<NonNullable<Attachment['beginTraining']>> => {
  const ranks = ranksOf.get(attachment) as Ranks
  const matrices = matricesOf(attachment)
  const penalty = {
    name: 'orthogonality',
    scale: config.orthogonality,
    loss: () =>
      orthogonality(matricesOf(attachment).flatMap(({ tensors }) => (tensors.singular.size > 0 ? [tensors] : []))),
  }
  const withPenalty = config.orthogonality > 0 ? { penalty } : {}
  const names = [...ranks.masks.keys()]
  // An adapter whose ranks were allocated before is trained with these.
  if (matrices.some(({ tensors }, i) => isPruned(ranks.masks.get(names[i]) as Tensor, tensors))) return withPenalty
  if (!Number.isFinite(totalSteps))
    throw new ConfigError(
      '`adalora` needs a known number of steps, as ranks are reduced on a schedule: set `budget.steps`, `budget.tokens` or `budget.epochs` instead of minutes.',
    )
  ranks.schedule = scheduleFor(config, totalSteps)
  const pathOf = new Map([...parameters].map(([path, tensor]) => [tensor, path]))
  const allocated = matrices.map(({ tensors }, i) => ({
    name: names[i],
    mask: ranks.masks.get(names[i]) as Tensor,
    paths: {
      left: pathOf.get(tensors.left) as string,
      singular: pathOf.get(tensors.singular) as string,
      right: pathOf.get(tensors.right) as string,
    },
  }))
  const allocation = new RankAllocation(allocated, parameters, ranks.schedule, config)
  return {
    ...withPenalty,
    afterUpdate: (update) => allocation.update(update),
    tensors: () => allocation.tensors(),
  }
}

const withRanks = (attachment: Attachment, config: AdaLoraConfig, ranks: Ranks): Attachment => {
  const whole: Attachment = { ...attachment, beginTraining: (facts) => beginTraining(whole, config, facts) }
  ranksOf.set(whole, ranks)
  return whole
}

/** Steps that a file sets; without them, those of an adapter that is trained follow from the run. */
const stepsIn = (file: PeftFile): Pick<AdaLoraConfig, 'warmupSteps' | 'finalSteps'> => {
  const [warmupSteps, finalSteps] = [numberField(file, 'tinit', 0), numberField(file, 'tfinal', 0)]
  return { ...(warmupSteps > 0 && { warmupSteps }), ...(finalSteps > 0 && { finalSteps }) }
}

const unallocated: RankSchedule = { warmup: 0, final: 0, total: 1 }

/** The masks of a file, by module; without them all components are kept. */
const masksIn = (file: PeftFile, modules: readonly NamedLinear[], rank: number): RankMasks => {
  const given = file.fields.rank_pattern ?? {}
  const known = new Map(Object.entries(given as Record<string, unknown>))
  return new Map(
    modules.map(({ theirs }) => {
      const kept = known.get(`${theirs}.lora_E`) ?? Array<boolean>(rank).fill(true)
      if (!Array.isArray(kept) || kept.length !== rank || kept.some((one) => typeof one !== 'boolean'))
        throw new CheckpointError(
          `${file.path}: Expected ${rank} times true or false for ${theirs} in \`rank_pattern\`, got ${show(kept)}.`,
        )
      return [theirs, noGrad(() => tensor(kept.map(Number), { dtype: 'float32' }).keep())]
    }),
  )
}

export const adalora = defineAdapter({
  type: 'adalora',
  source: 'arXiv:2303.10512',
  config: schema,
  learningRate: 1e-3,
  family: 'lora',
  plan: (model, config, { generator }) => {
    if (config.targetRank > config.initialRank)
      throw new ConfigError(
        `Expected \`adapter.targetRank\` of at most \`adapter.initialRank\`, got ${config.targetRank} and ${config.initialRank}. Raise the initial rank.`,
      )
    const modules = modulesOf(model, config.targets)
    const masks = fullMasks(
      modules.map(({ theirs }) => theirs),
      config.initialRank,
    )
    return withRanks(attachMatrices(modules, methodOf(config), generator), config, { masks, schedule: unallocated })
  },
  peft: matrixFiles<AdaLoraConfig>({
    type: 'ADALORA',
    suffixes: { right: '.lora_A', singular: '.lora_E', left: '.lora_B' },
    fields: [
      'r',
      'lora_alpha',
      'lora_dropout',
      'target_r',
      'init_r',
      'tinit',
      'tfinal',
      'deltaT',
      'beta1',
      'beta2',
      'orth_reg_weight',
      'total_step',
      'rank_pattern',
      'bias',
      'init_lora_weights',
    ],
    hasLayout: true,
    write: (config, attachment) => {
      const { masks, schedule } = ranksOf.get(attachment) as Ranks
      const kept = [...masks].map(([name, mask]) => [`${name}.lora_E`, keptIn(mask)] as const)
      const isWhole = kept.every(([, all]) => all.every((one) => one))
      return {
        target_r: config.targetRank,
        init_r: config.initialRank,
        lora_alpha: config.alpha,
        lora_dropout: 0,
        tinit: schedule.warmup,
        tfinal: schedule.final,
        total_step: schedule.total,
        deltaT: config.interval,
        beta1: config.sensitivityDecay,
        beta2: config.uncertaintyDecay,
        orth_reg_weight: config.orthogonality,
        init_weights: undefined,
        init_lora_weights: true,
        rank_pattern: isWhole ? null : Object.fromEntries(kept),
        bias: 'none',
      }
    },
    stored: (name, tensors, attachment) => {
      const mask = (ranksOf.get(attachment) as Ranks).masks.get(name) as Tensor
      if (isPruned(mask, tensors)) return tensors
      const kept = keptIn(mask).flatMap((one, i) => (one ? [i] : []))
      const index = tensor(kept, { dtype: 'int64', device: tensors.left.device })
      const { right, singular, left } = tensors
      return {
        right: right.indexSelect(0, index),
        singular: singular.indexSelect(0, index),
        left: left.indexSelect(1, index),
      }
    },
    read: (file, targets) => {
      expectNoBias(file)
      return {
        type: 'adalora',
        targets,
        targetRank: numberField(file, 'target_r', 8),
        initialRank: numberField(file, 'init_r', 12),
        alpha: numberField(file, 'lora_alpha', 8),
        ...stepsIn(file),
        interval: numberField(file, 'deltaT', 1),
        sensitivityDecay: numberField(file, 'beta1', 0.85),
        uncertaintyDecay: numberField(file, 'beta2', 0.85),
        orthogonality: numberField(file, 'orth_reg_weight', 0.5),
      }
    },
    method: (config, modules, file) =>
      methodOf(config, file === undefined ? undefined : masksIn(file, modules, config.initialRank)),
    attached: (config, attachment, modules, file) =>
      withRanks(attachment, config, {
        masks: masksIn(file, modules, config.initialRank),
        schedule: {
          warmup: config.warmupSteps ?? 0,
          final: config.finalSteps ?? 0,
          total: numberField(file, 'total_step', 1),
        },
      }),
  }),
})
