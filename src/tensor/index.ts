// What every other folder may use of the engine.
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
export { type Dtype, dtypeFacts, dtypes, isDtype, type TypedArray } from './dtype.ts'
export { Generator, seedDefaultGenerators } from './generator.ts'
export * from './install.ts'
export { type MappedFile, mapFile } from './mapped-file.ts'
export { type BuildFacts, type MemoryStatistics, type NativeBuild, readNativeBuild } from './native.ts'
export type { Making, Operand } from './ops.ts'
export {
  buildFacts,
  getThreads,
  memoryStatistics,
  resetPeakMemory,
  setDeterministic,
  setMemoryLimit,
  setThreads,
  trimMemory,
} from './runtime.ts'
export { freeTensors, hold, keep, liveTensors, scope } from './scope.ts'
export { type SharedTensor, Tensor } from './tensor.ts'
export { writeTensorFile } from './tensor-file.ts'
