// Token shards: encoding, reading, sampling and collating.
export { bestFitRows, bestFitRowsSchema, type PackingPlan, planBestFit } from './best-fit-rows.ts'
export {
  collatePadded,
  collateUnpadded,
  type PaddedBatch,
  type PadOptions,
  planMicroBatches,
  type UnpaddedBatch,
} from './collate.ts'
export { type EncodeShardsInput, type EncodeShardsSettings, encodeShards, encodeShardsSchema } from './encode-shards.ts'
export { isValidationDocument, type ValidationSplit } from './encode-task.ts'
export {
  type MixtureOrder,
  type MixturePart,
  mixture,
  mixtureOrder,
  mixturePartSchema,
  mixtureSchema,
  type PartSize,
} from './mixture.ts'
export { packedRows, packedRowsSchema } from './packed-rows.ts'
export { placeAt, type Row, rowAt, type Sampler } from './sampler.ts'
export { type IdArray, readShardManifest, type ShardManifest, type SplitName, splitWarnings } from './shard-manifest.ts'
export { type OpenTokensOptions, openTokens, type TokenSource, tokensInMemory, verifyShards } from './token-source.ts'
export { wholeDocuments, wholeDocumentsSchema } from './whole-documents.ts'
