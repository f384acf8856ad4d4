// Training in several processes: joining them, what they exchange, and starting them. What other folders may use of it.
export { joinProcesses } from './join.ts'
export { type KubernetesRequest, kubernetesManifest } from './kubernetes-job.ts'
export { type EndedProcess, type LaunchOptions, type LaunchResult, launchProcesses } from './launch.ts'
export { expectOneProcess, type Launch, readLaunch } from './launch-environment.ts'
export { GroupError, ProcessGroup } from './process-group.ts'
export { type SlurmRequest, slurmScript } from './slurm-job.ts'
export type { TrainingJob } from './training-job.ts'
