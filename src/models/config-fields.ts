// Config fields that most architectures share, described once.
import { z } from 'zod'
import { type ActivationName, activationNames } from '../nn/index.ts'

const size = () => z.int().positive()
const share = () => z.number().min(0).max(1)

export const sizes = {
  vocabSize: size().describe('entries of the vocabulary'),
  hiddenSize: size().describe('width of the residual stream'),
  numLayers: size().describe('blocks'),
  numHeads: size().describe('attention heads'),
  intermediateSize: size().describe('width inside the feed-forward block'),
  maxPositions: size().describe('longest input'),
  typeVocabSize: z.int().nonnegative().describe('segments'),
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
