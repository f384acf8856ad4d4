// Thousands of random, mostly wrong calls of every operator in a process of its own: it must live, and each failure must be one
// of our errors, in one line.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { FuzzReport } from './fuzz-child.ts'
import { runChild } from './run-child.ts'

const folder = mkdtempSync(join(tmpdir(), 'tunesmith-fuzz-'))
afterAll(() => rmSync(folder, { recursive: true }))

const calls = 5000

describe('random calls', () => {
  it.each(['one', 'two'])(`seed %s: ${calls} calls neither crash nor throw anything but our errors`, async (seed) => {
    const journal = join(folder, seed)
    const { result, exitCode, signal, errors } = await runChild<FuzzReport>('./fuzz-child.ts', [
      seed,
      String(calls),
      journal,
    ])
    const last = readFileSync(journal, 'utf8').trim()
    // libtorch's own warnings go to stderr; they matter only beside a crash.
    const died = exitCode === 0 ? '' : ` in ${last}: ${errors.slice(-2000)}`
    expect(`exit ${exitCode}, signal ${signal}${died}`).toBe('exit 0, signal null')
    const report = result as FuzzReport
    console.log(
      `fuzz ${seed}: ${report.succeeded} of ${report.calls} succeeded, thrown ${JSON.stringify(report.thrown)}`,
    )
    expect(report.faults).toEqual([])
    expect(report.calls).toBe(calls)
    // Random arguments are right often enough to reach the kernels.
    expect(report.succeeded).toBeGreaterThan(calls / 10)
  })
})
