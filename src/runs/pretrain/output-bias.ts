// The initial output bias of a language head: log unigram frequencies of the training text. A short run has no time to learn them there and
// would store them in the embeddings, where they make rare tokens alike. Independent of objective and architecture.
import { ConfigError } from '../../core/index.ts'
import type { TokenSource } from '../../data/index.ts'
import { LanguageHead, type Model } from '../../models/index.ts'
import { noGrad, scope, Tensor } from '../../tensor/index.ts'
import { once, type SharedData } from '../engine/shared-data.ts'

/** Tokens that are read at once. */
const piece = 1 << 16

/** Frequency of each token id in the weighted sources, with one added to each count. */
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

/** Sets the output bias to the log frequencies. @throws ConfigError for a model without an output bias */
export const setFrequencyBias = async (
  { head, headType }: Model,
  sources: readonly TokenSource[],
  weights?: readonly number[],
  context: { shared?: Pick<SharedData, 'once'> } = {},
): Promise<void> => {
  const bias = head instanceof LanguageHead ? head.lmHead.bias : undefined
  if (bias === undefined)
    throw new ConfigError(
      `\`outputBias\` frequencies needs a head with an output bias, which ${headType} of this model has not: set it to zero.`,
    )
  const shares = await once(context, 'frequencies', async () => sharesOf(sources, weights, bias.size))
  const logs = Float32Array.from(shares, Math.log)
  scope(() => noGrad(() => void bias.copy_(Tensor.from(logs, { shape: [bias.size] }))))
}
