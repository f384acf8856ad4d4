// What the other folders of src may import: the public API and internals. Users get public.ts.
export {
  acceleratorMemory,
  deviceMemory,
  fallbackCounts,
  fallbackNotice,
  isOutOfMemory,
  processMemory,
  releaseDeviceCache,
  resetDevicePeak,
  upload,
} from './accelerator.ts'
export {
  backward,
  checkpoint,
  clearGrads,
  enableGrad,
  gradEnabled,
  gradients,
  inferenceMode,
  noGrad,
  noGradScope,
  watchGradients,
  withBackward,
} from './autograd.ts'
export {
  defaultDevice,
  deviceNotice,
  deviceSchema,
  expectDevice,
  expectPlacement,
  isCuda,
  isGpu,
  widestDtype,
} from './device.ts'
export { checkGpu } from './device-check.ts'
export { DeviceGraph, hasDeviceGraphs } from './device-graph.ts'
export {
  bytesOf,
  type Dtype,
  dtypeFacts,
  dtypes,
  type Elements,
  expectDtype,
  isDtype,
  type TypedArray,
  totalBytes,
} from './dtype.ts'
export { Generator, seedDefaultGenerators } from './generator.ts'

import './install.ts'

export * from './functions.ts'
export * from './fused-layers.ts'
export {
  type BuildFacts,
  type DeviceMemory,
  type MemoryStatistics,
  type NativeBuild,
  readNativeBuild,
} from './native.ts'
export type { NestedArray, TensorValues } from './nested-values.ts'
export type { RandomOptions, TensorOptions, TensorOrNumber } from './operator-entry.ts'
export { dropMemory, setMemory } from './parameter-memory.ts'
export {
  isPlanning,
  type MemoryHolder,
  noteMark,
  notePhase,
  noteTensors,
  type Plan,
  type PlanMark,
  type PlannedOperations,
  plan,
} from './planning.ts'
export {
  allGather,
  allReduce_,
  broadcast_,
  dropGroup,
  type GroupPlace,
  ProcessStore,
  reduceScatter,
  stopWatch,
  type WatchTimes,
  waitTensor,
  watchFailure,
} from './process-groups.ts'
export {
  type MeasuredProducts,
  type ProductChoices,
  type ProductDtype,
  storedProducts,
  storeProducts,
} from './product-choices.ts'
export { measureProducts, productChoices, productsLabel } from './products.ts'
export {
  buildFacts,
  emptyCache,
  getThreads,
  isDeterministic,
  memoryStatistics,
  resetPeakMemory,
  setDeterministic,
  setMemoryLimit,
  setThreads,
} from './runtime.ts'
export { freeTensors, keep, keepUntilFreed, liveTensors, scope } from './scope.ts'
export {
  enableStrictDevice,
  limitStrictDevice,
  type StrictDeviceCounts,
  setStrictMemory,
  strictDeviceCounts,
  strictDeviceState,
} from './strict-device.ts'
export { type SharedTensor, Tensor } from './tensor.ts'
export {
  type FilePart,
  type MappedFile,
  mapFile,
  partBytes,
  type WriteTensorFileOptions,
  writeTensorFile,
} from './tensor-file.ts'
export { largestSingular, widened, wideTensor } from './wide.ts'
