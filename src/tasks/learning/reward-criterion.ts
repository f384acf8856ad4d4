// The criterion of reward models. Of compared answers, each pair of a better and a worse one has the loss of Bradley and Terry, and the
// pairs of a prompt count as one; a rated answer has the cross entropy of its rating.
// @source Christiano et al. 2017, arXiv:1706.03741; Ouyang et al. 2022, arXiv:2203.02155 (all answers to a prompt in one batch);
// Touvron et al. 2023, arXiv:2307.09288 (margin); Eisenstein et al. 2023, arXiv:2312.09244 (centring)
import {
  type Batch,
  type CollateOptions,
  type Criterion,
  type Metric,
  placeSequences,
  shareBeginnings,
  sharesPrompts,
  toInt64,
} from '../../objectives/index.ts'
import { noGrad, scope, Tensor } from '../../tensor/index.ts'
import type { TaskExample } from '../task.ts'
import { expectHead } from './row-criterion.ts'

/** The answers to a prompt: each sequence of `starts` is the prompt with one answer. */
export interface RewardExample extends TaskExample {
  /** Pairs of answers: the better one, then the worse one. */
  pairs: readonly (readonly [better: number, worse: number])[]
  /** Difference of scores that the loss of each pair requires. */
  margin: number
  /** Whether each answer is good; undefined where it was not rated. */
  good: readonly boolean[] | undefined
  /** Indices of the answers among those of the record; others were dropped. */
  kept: readonly number[]
}

interface RewardBatch extends Batch {
  /** int64 [A]: logits of the answers, where others are of beginnings that answers share. */
  answers: Tensor | undefined
  /** int64 [P]: rows of the better and of the worse answers. */
  better: Tensor
  worse: Tensor
  /** float32 [P] */
  margins: Tensor
  /** float32 [P]: 1 over the number of pairs of the same prompt. */
  shares: Tensor
  /** int64 [R]: rows of rated answers. */
  rated: Tensor
  /** float32 [R]: 1 for good answers. */
  ratings: Tensor
  /** float32 [R]: 1 over the number of rated answers of the same prompt. */
  ratingShares: Tensor
  weight: number
  counts: readonly number[]
}

const term = 'reward-model'

const weightOf = ({ pairs, good }: Pick<RewardExample, 'pairs' | 'good'>): number =>
  pairs.length > 0 || (good?.length ?? 0) > 0 ? 1 : 0

const floats = (values: readonly number[], device: string | undefined): Tensor =>
  Tensor.from(Float32Array.from(values), { shape: [values.length], device })

const collateTargets = (examples: readonly RewardExample[], device: string | undefined) => {
  const pairs: { better: number; worse: number; margin: number; share: number }[] = []
  const ratings: { row: number; good: number; share: number }[] = []
  let first = 0
  for (const { pairs: own, margin, good, starts } of examples) {
    for (const [better, worse] of own)
      pairs.push({ better: first + better, worse: first + worse, margin, share: 1 / own.length })
    good?.forEach((one, i) => {
      ratings.push({ row: first + i, good: Number(one), share: 1 / good.length })
    })
    first += starts.length
  }
  const ints = (values: readonly number[]) => toInt64(Int32Array.from(values), [values.length], device)
  return {
    better: ints(pairs.map(({ better }) => better)),
    worse: ints(pairs.map(({ worse }) => worse)),
    margins: floats(
      pairs.map(({ margin }) => margin),
      device,
    ),
    shares: floats(
      pairs.map(({ share }) => share),
      device,
    ),
    rated: ints(ratings.map(({ row }) => row)),
    ratings: floats(
      ratings.map(({ good }) => good),
      device,
    ),
    ratingShares: floats(
      ratings.map(({ share }) => share),
      device,
    ),
  }
}

/** The loss of pairs, summed over prompts. @param centering factor of the squared sum of both scores */
const pairLoss = (scores: Tensor, { better, worse, margins, shares }: RewardBatch, centering: number): Tensor => {
  const [high, low] = [scores.indexSelect(0, better), scores.indexSelect(0, worse)]
  const each = high.sub(low).sub(margins).logSigmoid().neg()
  const centred = centering === 0 ? each : each.add(high.add(low).square().mul(centering))
  return centred.mul(shares).sum()
}

const ratingLoss = (scores: Tensor, { rated, ratings, ratingShares }: RewardBatch): Tensor =>
  scores.indexSelect(0, rated).binaryCrossEntropyWithLogits(ratings, { reduction: 'none' }).mul(ratingShares).sum()

const measure = (scores: Tensor, { better, worse, shares }: RewardBatch): { [name: string]: Metric } => {
  if (better.size === 0) return {}
  return noGrad(() => {
    const differences = scores.indexSelect(0, better).sub(scores.indexSelect(0, worse))
    // A tie counts half.
    const right = differences.sign().add(1).mul(0.5)
    const weight = shares.sum().item()
    return {
      accuracy: { sum: right.mul(shares).sum(), weight },
      rewardMargin: { sum: differences.mul(shares).sum(), weight },
    }
  })
}

/** The answers in a batch, in a row that has common beginnings once where they are shared. */
const placeAnswers = (examples: readonly RewardExample[], padId: number, how: CollateOptions, shared: boolean) => {
  const sequences = examples.flatMap(({ ids, starts }) =>
    starts.map((start, i) => ({ ids: ids.subarray(start, starts[i + 1] ?? ids.length) })),
  )
  const row = shared && !how.padded ? shareBeginnings(sequences, how.device) : undefined
  if (row === undefined) {
    const { inputs, tokens } = placeSequences(examples, padId, how)
    return { inputs, tokens, answers: undefined }
  }
  return { inputs: row.inputs, tokens: row.tokens, answers: toInt64(row.documents, [sequences.length], how.device) }
}

const ofAnswers = (logits: Tensor, { answers }: RewardBatch): Tensor =>
  answers === undefined ? logits.flatten() : logits.flatten().indexSelect(0, answers)

export const createRewardCriterion = ({
  padId,
  centering,
}: {
  padId: number
  centering: number
}): Criterion<RewardExample> => {
  // Whether a prompt is computed once for all answers to it, which `prepare` decides.
  let shared = false
  return {
    unpadded: true,
    tokens: ({ ids }) => ids.length,
    weights: (example) => ({ [term]: weightOf(example) }),
    async prepare(examples, { model }) {
      shared = sharesPrompts(model)
      return examples
    },
    collate: (examples, options): RewardBatch => ({
      ...placeAnswers(examples, padId, options, shared),
      ...collateTargets(examples, options.device),
      weight: examples.reduce((sum, example) => sum + weightOf(example), 0),
      counts: examples.map(({ starts }) => starts.length),
    }),
    loss(model, batch, { metrics } = {}) {
      expectHead(model, 'reward')
      const own = batch as RewardBatch
      const { logits } = model.forward(own.inputs)
      const scores = ofAnswers(logits.to('float32'), own) // [rows]
      const parts = [
        ...(own.better.size > 0 ? [pairLoss(scores, own, centering)] : []),
        ...(own.rated.size > 0 ? [ratingLoss(scores, own)] : []),
      ]
      const sum = parts.reduce((all, part) => all.add(part), scores.sum().mul(0))
      return {
        terms: [{ name: term, sum, weight: own.weight, scale: 1 }],
        metrics: metrics ? measure(scores, own) : {},
      }
    },
    describe({ ids, starts, pairs, good }, decode) {
      const wins = new Set(pairs.map(([better]) => better))
      return starts
        .map((start, i) => {
          const text = decode(Array.from(ids.subarray(start, starts[i + 1] ?? ids.length)))
          const known = good === undefined ? pairs.length > 0 : true
          const isGood = good === undefined ? wins.has(i) : good[i]
          return known ? `${text} → ${isGood ? 'good' : 'bad'}` : text
        })
        .join('\n')
    },
  }
}

/** [rows] or packed [1,rows] -> scores of each example's answers. */
export const splitScores = (logits: Tensor, batch: Batch): Float32Array[] => {
  const values = scope(() => ofAnswers(logits, batch as RewardBatch).toFloat32Array())
  let first = 0
  return (batch as RewardBatch).counts.map((count) => values.subarray(first, (first += count)))
}
