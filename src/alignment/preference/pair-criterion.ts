// The criterion of objectives on pairs: both completions of a pair in one forward pass, log-probabilities under the reference and what
// depends on the whole global batch before it. Independent of the objective's formula and of the kind of reference.
import { z } from 'zod'
import { CheckpointError, ConfigError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import {
  type CarriedState,
  type CollateOptions,
  type Criterion,
  type LossOptions,
  type LossTerm,
  type Metric,
  type PrepareContext,
  type ShownTokens,
  sharesPrompts,
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
import type {
  BatchLogProbs,
  PairDefinition,
  PairObjective,
  PairSide,
  PairValues,
  PreferenceContext,
  PreferenceDefinition,
} from './objective.ts'
import {
  describeCompletion,
  MetricSums,
  type PreferencePair,
  preparedOf,
  ReferenceSync,
  showCompletion,
} from './pairs.ts'

/** A batch of P pairs with N scored tokens; completions are in the order chosen, rejected, chosen … */
interface PairBatch extends CompletionBatch {
  pairs: number
  /** float32 [N]: log-probabilities under the reference; undefined without one. */
  reference: Tensor | undefined
  /** float64 [N]: weights of the tokens in the sums; undefined where all count once. */
  weights: Tensor | undefined
  /** float64 [N]: 1 at completion tokens; undefined where there are no others. */
  mask: Tensor | undefined
  completionTokens: number
  /** float64 [N]: 1 at tokens of the cross entropy; undefined without that term. */
  sft: Tensor | undefined
  sftTokens: number
  /** float64 [P,2]: completion tokens. */
  lengths: Tensor
  /** float64 [P,K] */
  constants: Tensor
}

const preferenceTerm = 'preference'
const sftTerm = 'sft'

const carriedSchema = z.strictObject({ constants: z.array(z.number()), syncedAt: z.int().nonnegative() })

type Declaration<Schema extends z.ZodObject, Type extends string> = Omit<
  PairDefinition<Schema, Type>,
  'data' | 'criterion'
> & {
  /** @throws ConfigError for settings that exclude each other */
  create(config: z.output<Schema>): PairObjective
}

/** Defines an objective on pairs by its formula; `registerPreference` makes it available to recipes and flags. */
export const definePairs = <const Type extends string, Schema extends z.ZodObject>({
  create,
  ...declaration
}: Declaration<Schema, Type>): PairDefinition<Schema, Type> => ({
  ...declaration,
  data: 'pairs',
  criterion: (config, context) => new PairCriterion(create(config), expectReference(declaration, context)),
})

/** The reference, where the objective uses one. @throws ConfigError where it is missing */
export const expectReference = (
  { type, reference }: Pick<PreferenceDefinition, 'type' | 'reference'>,
  context: PreferenceContext,
): Reference | undefined => {
  if (!reference) return undefined
  if (context.reference === undefined)
    throw new ConfigError(
      `\`${type}\` needs a reference model: pass the base with adapters off, a frozen copy, or cached log-probabilities.`,
    )
  return context.reference
}

class PairCriterion implements Criterion<PreferencePair> {
  readonly unpadded = true
  readonly #objective: PairObjective
  readonly #reference: Reference | undefined
  readonly #sync: ReferenceSync
  #constants: readonly number[]
  /** Whether the prompt of a pair is computed once, which `prepare` decides. */
  #shared = false

  constructor(objective: PairObjective, reference: Reference | undefined) {
    this.#objective = objective
    this.#reference = reference
    this.#sync = new ReferenceSync(reference, objective.options.sync)
    this.#constants = objective.wholeBatch?.initial ?? []
  }

  get carried(): CarriedState | undefined {
    const sync = this.#sync
    if (this.#constants.length === 0 && !sync.active) return undefined
    return {
      save: () => ({ constants: [...this.#constants], syncedAt: sync.syncedAt }),
      load: (state) => {
        const read = carriedSchema.safeParse(state)
        if (!read.success || read.data.constants.length !== this.#constants.length)
          throw new CheckpointError(
            'Expected the state of this preference objective in the checkpoint, got another one.',
          )
        this.#constants = read.data.constants
        sync.syncedAt = read.data.syncedAt
      },
      ...(sync.active ? { tensors: () => sync.tensors() } : {}),
    }
  }

  tokens({ ids }: PreferencePair): number {
    return ids.length
  }

  weights({ chosen }: PreferencePair): Record<string, number> {
    const { sftWeight } = this.#objective.options
    return { [preferenceTerm]: 1, ...(sftWeight > 0 ? { [sftTerm]: completionLength(this.#scored(chosen)) } : {}) }
  }

  trainedTokens({ chosen, rejected }: PreferencePair): number {
    return completionLength(this.#scored(chosen)) + completionLength(rejected)
  }

  /** The chosen completion with all tokens that are scored: its prompt too, where the cross entropy has it. */
  #scored(chosen: CompletionTokens): CompletionTokens {
    return this.#objective.options.sftPrompt ? { ...chosen, promptTokens: 1 } : chosen
  }

  get preparesWithModel(): boolean {
    return this.#objective.wholeBatch !== undefined || this.#reference?.readsPolicy === true
  }

  async prepare(examples: readonly PreferencePair[], context: PrepareContext): Promise<readonly PreferencePair[]> {
    const { wholeBatch } = this.#objective
    const { model, microTokens, padded, device, share } = context
    const how = { microTokens, padded, device, share, shared: true }
    this.#sync.update(context)
    this.#shared = sharesPrompts(model)
    const completions = examples.flatMap(({ chosen, rejected }) => [chosen, rejected])
    const none = new Float32Array(0)
    const reference = (await this.#reference?.logProbs(completions, how)) ?? completions.map(() => none)
    let perPair: readonly number[][] = examples.map(() => [])
    if (wholeBatch !== undefined) {
      const policy = (await scoreCompletions(model, completions, how)).map(({ logProbs }) => logProbs)
      const sums = this.#batchSums(completions, policy, reference)
      const found = wholeBatch.constants(sums, this.#constants)
      perPair = found.perPair
      if (!context.evaluation) this.#constants = found.carried
    }
    return examples.map((example, i) => ({
      ...example,
      prepared: { chosen: reference[2 * i], rejected: reference[2 * i + 1], constants: perPair[i] },
    }))
  }

  /** Sums by completion, weighted as in the loss. */
  #batchSums(
    completions: readonly CompletionTokens[],
    policy: readonly Float32Array[],
    reference: readonly Float32Array[],
  ): BatchLogProbs {
    const { tailWeight } = this.#objective.options
    const sum = (values: readonly Float32Array[], side: 0 | 1) =>
      Float64Array.from({ length: completions.length / 2 }, (_, pair) => {
        const shorter = Math.min(...[0, 1].map((one) => completionLength(completions[2 * pair + one])))
        let total = 0
        for (const [t, value] of values[2 * pair + side].entries()) total += value * (t < shorter ? 1 : tailWeight)
        return total
      })
    return {
      chosen: sum(policy, 0),
      rejected: sum(policy, 1),
      referenceChosen: sum(reference, 0),
      referenceRejected: sum(reference, 1),
    }
  }

  collate(examples: readonly PreferencePair[], how: CollateOptions): PairBatch {
    const { device } = how
    const completions = examples.flatMap(({ chosen, rejected }) => [this.#scored(chosen), rejected])
    const batch = collateCompletions(completions, { ...how, shared: this.#shared })
    const total = batch.targets.size
    const { sftWeight, sftPrompt, tailWeight } = this.#objective.options
    const reference = this.#reference === undefined ? undefined : new Float32Array(total)
    const weights = tailWeight === 1 && !sftPrompt ? undefined : new Float64Array(total)
    const mask = sftPrompt ? new Float64Array(total) : undefined
    const sft = sftWeight > 0 ? new Float64Array(total) : undefined
    const lengths = new Float64Array(completions.length)
    let sftTokens = 0
    let end = 0
    for (const [i, { chosen, rejected, prepared }] of examples.entries())
      for (const [side, own] of [chosen, rejected].entries()) {
        const length = completionLength(own)
        const start = end
        end += batch.counts[2 * i + side]
        // A completion without tokens has a sum of 0, and its mean is 0 too.
        lengths[2 * i + side] = Math.max(1, length)
        const first = end - length
        if (reference !== undefined) reference.set(preparedOf({ prepared })[side === 0 ? 'chosen' : 'rejected'], first)
        weights?.fill(1, first, end)
        mask?.fill(1, first, end)
        const shorter = Math.min(completionLength(chosen), completionLength(rejected))
        weights?.fill(tailWeight, first + shorter, end)
        if (side === 1) continue
        sft?.fill(1, start, end)
        sftTokens += end - start
      }
    const constants = examples.flatMap(({ prepared }) => prepared?.constants ?? [])
    const pairs = examples.length
    const place = (values: Float32Array | Float64Array, shape: readonly number[] = [total]) =>
      values instanceof Float64Array ? wideTensor(values, { shape, device }) : Tensor.from(values, { shape, device })
    return {
      ...batch,
      pairs,
      reference: reference && place(reference),
      weights: weights && place(weights),
      mask: mask && place(mask),
      completionTokens: examples.reduce(
        (sum, { chosen, rejected }) => sum + completionLength(chosen) + completionLength(rejected),
        0,
      ),
      sft: sft && place(sft),
      sftTokens,
      lengths: place(lengths, [pairs, 2]),
      constants: place(Float64Array.from(constants), [pairs, constants.length / pairs]),
    }
  }

  describe({ chosen, rejected }: PreferencePair, decode: (ids: readonly number[]) => string): string {
    return `chosen: ${describeCompletion(chosen, decode)}\nrejected: ${describeCompletion(rejected, decode)}`
  }

  show({ chosen, rejected }: PreferencePair): ShownTokens[] {
    const scored = this.#scored(chosen)
    return [
      showCompletion(scored, { name: 'chosen' }),
      showCompletion(rejected, { name: 'rejected', firstLoss: completionLength(scored) }),
    ]
  }

  loss(
    model: Model,
    given: Parameters<Criterion['loss']>[1],
    how: Pick<LossOptions, 'onLabelLosses'> = {},
  ): { terms: LossTerm[]; metrics: Record<string, Metric> } {
    const batch = given as PairBatch
    const { options } = this.#objective
    const tokens = completionLogProbs(model, batch)
    how.onLabelLosses?.(noGrad(() => tokens.logProbs.neg()))
    const wide = widened(tokens.logProbs) // [N]
    const values = pairValues(wide, batch)
    let losses = this.#objective.loss(values)
    if (options.weighting) losses = losses.mul(policyWeights(tokens, batch))
    const terms: LossTerm[] = [{ name: preferenceTerm, sum: losses.sum().to('float32'), weight: batch.pairs, scale: 1 }]
    if (batch.sft !== undefined)
      terms.push({
        name: sftTerm,
        sum: wide.mul(batch.sft).sum().neg().to('float32'),
        weight: batch.sftTokens,
        scale: options.sftWeight,
      })
    return { terms, metrics: noGrad(() => scope(() => this.#metrics(values, tokens, batch))) }
  }

  #metrics({ chosen, rejected }: PairValues, tokens: TokenLogProbs, batch: PairBatch): Record<string, Metric> {
    const { pairs, reference, mask, completionTokens } = batch
    const [won, lost] = [chosen, rejected].map((side) => this.#objective.reward(side).detach())
    const margin = won.sub(lost)
    const sums = new MetricSums(pairs)
    sums.add('rewardChosen', won)
    sums.add('rewardRejected', lost)
    sums.add('rewardMargin', margin)
    sums.add('accuracy', shareAbove(margin))
    for (const [name, side] of Object.entries({ Chosen: chosen, Rejected: rejected })) {
      sums.add(`logProb${name}`, side.policy)
      sums.add(`logProbPerToken${name}`, side.policy.div(side.length))
      sums.add(`length${name}`, side.length)
    }
    const inCompletions = (values: Tensor) => (mask === undefined ? values : values.mul(mask))
    sums.add('entropy', inCompletions(tokens.entropy), completionTokens)
    if (reference !== undefined) {
      sums.add('displaced', lessLikely(chosen.ratio))
      sums.add('klPerToken', inCompletions(lowVarianceKl(tokens.logProbs, reference)), completionTokens)
    }
    return sums.read()
  }
}

/** Differences below this are rounding: before the first step all of them should be 0. */
const rounding = 1e-5

/** 1 where a margin is above 0, and a half at a tie. */
export const shareAbove = (margin: Tensor): Tensor => widened(margin.gt(rounding)).add(margin.ge(-rounding)).mul(0.5)

/** Whether log-ratios say that completions are less likely than under the reference. */
export const lessLikely = (ratio: Tensor): Tensor => ratio.lt(-rounding)

/** Estimate of the KL divergence from the reference at each token, which is never negative. @source joschu.net/blog/kl-approx */
export const lowVarianceKl = (policy: Tensor, reference: Tensor): Tensor => {
  const difference = widened(reference.sub(policy.detach()))
  return difference.clamp({ max: 20 }).expm1().sub(difference)
}

/** Sums of the pairs. @param logProbs float64 [N] */
const pairValues = (logProbs: Tensor, batch: PairBatch): PairValues => {
  const { pairs, reference, weights, lengths, constants } = batch
  // [N] -> [P,2]
  const sums = (values: Tensor) =>
    wideSumByCompletion(weights === undefined ? values : values.mul(weights), batch).view([pairs, 2])
  const policy = sums(logProbs)
  // Subtracted token by token: the difference of two large sums would be less exact.
  const ratio = reference === undefined ? policy : sums(logProbs.sub(reference))
  const side = (index: number): PairSide => ({
    policy: policy.select(1, index),
    ratio: ratio.select(1, index),
    length: lengths.select(1, index),
  })
  return { chosen: side(0), rejected: side(1), constant: (i) => constants.select(1, i) }
}

/** Weights of the pairs by the policy's own probabilities, float64 [P]. @source arXiv:2406.11827 */
const policyWeights = ({ logProbs, logPower }: TokenLogProbs, batch: PairBatch): Tensor =>
  noGrad(() => {
    const { pairs, mask, lengths } = batch
    const aligned = widened(logProbs.detach().sub(logPower))
    const sums = wideSumByCompletion(mask === undefined ? aligned : aligned.mul(mask), batch)
    return sums.view([pairs, 2]).div(lengths).sum(1).exp()
  })
