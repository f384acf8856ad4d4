// Config fields that most architectures share, described once.
import { z } from 'zod'
import { type ActivationName, activationNames } from '../nn/index.ts'

/** The bounds are far above any published model: they keep a damaged config.json from asking for the impossible. */
const size = (most: number) => z.int().positive().max(most)
const share = () => z.number().min(0).max(1)

export const sizes = {
  vocabSize: size(2 ** 24).describe('entries of the vocabulary'),
  hiddenSize: size(2 ** 18).describe('width of the residual stream'),
  numLayers: size(4096).describe('blocks'),
  numHeads: size(2 ** 14).describe('attention heads'),
  intermediateSize: size(2 ** 22).describe('width inside the feed-forward block'),
  maxPositions: size(2 ** 30).describe('longest input'),
  typeVocabSize: z
    .int()
    .nonnegative()
    .max(2 ** 16)
    .describe('segments'),
}

export const settings = {
  activation: z.enum(activationNames as [ActivationName, ...ActivationName[]]).describe('of the feed-forward block'),
  normEps: z.number().positive().describe('added to variances'),
  hiddenDropout: share().default(0.1).describe('dropout after embeddings and blocks'),
  attentionDropout: share().describe('dropout of attention weights'),
  initializerRange: z.number().positive().default(0.02).describe('standard deviation of fresh weights'),
  padTokenId: z.int().nonnegative().describe('id of the padding token'),
  tiedEmbeddings: z.boolean().describe('output layer shares the token embedding'),
}
