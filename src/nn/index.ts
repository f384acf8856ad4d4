// Layers that models are built of.
export { Ambient } from './ambient.ts'
export {
  Attention,
  type AttentionContext,
  type AttentionOptions,
  type AttentionSettings,
  type CachedKeys,
  type LayerCache,
  type TakenPlaces,
} from './attention.ts'
export { BlockMatrix, blockMatrixOf, isBlockFormat, standInFor } from './block-matrix.ts'
export { DisentangledAttention, type DisentangledAttentionOptions } from './disentangled-attention.ts'
export {
  currentDropout,
  Dropout,
  DropoutMasks,
  dropElements,
  type NumberedExample,
  type RowLayout,
  reseed,
  withDropout,
} from './dropout.ts'
export { Embedding } from './embedding.ts'
export { Linear, type LowRankRows, type Quantization, quantizations } from './linear.ts'
export {
  type Activation,
  type ActivationName,
  activationNames,
  activations,
  fusedActivations,
  GatedMlp,
  Mlp,
  PlainMlp,
} from './mlp.ts'
export {
  compareState,
  describeReport,
  expectLastSize,
  Identity,
  type Initialization,
  type LoadReport,
  Module,
  restoreState,
} from './module.ts'
export { LayerNorm, Norm, RmsNorm } from './norm.ts'
export type { KeyRule } from './parameter.ts'
export { buildShapes, materialize } from './parameter.ts'
export { type BlockFormat, blockFormats, type IntegerFormat } from './plain-blocks.ts'
export { type MatrixFormat, QuantizedMatrix } from './quantized-matrix.ts'
export { RelativeBias } from './relative-bias.ts'
export {
  applyRotary,
  positionRow,
  positionsBelow,
  type RopeOptions,
  type RopeScaling,
  RotaryTable,
  replacedRotaryTables,
  reservePositions,
} from './rope.ts'
export { type Routing, SparseMlp, withRouterLogits, withRouting } from './sparse-mlp.ts'
