// A training command as a job for a cluster, which starts, and resumes after it was preempted: a script for Slurm, which saves before its time is
// over or it is preempted and is queued again, or a manifest for Kubernetes, an Indexed Job with the headless service by which its pods find the
// first one.
import { stringify } from 'yaml'
import { ConfigError, shellWord } from '../core/index.ts'
import { defaultPort } from './launch-environment.ts'

/** A training command with the folder that it writes. */
export interface TrainingJob {
  /** Name of the job, in lower case. */
  name: string
  /** How the program is called on the cluster: its words. */
  program: readonly string[]
  /** The command and its flags, such as `pretrain --recipe run.ts`. */
  command: readonly string[]
  /** Folder of the run. */
  out: string
  processes: number
  /** Compute threads of a process. */
  threads: number
}

/** @throws ConfigError for a name that clusters do not take, with the field that has it */
const checkedName = (name: string, field = 'name'): string => {
  if (/^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$/.test(name)) return name
  throw new ConfigError(`Expected up to 52 lower-case letters, digits and hyphens for \`${field}\`, got "${name}".`)
}

const shellLine = (words: readonly string[]): string => words.map(shellWord).join(' ')

/** Shell lines that set the arguments of the shell to the command: to begin the run, or to resume it where its folder has one. */
const startOrResume = ({ program, command, out }: TrainingJob): string[] => [
  `if [ -e ${shellWord(`${out}/run.json`)} ]; then`,
  `  set -- ${shellLine([...program, 'resume', out])}`,
  'else',
  `  set -- ${shellLine([...program, ...command])}`,
  'fi',
]

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

/** The job script. @throws ConfigError for values that a line of the script cannot hold, or more nodes than processes */
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

/** Settings of a job for Kubernetes. */
export interface KubernetesRequest {
  /** Container image with Tunesmith. */
  image: string
  /** Name of a persistent volume claim that every pod mounts, with data, recipe and runs. */
  claim: string
  /** Folder at which the claim is mounted, and in which the command runs. */
  folder: string
  /** Memory of a pod, such as `16Gi`. */
  memory?: string | undefined
  namespace?: string | undefined
}

/** Restarts of a pod before the job fails. A pod that ends takes the others with it, so each counts. */
const restarts = 10

/** Pods start minutes apart where an image is pulled. */
const connectSeconds = 600

/** The manifest. @throws ConfigError for names that Kubernetes does not take */
export const kubernetesManifest = (job: TrainingJob, request: KubernetesRequest): string => {
  const { processes, threads } = job
  const { image, claim, folder, memory, namespace } = request
  const name = checkedName(job.name)
  // Names of services begin with a letter; those of jobs, claims and namespaces may begin with a digit.
  if (!/^[a-z]/.test(name)) throw new ConfigError(`Expected a letter first for \`name\`, got "${name}".`)
  if (!folder.startsWith('/'))
    throw new ConfigError(`Expected an absolute folder for \`folder\`, got "${folder}". It is a path in the container.`)
  const metadata = { name, ...(namespace === undefined ? {} : { namespace: checkedName(namespace, 'namespace') }) }
  const resources = { cpu: String(threads), ...(memory === undefined ? {} : { memory }) }
  const env = {
    WORLD_SIZE: String(processes),
    MASTER_ADDR: `${name}-0.${name}`,
    MASTER_PORT: String(defaultPort),
    OMP_NUM_THREADS: String(threads),
    TUNESMITH_CONNECT_SECONDS: String(connectSeconds),
  }
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: {
      clusterIP: 'None',
      // The first pod is found before it is ready.
      publishNotReadyAddresses: true,
      selector: { 'job-name': name },
      ports: [{ name: 'store', port: defaultPort }],
    },
  }
  const container = {
    name: 'training',
    image,
    workingDir: folder,
    command: ['/bin/sh', '-c', [...startOrResume(job), 'exec "$@"'].join('\n')],
    env: Object.entries(env).map(([variable, value]) => ({ name: variable, value })),
    resources: { requests: resources, limits: resources },
    volumeMounts: [{ name: 'work', mountPath: folder }],
  }
  const indexed = {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata,
    spec: {
      completions: processes,
      parallelism: processes,
      completionMode: 'Indexed',
      backoffLimit: restarts * processes,
      template: {
        spec: {
          subdomain: name,
          restartPolicy: 'OnFailure',
          // A pod that is evicted saves first.
          terminationGracePeriodSeconds: 120,
          containers: [container],
          volumes: [{ name: 'work', persistentVolumeClaim: { claimName: checkedName(claim, 'claim') } }],
        },
      },
    },
  }
  return [service, indexed].map((part) => stringify(part, { lineWidth: 0 })).join('---\n')
}
