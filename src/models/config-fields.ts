// Settings that most architectures share.
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import { type ActivationName, activationNames } from '../nn/index.ts'

/** The limits are far above any published model: a damaged config.json must not make us allocate absurd sizes. */
const size = (max: number) => z.int().positive().max(max)
const share = () => z.number().min(0).max(1)

/** Settings of sizes. */
export const sizes = {
  vocabSize: size(2 ** 24).describe('vocabulary size'),
  hiddenSize: size(2 ** 18).describe('width of the residual stream'),
  numLayers: size(4096).describe('number of layers'),
  numHeads: size(2 ** 14).describe('attention heads'),
  intermediateSize: size(2 ** 22).describe('width of the feed-forward block'),
  maxPositions: size(2 ** 30).describe('maximum input length in tokens'),
  typeVocabSize: z
    .int()
    .nonnegative()
    .max(2 ** 16)
    .describe('number of segment ids'),
}

/** Settings with the dropout of a body: of embeddings, hidden states, feed-forward blocks and attention weights. */
const bodyDropouts = ['dropout', 'embeddingDropout', 'hiddenDropout', 'mlpDropout', 'attentionDropout'] as const

/** The dropout settings that the config of an architecture has, all with one share. @throws ConfigError where it has none */
export const dropoutSettings = (config: object, share: number): { [name: string]: number } => {
  const names = bodyDropouts.filter((name) => name in config)
  if (names.length === 0)
    throw new ConfigError(
      `\`dropout\` has no effect on this architecture, which has no dropout, got ${share}. Remove it.`,
    )
  return Object.fromEntries(names.map((name) => [name, share]))
}

/** Other settings. */
export const settings = {
  activation: z
    .enum(activationNames as [ActivationName, ...ActivationName[]])
    .describe('activation function of the feed-forward block'),
  normEps: z.number().positive().describe('epsilon of the norms'),
  hiddenDropout: share().describe('dropout after embeddings and layers').default(0.1),
  attentionDropout: share().describe('dropout of attention weights'),
  initializerRange: z.number().positive().default(0.02).describe('standard deviation of initial weights'),
  padTokenId: z.int().nonnegative().describe('id of the padding token'),
  tiedEmbeddings: z.boolean().describe('tie the output layer to the token embedding'),
}
