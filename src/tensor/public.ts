// The public tensor API, `tunesmith/tensor`. The folders of src import index.ts, which also exports internals.
import './install.ts'

export { fallbackCounts } from './accelerator.ts'
export {
  backward,
  checkpoint,
  clearGrads,
  enableGrad,
  gradEnabled,
  gradients,
  inferenceMode,
  noGrad,
  withBackward,
} from './autograd.ts'
export { type Dtype, dtypes, isDtype, type TypedArray } from './dtype.ts'
export {
  addLayerNorm,
  addRmsNorm,
  arange,
  attention,
  cat,
  clipGradNorm_,
  dropout,
  einsum,
  embedding,
  empty,
  emptyLike,
  eye,
  full,
  fullLike,
  fusedGelu,
  geglu,
  gradNorm,
  linear,
  linearCrossEntropy,
  linspace,
  ones,
  onesLike,
  padSequence,
  rand,
  randint,
  randn,
  randperm,
  rotary,
  scaledDotProductAttention,
  stack,
  swiglu,
  tensor,
  zeros,
  zerosLike,
} from './functions.ts'
export { Generator } from './generator.ts'
export type { MemoryStatistics } from './native.ts'
export type { NestedArray, TensorValues } from './nested-values.ts'
export type { RandomOptions, TensorOptions, TensorOrNumber } from './operator-entry.ts'
export {
  getThreads,
  memoryStatistics,
  resetPeakMemory,
  setDeterministic,
  setMemoryLimit,
  setThreads,
} from './runtime.ts'
export { freeTensors, keep, liveTensors, scope } from './scope.ts'
export { type SharedTensor, Tensor } from './tensor.ts'
export { type MappedFile, mapFile } from './tensor-file.ts'
