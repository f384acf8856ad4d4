// What every other folder may use of core.
export { expectWritable, removeUnfinished, temporaryName, writeFileAtomic, writeFolderAtomic } from './atomic-files.ts'
export { BatchChannel } from './batch-channel.ts'
export { byCodeUnits } from './by-code-units.ts'
export { type ConfigFault, configFaults, descriptionOf, parseConfig, schemaLayers, show, unwrap } from './config.ts'
export * from './errors.ts'
export { exists } from './exists.ts'
export { folderOwner, lockFolder } from './folder-lock.ts'
export { formatBytes, formatCount, formatDuration, formatPreciseDuration } from './format.ts'
export { groupBy } from './group-by.ts'
export { sha256, sha256File } from './hashing.ts'
export { fetchFault, isPassingStatus } from './http-faults.ts'
export {
  buildFolders,
  installAddon,
  packageRoot,
  packageVersion,
  setAddonInstaller,
} from './installation.ts'
export { type JsonOrigin, parseJson } from './json.ts'
export { LazyMap } from './lazy-map.ts'
export { jsonLines, LineFile } from './line-file.ts'
export { createLogger } from './logger.ts'
export { lowerPriority } from './lower-priority.ts'
export { makeFolder } from './make-folder.ts'
export { type Named, named, openEnum, openObject, openUnion } from './open-schemas.ts'
export { optionCheck } from './option-check.ts'
export { permutedIndex } from './permutation.ts'
export { type PortableError, packError, unpackError } from './portable-error.ts'
export { processorName } from './processor.ts'
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
export { createRandom, type Random, type RandomState, restoreRandom } from './random.ts'
export { type ByType, type Definition, Registry } from './registry.ts'
export { normalDistribution, studentProbability, studentQuantile } from './statistics.ts'
export { didYouMean, suggest } from './suggest.ts'
export { beginFault, diskFault, type SystemFault, systemFault } from './system-fault.ts'
export { userCache } from './user-cache.ts'
export { importUserModule, resolveUserModule } from './user-modules.ts'
export { withoutUndefined } from './without-undefined.ts'
export { startProcess, startWorker } from './worker.ts'
export { type PoolOptions, runPool, type ServeOptions, serveTasks } from './worker-pool.ts'
