// `tunesmith launch`: a command as several processes on this machine. The work is `launchProcesses` of src/distributed.
import { z } from 'zod'
import { selfCall } from '../../core/index.ts'
import { launchProcesses } from '../../distributed/index.ts'
import { defineCommand } from '../command.ts'

/** The command, with this program itself for its name. */
const resolveCommand = ([program, ...rest]: readonly string[]): [string, ...string[]] =>
  program === 'tunesmith' ? [...selfCall(), ...rest] : [program, ...rest]

export const launch = defineCommand({
  name: 'launch',
  summary: 'Run a training command as several processes on this machine, which share each batch',
  example: 'tunesmith launch --processes 2 -- tunesmith pretrain --recipe recipes/bert-from-scratch.ts',
  notes: [
    'The processes split each global batch and give the losses of one process. When one fails, all end. Ctrl-C saves and stops.',
    'Compute threads are divided among the processes; OMP_NUM_THREADS overrides that.',
    'On several machines use torchrun, Slurm, Kubernetes or mpirun: see docs/clusters.md.',
  ],
  arguments: [{ name: 'command', description: 'command to run, after `--`', variadic: true }],
  options: z.strictObject({
    processes: z.int().positive().describe('number of processes'),
  }),
  run: ({ processes }, { command }, context) =>
    launchProcesses({
      processes,
      command: resolveCommand(command),
      signal: context.signal,
      stdout: context.json ? 'stderr' : 'inherit',
      onLine: (rank, line) => context.log(`[rank ${rank}] ${line}`),
    }),
  exitCode: ({ exitCode }) => exitCode,
})
