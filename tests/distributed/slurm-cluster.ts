// A Slurm cluster of one node on this machine: its own munge key, ports and folders, so that nothing of an installed cluster is touched. Its
// daemons need root, as they start jobs.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'

const programs = ['munged', 'slurmctld', 'slurmd', 'sbatch', 'srun', 'scontrol', 'scancel']
const folders = ['/usr/sbin', '/usr/bin', '/usr/local/sbin', '/usr/local/bin']

/** Why there can be no cluster here, and what to do; undefined where there can. */
export const slurmIsMissing = (): string | undefined => {
  if (process.getuid?.() !== 0) return 'starting Slurm needs root'
  const missing = programs.filter((name) => !folders.some((folder) => existsSync(join(folder, name))))
  if (missing.length === 0) return undefined
  return `no ${missing[0]}: apt-get install -y --no-install-recommends slurm-wlm munge`
}

/** Partitions of the cluster, by how they treat jobs that are preempted by those of `urgent`. */
export const partitions = { ordinary: 'ordinary', withGrace: 'grace', urgent: 'urgent' } as const

/** What Slurm says of a job. */
interface JobState {
  state: string
  restarts: number
  exitCode: string
}

/** A cluster that runs. */
export interface SlurmCluster {
  folder: string
  /** Variables by which commands find the cluster. */
  env: Record<string, string>
  /** Runs a command of Slurm. @returns its output @throws Error with what it wrote to stderr */
  call(program: string, ...words: string[]): string
  state(job: number): JobState
  /** Waits until a job runs after so many restarts. @throws Error with the logs of the cluster after the time */
  restarted(job: number, times: number, seconds: number): Promise<void>
  /** Waits until a job has ended for good, and gives how. @throws Error with the logs of the cluster after the time */
  ended(job: number, seconds: number): Promise<JobState>
  stop(): Promise<void>
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })

/** @param socket of munge */
const configuration = (folder: string, socket: string, [controller, node]: readonly number[]): string =>
  `ClusterName=tunesmith
SlurmctldHost=${hostname().split('.')[0]}(127.0.0.1)
SlurmctldPort=${controller}
AuthType=auth/munge
# A job that is requeued waits until its credential has expired, two minutes by default.
AuthInfo=socket=${socket},cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd.pid
SlurmctldLogFile=${folder}/slurmctld.log
SlurmdLogFile=${folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=2
ReturnToService=2
KillWait=30
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=localhost NodeHostname=${hostname().split('.')[0]} NodeAddr=127.0.0.1 Port=${node} CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=${partitions.ordinary} Nodes=localhost Default=YES PriorityTier=1 PreemptMode=REQUEUE MaxTime=INFINITE State=UP
PartitionName=${partitions.withGrace} Nodes=localhost PriorityTier=1 PreemptMode=REQUEUE GraceTime=60 MaxTime=INFINITE State=UP
PartitionName=${partitions.urgent} Nodes=localhost PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE State=UP
`

/** Starts a cluster. @throws Error with the logs of its daemons where it does not come up */
export const startSlurm = async (): Promise<SlurmCluster> => {
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-slurm-'))
  // Munge refuses folders that others cannot enter.
  chmodSync(folder, 0o755)
  for (const name of ['state', 'spool']) mkdirSync(join(folder, name))
  const [key, socket] = [join(folder, 'munge.key'), join(folder, 'munge.socket')]
  writeFileSync(key, randomBytes(1024), { mode: 0o600 })
  const file = join(folder, 'slurm.conf')
  writeFileSync(file, configuration(folder, socket, [await freePort(), await freePort()]))
  const path = `${folders.join(':')}:${process.env.PATH}`
  const env = { SLURM_CONF: file, PATH: path }
  const daemons: ChildProcess[] = []
  const start = (program: string, ...words: string[]) => {
    const options = { stdio: 'ignore' as const, env: { ...process.env, ...env } }
    daemons.push(spawn(program, words, options))
  }
  const call = (program: string, ...words: string[]): string => {
    const { status, stdout, stderr } = spawnSync(program, words, { encoding: 'utf8', env: { ...process.env, ...env } })
    if (status !== 0) throw new Error(`${program} ${words.join(' ')} ended with ${status}: ${stderr.trim()}`)
    return stdout
  }
  const logs = (): string =>
    ['munged', 'slurmctld', 'slurmd']
      .map((name) => join(folder, `${name}.log`))
      .flatMap((log) => (existsSync(log) ? [`${log}:`, ...readFileSync(log, 'utf8').split('\n').slice(-15)] : []))
      .join('\n')
  const state = (job: number): JobState => {
    const text = call('scontrol', '--oneliner', 'show', 'job', String(job))
    const field = (name: string) => new RegExp(`\\b${name}=(\\S+)`).exec(text)?.[1] ?? ''
    return { state: field('JobState'), restarts: Number(field('Restarts')), exitCode: field('ExitCode') }
  }
  const stop = async (): Promise<void> => {
    for (const daemon of daemons.reverse()) {
      const ended = new Promise((resolve) => daemon.once('close', resolve))
      if (daemon.exitCode === null && daemon.kill('SIGTERM')) await Promise.race([ended, setTimeout(10_000)])
      daemon.kill('SIGKILL')
    }
    rmSync(folder, { recursive: true, force: true })
  }
  const within = async (seconds: number, what: string, holds: () => boolean): Promise<void> => {
    for (const end = Date.now() + 1000 * seconds; !holds(); await setTimeout(200))
      if (Date.now() > end) throw new Error(`Waited ${seconds} s in vain for ${what}.\n${logs()}`)
  }
  try {
    const own = ['--pid-file', join(folder, 'munged.pid'), '--seed-file', join(folder, 'munge.seed')]
    const munge = ['--key-file', key, '--socket', socket, '--log-file', join(folder, 'munged.log'), ...own]
    start('munged', '--foreground', '--num-threads', '1', ...munge)
    await within(20, 'munge', () => existsSync(socket))
    start('slurmctld', '-D', '-f', file)
    start('slurmd', '-D', '-f', file, '-N', 'localhost')
    const nodes = () => spawnSync('sinfo', ['-h', '-o', '%T'], { encoding: 'utf8', env: { ...process.env, ...env } })
    await within(60, 'an idle node', () => /idle/.test(nodes().stdout ?? ''))
  } catch (error) {
    await stop()
    throw error
  }
  return {
    folder,
    env,
    call,
    state,
    stop,
    restarted: (job, times, seconds) =>
      within(seconds, `restart ${times} of job ${job}`, () => {
        const { state: now, restarts } = state(job)
        return now === 'RUNNING' && restarts >= times
      }),
    ended: async (job, seconds) => {
      const over = /^(COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL|DEADLINE|OUT_OF_MEMORY)/
      await within(seconds, `the end of job ${job}`, () => over.test(state(job).state))
      return state(job)
    },
  }
}
