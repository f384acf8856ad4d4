// 10,500 damaged files in four formats, a tenth of them in `npm test`: each gives a typed error or loads correctly. Every damaged file has a seed,
// which a failure names: `node --import tsx tests/checkpoint/hostile-child.ts gguf 17 18 journal` opens the one of seed
// "gguf 17".
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { ConfigError } from '../../src/core/index.ts'
import { models } from '../../src/models/index.ts'
import { isFull } from '../grid.ts'
import { bundledChild } from '../setup/bundled-child.ts'
import type { HostileReport } from './hostile-child.ts'

const folder = mkdtempSync(join(tmpdir(), 'tunesmith-hostile-runs-'))
afterAll(() => rmSync(folder, { recursive: true }))

const child = await bundledChild(new URL('hostile-child.ts', import.meta.url))
const heapMegabytes = 768

/** Faults of a range of mutants; a child that dies is one too, and names the mutant at work. */
const run = async (suite: string, from: number, to: number): Promise<HostileReport> => {
  const journal = join(folder, `${suite}-${from}`)
  const process_ = spawn(
    process.execPath,
    [`--max-old-space-size=${heapMegabytes}`, child, suite, String(from), String(to), journal],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, OMP_WAIT_POLICY: 'passive', OMP_NUM_THREADS: '1' } },
  )
  let output = ''
  let errors = ''
  process_.stdout.on('data', (chunk: Buffer) => {
    output += chunk
  })
  process_.stderr.on('data', (chunk: Buffer) => {
    errors += chunk
  })
  const ended = await new Promise<string>((done, fail) => {
    process_.on('error', fail)
    process_.on('close', (code, signal) => done(signal ?? `exit ${code}`))
  })
  const line = output.trim().split('\n').at(-1) ?? ''
  if (ended === 'exit 0' && line.startsWith('{')) return JSON.parse(line) as HostileReport
  const at = readFileSync(journal, 'utf8').replace(/\s+/g, ' ').trim()
  return { mutants: 0, loaded: 0, refused: {}, faults: [`${at}: ${ended} ${errors.slice(-300)}`.trim()] }
}

describe('damaged files', () => {
  it.each(
    [
      ['safetensors', 3500],
      ['gguf', 3500],
      ['config', 2000],
      ['tokenizer', 1500],
    ].map(([suite, count]) => [String(suite), isFull ? Number(count) : Number(count) / 10] as const),
  )('%s: %i mutants', async (suite, count) => {
    const report = await run(suite, 0, count)
    expect(report.faults).toEqual([])
    expect(report.mutants).toBe(count)
    // Both ends must happen, or the damage is too small or too great to test anything.
    expect(report.loaded).toBeGreaterThan(count / 100)
    expect(report.loaded).toBeLessThan(count * 0.6)
  })

  it('of impossible sizes are refused before memory is allocated', () => {
    const fields = (more: object) => ({ ...models.llama.toHf(models.llama.fromHf({})), ...more })
    for (const more of [
      { hidden_size: 1e12 },
      { vocab_size: 1e12 },
      { num_hidden_layers: 1e9 },
      { intermediate_size: 2 ** 40 },
      { num_attention_heads: 2 ** 31 },
    ])
      expect(() => models.llama.fromHf(fields(more))).toThrow(ConfigError)
  })
})

describe('the runner', () => {
  it.each([
    ['hang', /hang 3 .*2 s of processor time.*SIGKILL/],
    ['giant', /giant 3.*took (more than )?\d+ bytes/],
    ['crash', /crash 3.*SIG/],
    ['foreign', /foreign 3: TypeError/],
    ['wrong', /wrong 3: a wrong value/],
  ])('notices: %s', async (suite, fault) => {
    const { faults } = await run(suite, 3, 4)
    expect(faults.join()).toMatch(fault)
  })
})
