// Log-probabilities of any number of completions as plain arrays, for what is computed before the loss: those of a
// reference model, and of the policy that wrote them.
import { setImmediate } from 'node:timers/promises'
import { planMicroBatches } from '../data/index.ts'
import type { BlockWork } from '../distributed/index.ts'
import type { Model } from '../models/index.ts'
import { positionsIn, type ShareWork, sharesPrompts } from '../objectives/index.ts'
import { noGrad, scope } from '../tensor/index.ts'
import { type CompletionTokens, collateCompletions, completionLength, completionLogProbs } from './log-probs.ts'

/** Values of the tokens of one completion. */
export interface CompletionScores {
  logProbs: Float32Array
  /** Nats. */
  entropy: Float32Array
}

/** How completions are scored. */
export interface ScoreCompletionsOptions {
  /** Maximum tokens of a forward pass. */
  microTokens: number
  /** Pad the batches instead of packing them. */
  padded: boolean
  /** Of the batches (default: that of the model). */
  device?: string
  /** Divides the logits, as in sampling (default: 1). */
  temperature?: number
  /** Compute common beginnings of neighbouring completions once, where the model can (default: false). */
  shared?: boolean
  signal?: AbortSignal | undefined
  /** Divides the completions among the processes of a run (default: each of them scores all). */
  share?: ShareWork
  /** Divide whole micro-batches, so that scores have the same bits with any number of processes (default: false). */
  wholeBatches?: boolean
}

/** Scores completions, which processes divide where they can. */
export const inShares = <Result>(
  examples: readonly CompletionTokens[],
  { share }: Pick<ScoreCompletionsOptions, 'share'>,
  how: Pick<BlockWork<CompletionTokens, Result>, 'work' | 'standIn'>,
): Promise<readonly Result[]> =>
  share === undefined ? how.work(examples) : share(examples, { sizeOf: ({ ids }) => ids.length, ...how })

/** Scores in a plan, which computes no values. */
const unknown = (completion: CompletionTokens): Float32Array => new Float32Array(completionLength(completion))

/**
 * Scores completions, in their order, without gradients and without dropout.
 * @throws ConfigError for a model without a causal language modelling head, the signal's reason when it is aborted
 */
export const scoreCompletions = (
  model: Model,
  examples: readonly CompletionTokens[],
  options: ScoreCompletionsOptions,
): Promise<readonly CompletionScores[]> =>
  options.wholeBatches === true && options.share !== undefined
    ? scoreWholeBatches(model, examples, options, options.share)
    : inShares(examples, options, { work: (own) => scoreOwn(model, own, options), standIn })

const standIn = (one: CompletionTokens): CompletionScores => ({ logProbs: unknown(one), entropy: unknown(one) })

/** Whether completions are packed, and the indices of those of each forward pass. */
export const microBatchesOf = (
  model: Model,
  examples: readonly CompletionTokens[],
  { microTokens, padded }: Pick<ScoreCompletionsOptions, 'microTokens' | 'padded'>,
): { packs: boolean; batches: number[][] } => {
  const lengths = examples.map(positionsIn({ tokens: ({ ids }: CompletionTokens) => ids.length }, model))
  const packs = !padded && model.facts.packs !== false
  return { packs, batches: planMicroBatches(lengths, microTokens, !packs) }
}

const scoreWholeBatches = async (
  model: Model,
  examples: readonly CompletionTokens[],
  options: ScoreCompletionsOptions,
  share: ShareWork,
): Promise<CompletionScores[]> => {
  const { batches } = microBatchesOf(model, examples, options)
  const parts = batches.map((indices) => indices.map((i) => examples[i]))
  const scored = await share(parts, {
    sizeOf: (part) => part.reduce((sum, { ids }) => sum + ids.length, 0),
    async work(own) {
      const results: CompletionScores[][] = []
      for (const part of own) results.push(await scoreOwn(model, part, options))
      return results
    },
    standIn: (part) => part.map(standIn),
  })
  const scores: CompletionScores[] = []
  for (const [b, indices] of batches.entries()) for (const [k, i] of indices.entries()) scores[i] = scored[b][k]
  return scores
}

const scoreOwn = async (
  model: Model,
  examples: readonly CompletionTokens[],
  options: ScoreCompletionsOptions,
): Promise<CompletionScores[]> => {
  const { device = model.body.embedTokens.device, temperature, signal } = options
  const { packs, batches } = microBatchesOf(model, examples, options)
  const shared = options.shared === true && sharesPrompts(model)
  const scores: CompletionScores[] = []
  const { training } = model
  model.eval()
  try {
    for (const indices of batches) {
      // Signals and timers run between micro-batches.
      await setImmediate()
      signal?.throwIfAborted()
      const part = indices.map((i) => examples[i])
      noGrad(() =>
        scope(() => {
          const batch = collateCompletions(part, { padded: !packs, device, shared })
          const { logProbs, entropy, counts } = completionLogProbs(model, batch, { temperature })
          const all = { logProbs: logProbs.toFloat32Array(), entropy: entropy.toFloat32Array() }
          let at = 0
          for (const [k, i] of indices.entries()) {
            const end = at + counts[k]
            scores[i] = { logProbs: all.logProbs.slice(at, end), entropy: all.entropy.slice(at, end) }
            at = end
          }
        }),
      )
    }
  } finally {
    if (training) model.train()
  }
  return scores
}
