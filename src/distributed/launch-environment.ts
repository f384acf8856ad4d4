// The place of this process in a group, as the launcher's environment variables say: torchrun, Slurm, Kubernetes Indexed Jobs and
// OpenMPI, in this order. Independent of stores and groups.
import { ConfigError } from '../core/index.ts'

/** A process's place among those that a launcher started. */
export interface Launch {
  /** The launcher, as messages name it. */
  launcher: string
  rank: number
  size: number
  /** Host of the store. */
  host: string
  port: number
  /** File of the store, where it is one that all processes reach and not served by a host. */
  file?: string
  /** Whether a process of the launcher serves the store: then no rank does. */
  agentStore: boolean
  /** Number of this start: part of the keys in a store that outlives restarts. */
  attempt: string
}

type Environment = Readonly<Record<string, string | undefined>>

const isSet = (value: string | undefined): value is string => value !== undefined && value !== ''

const wholeNumber = (env: Environment, name: string, least = 0): number => {
  const text = env[name] ?? ''
  if (/^\d+$/.test(text) && Number(text) >= least && Number.isSafeInteger(Number(text))) return Number(text)
  throw new ConfigError(
    `Expected a whole number of at least ${least} for the environment variable ${name}, got "${text}". The launcher sets it.`,
  )
}

const optionalNumber = (env: Environment, name: string): number | undefined =>
  isSet(env[name]) ? wholeNumber(env, name) : undefined

/** The default port of torch.distributed. */
export const defaultPort = 29500

const portOf = (env: Environment, otherwise = defaultPort): number => {
  const port = isSet(env.MASTER_PORT) ? wholeNumber(env, 'MASTER_PORT', 1) : otherwise
  if (port > 65535) throw new ConfigError(`Expected a port from 1 to 65535 for MASTER_PORT, got ${port}.`)
  return port
}

const fileScheme = 'file:'
const isFile = ({ MASTER_ADDR }: Environment): boolean => MASTER_ADDR?.startsWith(fileScheme) ?? false

/** The path of a store in a file. @throws ConfigError for a relative one: processes may have other working directories */
const pathOf = (host: string): string => {
  const path = host.replace(/^file:(\/\/)?/, '')
  if (!path.startsWith('/'))
    throw new ConfigError(
      `Expected an absolute path for the file of MASTER_ADDR, such as file:///shared/run.store, got ${host}.`,
    )
  return path
}

const checked = (launch: Launch): Launch => {
  if (launch.rank >= launch.size)
    throw new ConfigError(
      `Expected a rank below the ${launch.size} processes of ${launch.launcher}, got ${launch.rank}. Check the launcher's variables.`,
    )
  return launch.host.startsWith(fileScheme) ? { ...launch, file: pathOf(launch.host) } : launch
}

/** @throws ConfigError that names the variables which are missing beside those that are set */
const expectAll = (env: Environment, names: readonly string[], launcher: string): void => {
  const missing = names.filter((name) => !isSet(env[name]))
  if (missing.length === 0) return
  const present = names.filter((name) => isSet(env[name]))
  throw new ConfigError(
    `Expected ${names.join(', ')} from ${launcher}, got ${present.join(', ')} only. Set ${missing.join(' and ')} too, or unset the others to run in one process.`,
  )
}

const torchrunNames = ['RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT']

const fromTorchrun = (env: Environment): Launch | undefined => {
  if (!isSet(env.RANK) && (!isSet(env.WORLD_SIZE) || isSet(env.JOB_COMPLETION_INDEX))) return undefined
  expectAll(env, isFile(env) ? torchrunNames.filter((name) => name !== 'MASTER_PORT') : torchrunNames, 'torchrun')
  return {
    launcher: env.TUNESMITH_LAUNCHER ?? 'torchrun',
    rank: wholeNumber(env, 'RANK'),
    size: wholeNumber(env, 'WORLD_SIZE', 1),
    host: env.MASTER_ADDR ?? '',
    port: portOf(env),
    agentStore: env.TORCHELASTIC_USE_AGENT_STORE === 'True',
    attempt: env.TORCHELASTIC_RESTART_COUNT ?? '0',
  }
}

/** The first host of a list as Slurm writes it: `node[03-07,9],login` gives `node03`. */
export const firstHost = (list: string): string => {
  const [first] = list.split(/,(?![^[]*\])/)
  return first.replace(/\[([^\]]*)\]/g, (_, ranges: string) => ranges.split(/[-,]/)[0])
}

/** A batch script that runs the program without `srun` is no step, though it has the variables of a task. */
const fromSlurm = (env: Environment): Launch | undefined => {
  if (!isSet(env.SLURM_STEP_ID) || !isSet(env.SLURM_PROCID)) return undefined
  const sizeName = isSet(env.SLURM_STEP_NUM_TASKS) ? 'SLURM_STEP_NUM_TASKS' : 'SLURM_NTASKS'
  const listName = isSet(env.SLURM_STEP_NODELIST) ? 'SLURM_STEP_NODELIST' : 'SLURM_JOB_NODELIST'
  expectAll(env, ['SLURM_PROCID', sizeName, 'SLURM_JOB_ID', listName], 'Slurm')
  return {
    launcher: 'Slurm',
    rank: wholeNumber(env, 'SLURM_PROCID'),
    size: wholeNumber(env, sizeName, 1),
    host: isSet(env.MASTER_ADDR) ? env.MASTER_ADDR : firstHost(env[listName] ?? ''),
    // Jobs of one machine need ports of their own, below those that the system gives out.
    port: portOf(env, 10_000 + (wholeNumber(env, 'SLURM_JOB_ID') % 20_000)),
    agentStore: false,
    attempt: `${env.SLURM_RESTART_COUNT ?? '0'}.${env.SLURM_STEP_ID}`,
  }
}

/** An Indexed Job without WORLD_SIZE and MASTER_ADDR has pods that do not know each other, each with a run of its own. */
const fromKubernetes = (env: Environment): Launch | undefined => {
  if (!isSet(env.JOB_COMPLETION_INDEX) || (!isSet(env.WORLD_SIZE) && !isSet(env.MASTER_ADDR))) return undefined
  expectAll(env, ['JOB_COMPLETION_INDEX', 'WORLD_SIZE', 'MASTER_ADDR'], 'a Kubernetes Indexed Job')
  return {
    launcher: 'a Kubernetes Indexed Job',
    rank: wholeNumber(env, 'JOB_COMPLETION_INDEX'),
    size: wholeNumber(env, 'WORLD_SIZE', 1),
    host: env.MASTER_ADDR ?? '',
    port: portOf(env),
    agentStore: false,
    attempt: '0',
  }
}

const fromOpenMpi = (env: Environment): Launch | undefined => {
  const [rankName, sizeName] = ['OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE']
  if (!isSet(env[rankName]) && !isSet(env[sizeName])) return undefined
  expectAll(env, [rankName, sizeName], 'OpenMPI')
  const size = wholeNumber(env, sizeName, 1)
  const here = optionalNumber(env, 'OMPI_COMM_WORLD_LOCAL_SIZE') === size
  if (!here && !isSet(env.MASTER_ADDR))
    throw new ConfigError(
      'OpenMPI started processes on several machines: set MASTER_ADDR to the machine of rank 0 (mpirun -x MASTER_ADDR=HOST).',
    )
  return {
    launcher: 'OpenMPI',
    rank: wholeNumber(env, rankName),
    size,
    host: isSet(env.MASTER_ADDR) ? env.MASTER_ADDR : '127.0.0.1',
    port: portOf(env),
    agentStore: false,
    attempt: '0',
  }
}

/** torchrun and `launch` inside a Slurm step count processes of their own; variables that were set by hand must agree. */
const expectAgreement = (env: Environment, first: Launch, second: Launch | undefined): void => {
  if (second === undefined || second.size === 1 || first.agentStore || isSet(env.TORCHELASTIC_RUN_ID)) return
  if (first.rank === second.rank && first.size === second.size) return
  throw new ConfigError(
    `Expected one launcher, got ${first.launcher} with rank ${first.rank} of ${first.size} and ${second.launcher} with rank ${second.rank} of ${second.size}. Unset the variables of one of them.`,
  )
}

/**
 * This process's place in a group; undefined for a process that runs alone.
 * @throws ConfigError for variables that are half set, are no numbers, or contradict each other
 */
export const readLaunch = (env: Environment = process.env): Launch | undefined => {
  const found = [fromTorchrun(env), fromSlurm(env), fromKubernetes(env), fromOpenMpi(env)].filter(
    (launch) => launch !== undefined,
  )
  const [first, second] = found
  if (first === undefined) {
    const stray = torchrunNames.filter((name) => isSet(env[name]))
    if (stray.length > 0) expectAll(env, torchrunNames, 'torchrun')
    return undefined
  }
  const launch = checked(first)
  expectAgreement(env, first, second)
  return launch.size === 1 ? undefined : launch
}

/** @throws ConfigError inside a group, for work that one process does alone */
export const expectOneProcess = (work: string): void => {
  const launch = readLaunch()
  if (launch !== undefined)
    throw new ConfigError(
      `Expected one process for ${work}, got ${launch.size} of ${launch.launcher}: start it without a launcher.`,
    )
}
