// What every other folder may use of core.
export {
  exists,
  expectWritable,
  makeFolder,
  removeUnfinished,
  temporaryName,
  writeFileAtomic,
  writeFolderAtomic,
} from './atomic-files.ts'
export { BatchChannel } from './batch-channel.ts'
export { byCodeUnits, groupBy, LazyMap, withoutUndefined } from './collections.ts'
export {
  type ConfigFault,
  configFaults,
  descriptionOf,
  optionCheck,
  parseConfig,
  schemaLayers,
  show,
  unwrap,
} from './config.ts'
export * from './errors.ts'
export { folderOwner, lockFolder } from './folder-lock.ts'
export { formatBytes, formatCount, formatDuration, formatPreciseDuration } from './format.ts'
export { sha256, sha256File } from './hashing.ts'
export {
  buildFolders,
  installAddon,
  packageRoot,
  packageVersion,
  setAddonInstaller,
} from './installation.ts'
export { type JsonOrigin, jsonLines, LineFile, parseJson } from './json.ts'
export { createLogger } from './logger.ts'
export { lowerPriority, processorName, userCache } from './machine.ts'
export { type Named, named, openEnum, openObject, openUnion } from './open-schemas.ts'
export {
  installCall,
  passProgramName,
  programCall,
  programName,
  selfCall,
  setupCall,
  shellWord,
  withProgramName,
} from './program-call.ts'
export { createProgress, type Progress, type ProgressOptions } from './progress.ts'
export { createRandom, permutedIndex, type Random, type RandomState, restoreRandom } from './random.ts'
export { type ByType, type Definition, Registry } from './registry.ts'
export { normalDistribution, studentProbability, studentQuantile } from './statistics.ts'
export { didYouMean, suggest } from './suggest.ts'
export { beginFault, diskFault, fetchFault, isPassingStatus, type SystemFault, systemFault } from './system-fault.ts'
export { importUserModule, resolveUserModule } from './user-modules.ts'
export {
  type PoolOptions,
  type PortableError,
  packError,
  runPool,
  type ServeOptions,
  serveTasks,
  startProcess,
  startWorker,
  unpackError,
} from './worker-pool.ts'
