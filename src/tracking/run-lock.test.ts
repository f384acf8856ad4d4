import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { lockRun } from './run-requests.ts'

const root = mkdtempSync(join(tmpdir(), 'tunesmith-lock-'))
afterAll(() => rmSync(root, { recursive: true }))

it('removes the folders that it made for a run that wrote nothing, and no others', async () => {
  const run = join(root, 'runs', 'tone')
  await (await lockRun(run))()
  expect(existsSync(join(root, 'runs'))).toBe(false)
  const unlock = await lockRun(run)
  writeFileSync(join(run, 'run.json'), '{}')
  await unlock()
  expect(existsSync(join(run, 'run.json'))).toBe(true)
  const own = join(root, 'own')
  mkdirSync(own)
  await (await lockRun(own))()
  expect(existsSync(own)).toBe(true)
})

it.skipIf(!existsSync('/proc/self'))('refuses a run where folders are impossible (skipped without /proc)', async () => {
  await expect(lockRun('/proc/x/run')).rejects.toThrow(/`out`, got \/proc\/x/)
})
