// Log-probabilities of any number of completions as plain arrays, for what is computed before the loss: those of a
// reference model, and of the policy that wrote them.
import { setImmediate } from 'node:timers/promises'
import { planMicroBatches } from '../data/index.ts'
import type { Model } from '../models/index.ts'
import { positionsIn, sharesPrompts } from '../objectives/index.ts'
import { noGrad, scope } from '../tensor/index.ts'
import { type CompletionTokens, collateCompletions, completionLogProbs } from './log-probs.ts'

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
  signal?: AbortSignal
}

/**
 * Scores completions, in their order, without gradients and without dropout.
 * @throws ConfigError for a model without a causal language modelling head, the signal's reason when it is aborted
 */
export const scoreCompletions = async (
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
