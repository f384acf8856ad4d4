// The job script of a training command for Slurm: it saves before its time is over or it is preempted, is requeued, and resumes.
import { ConfigError } from '../core/index.ts'
import { checkedName, startOrResume, type TrainingJob } from './training-job.ts'

/** Settings of a job for Slurm. */
export interface SlurmRequest {
  nodes: number
  /** Time limit as Slurm takes it, such as `24:00:00`. */
  time?: string | undefined
  partition?: string | undefined
  account?: string | undefined
  /** Memory of a node, such as `64G`. */
  memory?: string | undefined
}

/** Seconds before the end of the time in which a run saves. */
const secondsToSave = 120

/** Exit code of a run that has saved after SIGUSR1: 128 and the number of the signal. */
const savedCode = 138

/** @throws ConfigError for values that a line of the script cannot hold, or more nodes than processes */
export const slurmScript = (job: TrainingJob, { nodes, time, partition, account, memory }: SlurmRequest): string => {
  const { processes, threads } = job
  if (nodes > processes)
    throw new ConfigError(`Expected at most ${processes} nodes, one for each process, got ${nodes}. Lower \`nodes\`.`)
  const given = { time, partition, account, memory }
  for (const [flag, value] of Object.entries(given))
    if (value !== undefined && !/^[\w.,:+-]+$/.test(value))
      throw new ConfigError(`Expected a word without spaces for \`${flag}\`, got "${value}".`)
  const directives = [
    `job-name=${checkedName(job.name)}`,
    `nodes=${nodes}`,
    `ntasks=${processes}`,
    `cpus-per-task=${threads}`,
    ...(time === undefined ? [] : [`time=${time}`]),
    ...(partition === undefined ? [] : [`partition=${partition}`]),
    ...(account === undefined ? [] : [`account=${account}`]),
    ...(memory === undefined ? [] : [`mem=${memory}`]),
    'requeue',
    'open-mode=append',
    `output=${job.name}-%j.log`,
    // To the processes of the step, each of which stops after its step and saves.
    `signal=USR1@${secondsToSave}`,
  ]
  return [
    '#!/bin/sh',
    ...directives.map((directive) => `#SBATCH --${directive}`),
    '',
    // Since Slurm 22.05, srun does not take this from sbatch.
    'export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"',
    'export OMP_NUM_THREADS="$SLURM_CPUS_PER_TASK"',
    ...startOrResume(job),
    // A rank that fails ends the others by itself, with its name; Slurm waits for that.
    'srun --kill-on-bad-exit=0 "$@"',
    'code=$?',
    `# ${savedCode}: the run has saved because its time is nearly over. It goes on in another job of the same number.`,
    `if [ "$code" -eq ${savedCode} ]; then`,
    '  scontrol requeue "$SLURM_JOB_ID"',
    'fi',
    'exit "$code"',
    '',
  ].join('\n')
}
