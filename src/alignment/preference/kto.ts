// KTO: completions that were found good or bad, each by itself. Its baseline, an estimate of the KL divergence from completions of
// other prompts, is computed over the global batch before the loss. @source arXiv:2402.01306
import { z } from 'zod'
import { rowKey } from '../../checkpoint/index.ts'
import { CheckpointError, ConfigError, sha256 } from '../../core/index.ts'
import { contextLength, type Model } from '../../models/index.ts'
import type {
  CarriedState,
  CollateOptions,
  Criterion,
  LossOptions,
  LossTerm,
  Metric,
  PrepareContext,
  ShownTokens,
} from '../../objectives/index.ts'
import { noGrad, scope, Tensor, widened, wideTensor } from '../../tensor/index.ts'
import {
  type CompletionBatch,
  type CompletionTokens,
  collateCompletions,
  completionLength,
  completionLogProbs,
  type TokenLogProbs,
  wideSumByCompletion,
} from '../log-probs.ts'
import type { Reference } from '../reference.ts'
import { scoreCompletions } from '../score-completions.ts'
import { betaField, followFields, type RatingDefinition, syncOf } from './objective.ts'
import { expectReference, lessLikely, lowVarianceKl, shareAbove } from './pair-criterion.ts'
import {
  describeCompletion,
  MetricSums,
  preparedOf,
  type RatedCompletion,
  ReferenceSync,
  showCompletion,
} from './pairs.ts'

const weightField = (kind: string) =>
  z.number().positive().default(1).describe(`weight of ${kind} answers; make up for unequal numbers of both`)

const config = z.strictObject({
  beta: betaField(0.1),
  desirableWeight: weightField('good'),
  undesirableWeight: weightField('bad'),
  baseline: z
    .enum(['kl', 'none'])
    .default('kl')
    .describe(
      'rewards are compared with: kl (estimated over the batch, two forward passes) or none (0, as unpaired APO-zero)',
    ),
  ...followFields,
})
type Config = z.output<typeof config>

/** Rated completions in a batch; S is their number, N that of their tokens. */
interface RatingBatch extends CompletionBatch {
  /** float32 [N] */
  reference: Tensor
  /** float64 [S]: 1 for good completions, -1 for bad ones. */
  signs: Tensor
  /** float64 [S] */
  weights: Tensor
  /** float64 [S] */
  lengths: Tensor
  /** float64 [S] */
  baselines: Tensor
  good: number
}

const preferenceTerm = 'preference'

const carriedSchema = z.strictObject({ syncedAt: z.int().nonnegative() })

const samePrompt = (a: CompletionTokens, b: CompletionTokens): boolean =>
  a.promptTokens === b.promptTokens && a.ids.subarray(0, a.promptTokens).every((id, i) => id === b.ids[i])

/**
 * Each prompt with a completion of another prompt of the batch. The partner depends on the contents, the seed and the step, and not
 * on the order of the batch.
 */
export const mismatchedPairs = (
  examples: readonly CompletionTokens[],
  context: Pick<PrepareContext, 'seed' | 'step'>,
  maxLength: number,
): CompletionTokens[] => {
  const keyed = examples.map((example) => ({
    example,
    key: sha256(`${context.seed}/${context.step}/${rowKey([example.ids, Uint32Array.of(example.promptTokens)])}`),
  }))
  keyed.sort((a, b) => (a.key < b.key ? -1 : 1))
  return keyed.flatMap(({ example }, i): CompletionTokens[] => {
    let step = 1
    const after = () => keyed[(i + step) % keyed.length].example
    while (step < keyed.length && samePrompt(after(), example)) step++
    if (step === keyed.length) return []
    const partner = after()
    const { promptTokens } = example
    const completion = partner.ids.subarray(partner.promptTokens).subarray(0, Math.max(0, maxLength - promptTokens))
    if (completion.length === 0) return []
    const ids = new Uint32Array(promptTokens + completion.length)
    ids.set(example.ids.subarray(0, promptTokens))
    ids.set(completion, promptTokens)
    return [{ ids, starts: [0], promptTokens }]
  })
}

const totalOf = (values: readonly Float32Array[]): number => {
  let total = 0
  for (const list of values) for (const value of list) total += value
  return total
}

class RatingCriterion implements Criterion<RatedCompletion> {
  readonly unpadded = true
  readonly #config: Config
  readonly #reference: Reference
  readonly #sync: ReferenceSync
  readonly #maxLength: number | undefined

  constructor(settings: Config, reference: Reference, maxLength: number | undefined) {
    this.#config = settings
    this.#reference = reference
    this.#sync = new ReferenceSync(reference, syncOf(settings))
    this.#maxLength = maxLength
  }

  get carried(): CarriedState | undefined {
    const sync = this.#sync
    if (!sync.active) return undefined
    return {
      save: () => ({ syncedAt: sync.syncedAt }),
      load: (state) => {
        const read = carriedSchema.safeParse(state)
        if (!read.success) throw new CheckpointError('Expected the state of KTO in the checkpoint, got another one.')
        sync.syncedAt = read.data.syncedAt
      },
      tensors: () => sync.tensors(),
    }
  }

  tokens({ ids }: RatedCompletion): number {
    return ids.length
  }

  weights(): Record<string, number> {
    return { [preferenceTerm]: 1 }
  }

  trainedTokens(example: RatedCompletion): number {
    return completionLength(example)
  }

  get preparesWithModel(): boolean {
    return this.#config.baseline === 'kl' || this.#reference.readsPolicy
  }

  async prepare(examples: readonly RatedCompletion[], context: PrepareContext): Promise<readonly RatedCompletion[]> {
    const { model, microTokens, padded, device, share } = context
    const how = { microTokens, padded, device, share }
    this.#sync.update(context)
    const reference = await this.#reference.logProbs(examples, how)
    let baseline = 0
    if (this.#config.baseline === 'kl') {
      const maxLength = this.#maxLength ?? contextLength(model) ?? Number.POSITIVE_INFINITY
      const mismatched = mismatchedPairs(examples, context, maxLength)
      if (mismatched.length === 0)
        throw new ConfigError(
          `The baseline of KTO needs answers to different prompts in a batch, got ${examples.length} with one prompt: raise \`batch.sequences\`, or set \`baseline\` to none.`,
        )
      const policy = await scoreCompletions(model, mismatched, how)
      const sums = totalOf(policy.map(({ logProbs }) => logProbs))
      const divergence = sums - totalOf(await this.#reference.logProbs(mismatched, how))
      baseline = Math.max(0, divergence / mismatched.length)
    }
    return examples.map((example, i) => ({ ...example, prepared: { reference: reference[i], baseline } }))
  }

  collate(examples: readonly RatedCompletion[], how: CollateOptions): RatingBatch {
    const batch = collateCompletions(examples, how)
    const { desirableWeight, undesirableWeight } = this.#config
    const reference = new Float32Array(batch.targets.size)
    let at = 0
    for (const example of examples) {
      const own = preparedOf(example).reference
      reference.set(own, at)
      at += own.length
    }
    const perExample = (value: (example: RatedCompletion) => number) =>
      wideTensor(Float64Array.from(examples, value), { device: how.device })
    return {
      ...batch,
      reference: Tensor.from(reference, { device: how.device }),
      signs: perExample(({ good }) => (good ? 1 : -1)),
      weights: perExample(({ good }) => (good ? desirableWeight : undesirableWeight)),
      lengths: perExample((example) => Math.max(1, completionLength(example))),
      baselines: perExample((example) => preparedOf(example).baseline),
      good: examples.filter(({ good }) => good).length,
    }
  }

  describe(example: RatedCompletion, decode: (ids: readonly number[]) => string): string {
    return `${example.good ? 'good' : 'bad'}: ${describeCompletion(example, decode)}`
  }

  show(example: RatedCompletion): ShownTokens[] {
    return [showCompletion(example, { name: example.good ? 'good' : 'bad' })]
  }

  loss(
    model: Model,
    given: Parameters<Criterion['loss']>[1],
    how: Pick<LossOptions, 'onLabelLosses'> = {},
  ): { terms: LossTerm[]; metrics: Record<string, Metric> } {
    const batch = given as RatingBatch
    const tokens = completionLogProbs(model, batch)
    how.onLabelLosses?.(noGrad(() => tokens.logProbs.neg()))
    const ratio = wideSumByCompletion(widened(tokens.logProbs).sub(batch.reference), batch) // [S]
    const above = ratio.sub(batch.baselines).mul(batch.signs)
    const losses = above.mul(this.#config.beta).sigmoid().neg().add(1).mul(batch.weights)
    const weight = batch.counts.length
    return {
      terms: [{ name: preferenceTerm, sum: losses.sum().to('float32'), weight, scale: 1 }],
      metrics: noGrad(() => scope(() => this.#metrics(ratio.detach(), above.detach(), tokens, batch))),
    }
  }

  #metrics(ratio: Tensor, above: Tensor, tokens: TokenLogProbs, batch: RatingBatch): Record<string, Metric> {
    const { good, signs, counts, lengths, reference } = batch
    const completionTokens = counts.reduce((sum, count) => sum + count, 0)
    const policy = wideSumByCompletion(tokens.logProbs.detach(), batch)
    const sums = new MetricSums(counts.length)
    for (const [name, only, count] of [
      ['Chosen', signs.gt(0), good],
      ['Rejected', signs.lt(0), counts.length - good],
    ] as const) {
      const those = (values: Tensor) => values.mul(only)
      sums.add(`reward${name}`, those(ratio).mul(this.#config.beta), count)
      sums.add(`logProb${name}`, those(policy), count)
      sums.add(`logProbPerToken${name}`, those(policy.div(lengths)), count)
      sums.add(`length${name}`, those(lengths), count)
    }
    sums.add('accuracy', shareAbove(above))
    sums.add('displaced', lessLikely(ratio).logicalAnd(signs.gt(0)), good)
    sums.add('klBaseline', batch.baselines)
    sums.add('entropy', tokens.entropy, completionTokens)
    sums.add('klPerToken', lowVarianceKl(tokens.logProbs, reference), completionTokens)
    return sums.read()
  }
}

const declaration = { type: 'kto', reference: true } as const

export const kto: RatingDefinition<typeof config, 'kto'> = {
  ...declaration,
  source: 'arXiv:2402.01306',
  summary: 'Kahneman-Tversky optimisation: answers that were rated good or bad, without pairs',
  config,
  data: 'ratings',
  learningRate: 1e-6,
  lossAtReference: ({ desirableWeight, undesirableWeight }, goodShare) =>
    (goodShare * desirableWeight + (1 - goodShare) * undesirableWeight) / 2,
  criterion: (settings, context) => {
    const reference = expectReference(declaration, context)
    if (reference === undefined) throw new ConfigError('`kto` needs a reference model: pass one.')
    return new RatingCriterion(settings, reference, context.maxLength)
  },
}
