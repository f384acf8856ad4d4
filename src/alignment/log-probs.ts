// Log-probabilities of completions under a model: completions in padded or packed batches, their token log-probabilities
// without the logits of the batch, and sums by completion. Independent of objectives.
import type { Model } from '../models/index.ts'
import {
  type Batch,
  type CollateOptions,
  placeSequences,
  placesOf,
  type Sequences,
  shareBeginnings,
  toInt64,
  vocabularyHead,
} from '../objectives/index.ts'
import { type Tensor, tokenLogProbs, widened, widestDtype, zeros } from '../tensor/index.ts'

/** One sequence: a prompt and its completion, with the end token inside the completion. */
export interface CompletionTokens extends Sequences {
  /** The completion is `ids` after these tokens. */
  promptTokens: number
}

/** Completions in a batch; N is the number of their tokens, S the number of completions. */
export interface CompletionBatch extends Batch {
  /** int64 [N]: positions of the batch whose hidden states predict the completion tokens. */
  places: Tensor
  /** int64 [S]: positions of the last tokens, whose hidden states are of the whole text. */
  ends: Tensor
  /** int64 [N]: the completion tokens. */
  targets: Tensor
  /** int64 [N]: index of the completion of each token. */
  sequences: Tensor
  /** Completion tokens of each completion. */
  counts: readonly number[]
}

/** Values of the N completion tokens of a batch, float32. */
export interface TokenLogProbs {
  /** [N], with a gradient. */
  logProbs: Tensor
  /** [N], entropy of the model's distribution in nats, without a gradient. */
  entropy: Tensor
  /** [N], logarithm of the summed squared probabilities, without a gradient. */
  logPower: Tensor
  /** Completion tokens of each completion. */
  counts: readonly number[]
}

/** How log-probabilities are computed. */
export interface LogProbOptions {
  /** Divides the logits, as in sampling (default: 1). */
  temperature?: number
}

/** Index of the first token with a log-probability: the first of a sequence without a prompt has none. */
export const firstScored = ({ promptTokens }: Pick<CompletionTokens, 'promptTokens'>) => Math.max(1, promptTokens)

/** Number of completion tokens with a log-probability, the end token included. */
export const completionLength = (example: Pick<CompletionTokens, 'ids' | 'promptTokens'>): number =>
  Math.max(0, example.ids.length - firstScored(example))

/** Any id works as padding: it is masked and is no target. */
const padId = 0

/** How completions are put into a batch. */
export interface CollateCompletionsOptions extends CollateOptions {
  /** Compute common beginnings of neighbouring completions once, in packed rows of a model that `sharesPrompts` (default: false). */
  shared?: boolean
}

/** Puts completions into a batch, in their order. @throws DataError without completions */
export const collateCompletions = (
  examples: readonly CompletionTokens[],
  { shared = false, ...how }: CollateCompletionsOptions,
): CompletionBatch => {
  const row = shared && !how.padded ? shareBeginnings(examples, how.device) : undefined
  const counts = examples.map(completionLength)
  const total = counts.reduce((sum, count) => sum + count, 0)
  const targets = new Int32Array(total)
  const sequences = new Int32Array(total)
  let at = 0
  for (const [i, example] of examples.entries()) {
    targets.set(example.ids.subarray(example.ids.length - counts[i]), at)
    sequences.fill(i, at, at + counts[i])
    at += counts[i]
  }
  /** Indices in completion `i` of the tokens before the scored ones. */
  const before = (i: number) => Uint32Array.from({ length: counts[i] }, (_, t) => firstScored(examples[i]) - 1 + t)
  const placed = row ?? placeSequences(examples, padId, how)
  const positionsOf = (picked: (i: number) => Uint32Array): Int32Array =>
    'placeOf' in placed
      ? Int32Array.from(examples.flatMap((_, i) => Array.from(picked(i), (t) => placed.placeOf(i, t))))
      : placesOf(examples, placed.firsts, picked)
  const ends = positionsOf((i) => Uint32Array.of(examples[i].ids.length - 1))
  return {
    inputs: placed.inputs,
    tokens: placed.tokens,
    places: toInt64(positionsOf(before), [total], how.device),
    ends: toInt64(ends, [examples.length], how.device),
    targets: toInt64(targets, [total], how.device),
    sequences: toInt64(sequences, [total], how.device),
    counts,
  }
}

/** Hidden states of all positions of a batch, [B*T,C]. */
export const hiddenStates = (model: Model, { inputs }: Pick<CompletionBatch, 'inputs'>): Tensor =>
  model.bodyForward(inputs).hidden.flatten(0, 1)

/**
 * Log-probabilities of the completion tokens from the hidden states of all positions, [B*T,C].
 * @throws ConfigError for a model without a causal language modelling head
 */
export const logProbsOfHidden = (
  model: Model,
  hidden: Tensor,
  { places, targets, counts }: Pick<CompletionBatch, 'places' | 'targets' | 'counts'>,
  { temperature = 1 }: LogProbOptions = {},
): TokenLogProbs => {
  const head = vocabularyHead(model, 'causal-lm')
  const { matrix: weight, bias = null, softcap } = head.outputLayer
  const prepared = head.prepare(hidden.indexSelect(0, places))
  const [logProbs, entropy, logPower] = tokenLogProbs(prepared, weight, bias, targets, { temperature, softcap })
  return { logProbs, entropy, logPower, counts }
}

/**
 * Log-probabilities of the completion tokens of a batch. Hidden states are selected before the output layer, so that the
 * logits of the batch are never in memory.
 * @throws ConfigError for a model without a causal language modelling head
 */
export const completionLogProbs = (model: Model, batch: CompletionBatch, options: LogProbOptions = {}): TokenLogProbs =>
  logProbsOfHidden(model, hiddenStates(model, batch), batch, options)

/** Sums values of completion tokens by completion: [N] gives [S] in the widest dtype of the device, with a gradient. */
export const wideSumByCompletion = (
  values: Tensor,
  { sequences, counts }: Pick<CompletionBatch, 'sequences' | 'counts'>,
): Tensor =>
  zeros([counts.length], { dtype: widestDtype(values.device), device: values.device }).indexAdd(
    0,
    sequences,
    widened(values),
  )

/**
 * Sums values of completion tokens by completion, in float64 where the device has it, so that their order does not matter: float32 [N] gives
 * float32 [S], with a gradient.
 */
export const sumByCompletion = (values: Tensor, batch: Pick<CompletionBatch, 'sequences' | 'counts'>): Tensor =>
  wideSumByCompletion(values, batch).to('float32')
