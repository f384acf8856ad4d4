import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { runFiles } from '../../tracking/index.ts'
import { openSessions } from './run-record.ts'

const folder = mkdtempSync(join(tmpdir(), 'tunesmith-sessions-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('adds up all sessions, and starts at zero with a new run', async () => {
  const first = await openSessions(folder, { first: true })
  await new Promise((resolve) => setTimeout(resolve, 30))
  await first.note()
  first.stop()
  // Killed: its file says what it had noted, whatever came after.
  const second = await openSessions(folder, { first: false })
  await new Promise((resolve) => setTimeout(resolve, 30))
  const { count, wallSeconds, cpuSeconds } = second.total()
  second.stop()
  expect(count).toBe(2)
  expect(wallSeconds).toBeGreaterThan(0.055)
  expect(wallSeconds).toBeLessThan(10)
  expect(cpuSeconds).toBeGreaterThan(0)
  expect((await openSessions(folder, { first: true })).total().count).toBe(1)
})

it('goes on where the file is damaged', async () => {
  for (const text of ['{', '[1, {"wallSeconds": "x"}]', 'null']) {
    writeFileSync(join(folder, runFiles.sessions), text)
    expect((await openSessions(folder, { first: false })).total().count).toBe(1)
  }
})
