// The variables that launchers set. Names and meanings are those of torchrun (torch 2.13), Slurm 24.11, Kubernetes 1.32 and OpenMPI 4.
import { describe, expect, it } from 'vitest'
import { expectOneProcess, firstHost, readLaunch } from './launch-environment.ts'

const torchrun = { RANK: '1', WORLD_SIZE: '4', LOCAL_RANK: '1', MASTER_ADDR: 'head', MASTER_PORT: '29400' }
const slurm = {
  SLURM_JOB_ID: '1234',
  SLURM_STEP_ID: '0',
  SLURM_PROCID: '3',
  SLURM_LOCALID: '1',
  SLURM_STEP_NUM_TASKS: '4',
  SLURM_STEP_NODELIST: 'node[07-08]',
}
const kubernetes = { JOB_COMPLETION_INDEX: '2', WORLD_SIZE: '3', MASTER_ADDR: 'job-0.job' }
const openMpi = { OMPI_COMM_WORLD_RANK: '1', OMPI_COMM_WORLD_SIZE: '2', OMPI_COMM_WORLD_LOCAL_SIZE: '2' }

describe('readLaunch', () => {
  it('is undefined for a process that runs alone', () => {
    expect(readLaunch({})).toBeUndefined()
    expect(readLaunch({ ...torchrun, RANK: '0', WORLD_SIZE: '1' })).toBeUndefined()
    // A batch script without srun, and an Indexed Job whose pods have runs of their own.
    expect(readLaunch({ ...slurm, SLURM_STEP_ID: undefined })).toBeUndefined()
    expect(readLaunch({ JOB_COMPLETION_INDEX: '2' })).toBeUndefined()
  })

  it('reads each launcher', () => {
    expect(readLaunch(torchrun)).toMatchObject({ launcher: 'torchrun', rank: 1, size: 4, host: 'head', port: 29400 })
    expect(readLaunch({ ...torchrun, TORCHELASTIC_USE_AGENT_STORE: 'True' })?.agentStore).toBe(true)
    expect(readLaunch(slurm)).toMatchObject({ launcher: 'Slurm', rank: 3, size: 4, host: 'node07', port: 11234 })
    expect(readLaunch({ ...slurm, MASTER_ADDR: 'head', MASTER_PORT: '5' })).toMatchObject({ host: 'head', port: 5 })
    expect(readLaunch(kubernetes)).toMatchObject({ rank: 2, size: 3, host: 'job-0.job', port: 29500 })
    expect(readLaunch(openMpi)).toMatchObject({ launcher: 'OpenMPI', rank: 1, size: 2, host: '127.0.0.1' })
  })

  it('takes a file as the store, which needs no port', () => {
    const file = { ...torchrun, MASTER_ADDR: 'file:///shared/run.store', MASTER_PORT: undefined }
    expect(readLaunch(file)).toMatchObject({ rank: 1, size: 4, file: '/shared/run.store', agentStore: false })
    expect(readLaunch({ ...slurm, MASTER_ADDR: 'file:/shared/store' })?.file).toBe('/shared/store')
    expect(readLaunch(torchrun)?.file).toBeUndefined()
  })

  it('takes torchrun inside a step of Slurm', () => {
    expect(readLaunch({ ...slurm, ...torchrun, TORCHELASTIC_RUN_ID: 'x' })).toMatchObject({ rank: 1, size: 4 })
  })

  it.each([
    [{ ...torchrun, RANK: '' }, 'RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT from torchrun.*Set RANK too'],
    [{ RANK: '0' }, 'Set WORLD_SIZE and MASTER_ADDR and MASTER_PORT too'],
    [{ MASTER_ADDR: 'head' }, 'got MASTER_ADDR only'],
    [{ ...torchrun, RANK: '4' }, 'a rank below the 4 processes of torchrun, got 4'],
    [{ ...torchrun, WORLD_SIZE: '0' }, 'at least 1 for the environment variable WORLD_SIZE, got "0"'],
    [{ ...torchrun, RANK: 'one' }, 'RANK, got "one"'],
    [{ ...torchrun, MASTER_PORT: '70000' }, 'a port from 1 to 65535'],
    [{ ...torchrun, MASTER_ADDR: 'file:run.store' }, 'an absolute path for the file of MASTER_ADDR'],
    [{ ...slurm, SLURM_JOB_ID: undefined }, 'Set SLURM_JOB_ID too'],
    [{ JOB_COMPLETION_INDEX: '0', WORLD_SIZE: '2' }, 'Set MASTER_ADDR too'],
    [{ ...openMpi, OMPI_COMM_WORLD_SIZE: '4' }, 'set MASTER_ADDR to the machine of rank 0'],
    [{ ...slurm, ...torchrun }, 'one launcher, got torchrun with rank 1 of 4 and Slurm with rank 3 of 4'],
  ])('refuses %j', (env, message) => {
    expect(() => readLaunch(env)).toThrow(new RegExp(message))
  })
})

describe('expectOneProcess', () => {
  it('refuses a group, and takes a process alone', () => {
    expect(() => expectOneProcess('sweep')).not.toThrow()
    const before = { ...process.env }
    Object.assign(process.env, torchrun)
    try {
      expect(() => expectOneProcess('sweep')).toThrow('Expected one process for sweep, got 4 of torchrun')
    } finally {
      process.env = before
    }
  })
})

describe('firstHost', () => {
  it.each([
    ['alone', 'alone'],
    ['node[03-07,9],login', 'node03'],
    ['a[1,2]b[3-4]', 'a1b3'],
    ['x,y', 'x'],
  ])('%s', (list, host) => expect(firstHost(list)).toBe(host))
})
