// Groups of real processes over Gloo on this machine: what they exchange, and that none outlives the others.
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { launchProcesses } from '../../src/distributed/index.ts'
import { bundledChild } from '../setup/bundled-child.ts'

const member = await bundledChild(new URL('./fixtures/member.ts', import.meta.url))
const run = (...args: string[]): [string, ...string[]] => [process.execPath, member, ...args]

/** Runs a group, and gives what its processes but the first wrote. */
const launch = async (processes: number, args: string[], env: Record<string, string> = {}) => {
  const lines: string[] = []
  Object.assign(process.env, env)
  try {
    const result = await launchProcesses({
      processes,
      command: run(...args),
      graceMs: 6000,
      onLine: (rank, line) => lines.push(`${rank} ${line}`),
    })
    return { ...result, lines, codes: result.processes.map(({ exitCode }) => exitCode) }
  } finally {
    for (const name of Object.keys(env)) delete process.env[name]
  }
}

describe('a group of three', () => {
  it('exchanges values and tensors', async () => {
    const { lines, exitCode } = await launch(3, ['exchange'])
    expect(exitCode).toBe(0)
    expect(lines).toHaveLength(2)
    for (const line of lines)
      expect(JSON.parse(line.slice(2))).toEqual({
        lengths: [0, 3000, 6000].map((length) => [length, true]),
        sum: [6, 30],
        parts: [3, 3],
        all: [0, 1, 2],
        copied: 1,
        made: [0, true],
      })
  })

  it('refuses facts that differ, and says where', async () => {
    const { lines, exitCode } = await launch(2, ['differ'])
    expect(exitCode).toBe(1)
    expect(lines.join()).toMatch(
      /Expected the same recipe on every process, got a on Rank 0 \(.*\) and b on Rank 1 \(.*, process \d+\)/,
    )
  })

  it('ends with the error of a process that failed', async () => {
    const { lines, codes } = await launch(3, ['throw', '1'])
    expect(codes).toEqual([1, 1, 1])
    expect(lines.find((line) => line.startsWith('2'))).toMatch(/Rank 1 \(.*\) failed: out of luck/)
  })

  it('ends where one process alone took another for gone', async () => {
    const { lines, codes } = await launch(3, ['lost'], { TUNESMITH_HEARTBEAT_SECONDS: '600' })
    // None had to be killed after the launcher's time.
    expect(codes).toEqual([1, 1, 1])
    expect(lines.filter((line) => line.includes('Rank 2 has not answered for 9 s.'))).toHaveLength(2)
  })

  it('ends by its deadline where one process does not come, and names it', async () => {
    const { lines, codes } = await launch(3, ['absent', '1'], { TUNESMITH_COLLECTIVE_SECONDS: '2' })
    expect(codes).toEqual([1, 1, 1])
    const line = lines.find((one) => one.startsWith('2')) ?? ''
    expect(line).toMatch(/Timed out waiting 2000ms/)
    expect(line).toMatch(/Rank 1 \(.*, process \d+\) does not wait for one: it computes, or it hangs in this one/)
    expect(line).not.toMatch(/Rank 0 \(.*\) (does|has begun)/)
  })

  it('ends by its deadline where processes begin collectives in different orders, and names both', async () => {
    const { lines, codes } = await launch(2, ['order', '1'], { TUNESMITH_COLLECTIVE_SECONDS: '2' })
    expect(codes).toEqual([1, 1])
    expect(lines.join()).toMatch(/has begun 2, the last a (sum|gather) of 2 elements/)
  })

  it.each([
    ['SIGKILL', 0],
    ['SIGSTOP', 1],
  ])('ends and names a process after %s of rank %i', async (signal, rank) => {
    const { lines, codes } = await launch(3, [signal, String(rank)], { TUNESMITH_HEARTBEAT_SECONDS: '2' })
    expect(codes.map((code, i) => (i === rank ? code > 128 : code === 1))).toEqual([true, true, true])
    expect(lines.find((line) => line.startsWith('2'))).toMatch(
      new RegExp(`Rank ${rank} \\(.*, process \\d+\\) has not answered for 2 s`),
    )
  })
})

/** One process without a launcher. */
const alone = async (env: Record<string, string>, args = ['exchange']) => {
  const child = spawn(process.execPath, run(...args).slice(1), { env: { ...process.env, ...env } })
  let text = ''
  child.stderr.on('data', (data) => {
    text += data
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  return { code, text }
}

describe('a store in a file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-store-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  /** The ranks of a group that share a file. */
  const together = (name: string, args: string[]) =>
    Promise.all(
      ['0', '1', '2'].map((RANK) =>
        alone(
          { RANK, WORLD_SIZE: '3', MASTER_ADDR: `file://${folder}/${name}`, TUNESMITH_HEARTBEAT_SECONDS: '5' },
          args,
        ),
      ),
    )

  it('serves a group, and is removed by the last process', async () => {
    const ended = await together('run.store', ['exchange'])
    expect(ended.map(({ code }) => code)).toEqual([0, 0, 0])
    for (const { text } of ended)
      expect(JSON.parse(text.trim().split('\n').at(-1) ?? '')).toMatchObject({
        sum: [6, 30],
        all: [0, 1, 2],
        copied: 1,
      })
    expect(readdirSync(folder)).toEqual([])
  })

  it('tells all of them which one failed, and which one is gone', async () => {
    const failed = await together('failed.store', ['throw', '1'])
    expect(failed.map(({ code }) => code)).toEqual([1, 1, 1])
    expect(failed[2].text).toMatch(/Rank 1 \(.*\) failed: out of luck/)
    const killed = await together('killed.store', ['SIGKILL', '0'])
    expect(killed.slice(1).map(({ code }) => code)).toEqual([1, 1])
    expect(killed[2].text).toMatch(/Rank 0 \(.*, process \d+\) has not answered for \d+ s/)
  })

  it('needs a folder', async () => {
    const { code, text } = await alone({ RANK: '0', WORLD_SIZE: '2', MASTER_ADDR: `file://${folder}/none/run.store` })
    expect(code).toBe(1)
    expect(text).toMatch(
      /Rank 0 cannot open the store \/.*ENOENT.* Give MASTER_ADDR a file in a folder that all processes/,
    )
  })
})

describe('connecting', () => {
  const variables = { WORLD_SIZE: '3', MASTER_ADDR: '127.0.0.1', TUNESMITH_CONNECT_SECONDS: '1' }

  it('names the ranks that are missing', async () => {
    const { code, text } = await alone({ ...variables, RANK: '0', MASTER_PORT: '28411' })
    expect(code).toBe(1)
    expect(text).toContain('1 of 3 processes of torchrun have connected within 1 s. Missing: rank 1, 2.')
  })

  it('names the address where no store is', async () => {
    const { text } = await alone({ ...variables, RANK: '2', MASTER_PORT: '28412' })
    expect(text).toContain('Rank 2 found no store at 127.0.0.1:28412 within 1 s')
  })

  it('leaves no watch behind where it fails', async () => {
    const { lines, codes } = await launch(2, ['no-interface'], { TUNESMITH_HEARTBEAT_SECONDS: '1' })
    expect(lines.join()).toContain('no-such-one')
    expect(codes).toEqual([0, 0])
  })

  it('names a port in use', async () => {
    const server = createServer().listen(28413, '0.0.0.0')
    const { text } = await alone({ ...variables, RANK: '0', MASTER_PORT: '28413' })
    server.close()
    expect(text).toMatch(/Port 28413 of 127.0.0.1 is in use by another program: set MASTER_PORT/)
  })

  it('names a host that is not known', async () => {
    const { text } = await alone({ ...variables, RANK: '1', MASTER_ADDR: 'no-such-host.invalid', MASTER_PORT: '28414' })
    expect(text).toContain('The host name no-such-host.invalid of rank 0 is not known on this machine.')
  })

  it('refuses to launch inside a group', async () => {
    await expect(launch(2, ['exchange'], { ...variables, RANK: '0', MASTER_PORT: '1' })).rejects.toThrow(
      /torchrun has started this process as rank 0 of 3 already/,
    )
  })

  it('names a program that cannot be started', async () => {
    await expect(launchProcesses({ processes: 2, command: ['no-such-program'] })).rejects.toThrow(
      'Cannot start `no-such-program`: expected a program, found none of this name (ENOENT). Write the whole command after `--`, with its program: `-- ',
    )
  })
})
