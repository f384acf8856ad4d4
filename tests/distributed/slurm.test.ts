// `tunesmith submit --slurm` on a real Slurm, on this machine: a job of two tasks is stopped in three ways, requeued and resumed, and ends
// with the bits of an undisturbed run.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { program } from '../setup/program.ts'
import { makeSmallData, remainsOf, type SmallData, smallRecipe } from '../training/small-run.ts'
import { lossesOf, runTogether } from './parallel-runs.ts'
import { recordedSteps, until } from './rank-processes.ts'
import { partitions, type SlurmCluster, slurmIsMissing, startSlurm } from './slurm-cluster.ts'

const reason = slurmIsMissing()
/** So many that a job is not over before Slurm, which looks for jobs every few seconds, has preempted it. */
const steps = 1600

describe.skipIf(reason !== undefined)(`a job of Slurm (skipped: ${reason ?? 'it is there'})`, () => {
  let data: SmallData
  let cluster: SlurmCluster
  const before = { ...process.env }
  /** No checkpoint but that of a stop, so that a run which is stopped without one begins again. */
  const recipe = (name: string) => {
    const out = join(data.root, name)
    const more = { budget: { steps }, checkpoint: { steps: 5000 }, evaluate: {}, keep: {}, average: undefined }
    return { ...smallRecipe(data, out, more), command: 'pretrain', out }
  }

  beforeAll(async () => {
    data = await makeSmallData()
    cluster = await startSlurm()
    Object.assign(process.env, cluster.env)
    expect((await runTogether(2, [recipe('whole')])).codes).toEqual([0, 0])
  })
  afterAll(async () => {
    process.env = before
    await cluster?.stop()
    data?.dispose()
  })

  /** Submits the run. @returns number of the job */
  const submit = (name: string, partition: string): number => {
    const file = join(data.root, `${name}.json`)
    const { command: _, ...settings } = recipe(name)
    writeFileSync(file, JSON.stringify(settings))
    const job = ['--slurm', '--processes', '2', '--threads', '1', '--name', name, '--partition', partition]
    const script = ['--file', join(data.root, `${name}.sh`), '--json']
    const words = [...program, 'submit', ...job, ...script, '--', 'tunesmith', 'pretrain', '--recipe', file]
    // Jobs write their logs to the folder from which they are submitted.
    const { status, stdout, stderr } = spawnSync(process.execPath, words, { cwd: data.root, encoding: 'utf8' })
    expect(status, stderr).toBe(0)
    return Number(/\d+$/.exec(JSON.parse(stdout).submitted)?.[0])
  }
  /** What the job has written, in all of its starts. */
  const logOf = (name: string): string => {
    const log = readdirSync(data.root).find((one) => one.startsWith(`${name}-`) && one.endsWith('.log'))
    return log === undefined ? '' : readFileSync(join(data.root, log), 'utf8')
  }
  const reach = (name: string, least: number) =>
    until(() => recordedSteps(join(data.root, name)) >= least, 120, `step ${least} of ${name}`)
  /** A job that takes all processors for a moment. */
  const urgent = () => cluster.call('sbatch', '-p', partitions.urgent, '-n', '2', '-o', '/dev/null', '--wrap', 'true')
  /** Hashes of the model and the last checkpoint; a stop leaves another one. */
  const lastOf = (name: string) =>
    Object.entries(remainsOf(join(data.root, name))).filter(
      ([file]) => file.startsWith('model') || file.includes(`${steps}`),
    )
  const expectWhole = async (name: string, job: number, restarts: number) => {
    const ended = await cluster.ended(job, 240)
    expect(ended, logOf(name)).toEqual({ state: 'COMPLETED', restarts, exitCode: '0:0' })
    expect(await lossesOf(recipe(name))).toEqual(await lossesOf(recipe('whole')))
    expect(lastOf(name)).toEqual(lastOf('whole'))
  }

  it('saves before its time is over and when it is preempted, and resumes to the same bits', async () => {
    const job = submit('ordinary', partitions.ordinary)
    await reach('ordinary', 10)
    // What Slurm sends before the time of a job is over: to its tasks, not to the script.
    cluster.call('scancel', '--signal=USR1', String(job))
    // A fast machine takes many steps before the signal arrives.
    await cluster.restarted(job, 1, 120)
    await reach('ordinary', recordedSteps(join(data.root, 'ordinary')) + 20)
    urgent()
    await expectWhole('ordinary', job, 2)
  })

  it('is requeued too where its partition gives preempted jobs time to end by themselves', async () => {
    const job = submit('grace', partitions.withGrace)
    await reach('grace', 10)
    urgent()
    await expectWhole('grace', job, 1)
  })

  it('is not requeued when it is cancelled', async () => {
    const job = submit('cancelled', partitions.ordinary)
    await reach('cancelled', 10)
    cluster.call('scancel', String(job))
    expect(await cluster.ended(job, 120)).toMatchObject({ state: 'CANCELLED', restarts: 0 })
  })
})
