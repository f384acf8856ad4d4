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
  inShares(examples, options, {
    work: (own) => scoreOwn(model, own, options),
    standIn: (one) => ({ logProbs: unknown(one), entropy: unknown(one) }),
  })

const scoreOwn = async (
  model: Model,
  examples: readonly CompletionTokens[],
  options: ScoreCompletionsOptions,
): Promise<CompletionScores[]> => {
  const { microTokens, padded, device = model.body.embedTokens.device, temperature, signal } = options
  const lengths = examples.map(positionsIn({ tokens: ({ ids }: CompletionTokens) => ids.length }, model))
  const packs = !padded && model.facts.packs !== false
  const shared = options.shared === true && sharesPrompts(model)
  const scores: CompletionScores[] = []
  const { training } = model
  model.eval()
  try {
    for (const indices of planMicroBatches(lengths, microTokens, !packs)) {
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
