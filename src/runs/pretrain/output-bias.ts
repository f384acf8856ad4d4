// How common each entry of the vocabulary is in a run's text, as the bias that scores of words begin with: a short run has no time to
// learn it there, and would write it into the embeddings, where it makes rare words alike. Knows no objective and no architecture.
import { ConfigError } from '../../core/index.ts'
import type { TokenSource } from '../../data/index.ts'
import { LanguageHead, type Model } from '../../models/index.ts'
import { noGrad, scope, Tensor } from '../../tensor/index.ts'

// Read at once.
const piece = 1 << 16

/** Shares of the entries in the text, by the weights of its sources; what does not occur counts as if once. */
const sharesOf = (sources: readonly TokenSource[], weights: readonly number[] | undefined, size: number) => {
  const shares = new Float64Array(size)
  const whole =
    weights?.reduce((sum, weight) => sum + weight, 0) ?? sources.reduce((sum, { tokens }) => sum + tokens, 0)
  sources.forEach((source, i) => {
    const share = (weights?.[i] ?? source.tokens) / whole
    const counts = new Float64Array(size).fill(1)
    for (let at = 0; at < source.tokens; at += piece)
      for (const id of source.readTokens(at, Math.min(piece, source.tokens - at))) counts[id]++
    for (let id = 0; id < size; id++) shares[id] += (share * counts[id]) / (source.tokens + size)
  })
  return shares
}

/** @throws ConfigError for a model without a bias on its scores of words */
export const beginAtFrequencies = (
  { head, headType }: Model,
  sources: readonly TokenSource[],
  weights?: readonly number[],
): void => {
  const bias = head instanceof LanguageHead ? head.lmHead.bias : undefined
  if (bias === undefined)
    throw new ConfigError(
      `Expected zero for \`outputBias\` with the head ${headType}, which has no bias on its scores of words, got frequencies.`,
    )
  const logs = Float32Array.from(sharesOf(sources, weights, bias.size), Math.log)
  scope(() => noGrad(() => void bias.copy_(Tensor.from(logs, { shape: [bias.size] }))))
}
