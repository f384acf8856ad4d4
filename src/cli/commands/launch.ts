// `tunesmith launch`: a command as several processes on this machine. The work is `launchProcesses` of src/distributed.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { selfCall } from '../../core/index.ts'
import { launchProcesses } from '../../distributed/index.ts'
import { runFiles } from '../../tracking/index.ts'
import { defineCommand } from '../command.ts'
import { runFolderOf } from '../parts/training-command.ts'

/** The command, with this program itself for its name. */
const resolveCommand = ([program, ...rest]: readonly string[]): [string, ...string[]] =>
  program === 'tunesmith' ? [...selfCall(), ...rest] : [program, ...rest]

export const launch = defineCommand({
  name: 'launch',
  summary: 'Run a command as several processes on this machine, which share its batches',
  example: 'tunesmith launch --processes 2 -- tunesmith pretrain --recipe recipes/bert-from-scratch.ts',
  notes: [
    'The processes split each global batch and give the losses of one process. When one fails, all end. Ctrl-C saves and stops.',
    '`generate`, `predict`, `embed`, `evaluate` and `compare` divide their work, and the first process writes what one would. Commands that cannot be divided run in the first process, or are refused.',
    'Compute threads are divided among the processes; OMP_NUM_THREADS overrides that.',
    'With --restarts, a training command resumes from its newest checkpoint after a process was lost.',
    'On several machines use torchrun, Slurm, Kubernetes or mpirun: see docs/clusters.md.',
  ],
  arguments: [{ name: 'command', description: 'command to run, after `--`', variadic: true }],
  options: z.strictObject({
    processes: z.int().positive().describe('number of processes'),
    restarts: z
      .int()
      .nonnegative()
      .default(0)
      .describe('times to start all processes again after one has failed; the run resumes from its newest checkpoint'),
  }),
  async run({ processes, restarts }, { command }, context) {
    const words = command[0] === 'tunesmith' ? command.slice(1) : command
    const out = restarts === 0 ? undefined : await runFolderOf(words, '--restarts')
    return launchProcesses({
      processes,
      restarts,
      command: resolveCommand(command),
      // A run that failed before it had a folder begins again.
      commandOfRestart: () =>
        out === undefined || !existsSync(join(out, runFiles.recipe))
          ? resolveCommand(command)
          : [...selfCall(), 'resume', out],
      onRestart: ({ rank, exitCode }, restart) =>
        context.log(
          `Rank ${rank} ended with exit code ${exitCode}: starting all processes again (restart ${restart} of ${restarts}).`,
        ),
      signal: context.signal,
      stdout: context.json ? 'stderr' : 'inherit',
      onLine: (rank, line) => context.log(`[rank ${rank}] ${line}`),
    })
  },
  exitCode: ({ exitCode }) => exitCode,
})
