// `tunesmith submit`: a training command as a job of Slurm or Kubernetes. The files are made by src/distributed.
import { spawnSync } from 'node:child_process'
import { z } from 'zod'
import { ConfigError, SetupError, selfCall, shellWord, writeFileAtomic } from '../../core/index.ts'
import { kubernetesManifest, slurmScript } from '../../distributed/index.ts'
import { defineCommand } from '../command.ts'
import { countField, switchField, textField } from '../parts/fields.ts'
import { runFolderOf } from '../parts/training-command.ts'

/** Submits a job script. @returns what sbatch says */
const submitScript = (file: string): string => {
  const { status, stdout, stderr, error } = spawnSync('sbatch', [file], { encoding: 'utf8' })
  if (error !== undefined)
    throw new SetupError(`Cannot find sbatch: submit \`${file}\` on a machine with Slurm, or add \`--no-start\`.`)
  if (status !== 0) throw new SetupError(`sbatch refused \`${file}\`: ${stderr.trim()}`)
  return stdout.trim()
}

export const submit = defineCommand({
  name: 'submit',
  summary: 'Write and submit the job of a training command for Slurm, or its manifest for Kubernetes',
  example:
    'tunesmith submit --slurm --processes 4 --nodes 2 --threads 8 --time 24:00:00 -- tunesmith pretrain --recipe recipes/bert-from-scratch.ts',
  notes: [
    'A job that was preempted, or whose time is nearly over, saves, is queued again and resumes: see docs/clusters.md.',
  ],
  arguments: [{ name: 'command', description: 'training command, after `--`', variadic: true }],
  engine: false,
  options: z.strictObject({
    slurm: switchField('write a job script for Slurm, and submit it'),
    kubernetes: switchField('write an Indexed Job with its service for Kubernetes'),
    processes: z.int().positive().describe('number of processes'),
    threads: z.int().positive().default(1).describe('compute threads of a process'),
    name: z.string().default('tunesmith').describe('name of the job'),
    file: textField('file to write (default: the name with .sh or .yaml)'),
    memory: textField('memory of a node (Slurm: 64G) or a pod (Kubernetes: 16Gi)'),
    start: z.boolean().default(true).describe('submit the job script (Slurm)'),
    nodes: countField('number of machines (Slurm; default: 1)'),
    time: textField('time limit, such as 24:00:00 (Slurm)'),
    partition: textField('partition (Slurm)'),
    account: textField('account (Slurm)'),
    image: textField('container image with Tunesmith (Kubernetes)'),
    claim: textField('persistent volume claim with data and runs (Kubernetes)'),
    folder: textField('folder at which the claim is mounted (Kubernetes; default: /work)'),
    namespace: textField('namespace (Kubernetes)'),
  }),
  async run(options, { command }) {
    const { slurm, kubernetes, processes, threads, name, memory, nodes, time, partition, account, start } = options
    const { image, claim, folder, namespace } = options
    if (slurm === kubernetes) throw new ConfigError('Expected `--slurm` or `--kubernetes`, one of them.')
    const foreign = Object.entries(slurm ? { image, claim, folder, namespace } : { nodes, time, partition, account })
    for (const [flag, value] of foreign)
      if (value !== undefined)
        throw new ConfigError(`\`--${flag}\` has no effect with \`--${slurm ? 'slurm' : 'kubernetes'}\`: leave it out.`)
    const words = command[0] === 'tunesmith' ? command.slice(1) : command
    const out = await runFolderOf(words, 'submit')
    const job = { name, command: words, out, processes, threads }
    const file = options.file ?? `${name}.${slurm ? 'sh' : 'yaml'}`
    if (slurm) {
      await writeFileAtomic(
        file,
        slurmScript({ ...job, program: selfCall() }, { nodes: nodes ?? 1, time, partition, account, memory }),
      )
      return { file, next: `sbatch ${shellWord(file)}`, ...(start ? { submitted: submitScript(file) } : {}) }
    }
    if (!start)
      throw new ConfigError('`--no-start` has no effect with `--kubernetes`, which only writes: leave it out.')
    if (image === undefined || claim === undefined)
      throw new ConfigError('`--kubernetes` needs `--image` and `--claim`: set both.')
    const request = { image, claim, folder: folder ?? '/work', memory, namespace }
    await writeFileAtomic(file, kubernetesManifest({ ...job, program: ['tunesmith'] }, request))
    return { file, next: `kubectl apply -f ${shellWord(file)}` }
  },
  render: ({ file, next, submitted }) => `Wrote ${file}\n${submitted ?? `Start it with: ${next}`}`,
})
