// Training in several processes: joining them, what they exchange, and starting them. What other folders may use of it.
export { ConnectedGroup } from './connected-group.ts'
export { type BlockWork, computeByTurns, onFirst, shareBlocks, shareItems } from './divide-work.ts'
export { inGroup, joinProcesses } from './join.ts'
export { type EndedProcess, type LaunchOptions, type LaunchResult, launchProcesses } from './launch.ts'
export { expectOneProcess, type Launch, readLaunch } from './launch-environment.ts'
export {
  type CollectiveKind,
  type CollectiveLibrary,
  type CollectiveMark,
  PlannedGroup,
  type PlannedGroupSettings,
} from './planned-group.ts'
export { GroupError, type ProcessGroup } from './process-group.ts'
export { programFacts, shortHash } from './program-facts.ts'
export type { TrainingJob } from './training-job.ts'
export { type KubernetesRequest, kubernetesManifest, type SlurmRequest, slurmScript } from './training-job.ts'
