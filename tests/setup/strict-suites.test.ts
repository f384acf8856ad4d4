// The lists of suites for the strict device: each folder of tests is in `npm run test:strict` or left out with a reason, and what
// `npm test` runs there exists.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { everyTime, leftOut, suites } from '../../scripts/strict-suites.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))

it('each folder with tests is in the list, or left out with a reason', () => {
  const tests = ['src', 'tests'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.test.ts') && /[\\/]/.test(name))
      .map((name) => `${folder}/${name.split(/[\\/]/)[0]}/`),
  )
  expect(tests.length).toBeGreaterThan(300)
  expect([...suites, ...Object.keys(leftOut)].sort()).toEqual([...new Set(tests)].sort())
  for (const reason of Object.values(leftOut)) expect(reason.length).toBeGreaterThan(10)
})

it('what `npm test` runs on the strict device exists, and is part of the list', () => {
  expect(everyTime.length).toBeGreaterThan(20)
  for (const file of everyTime) {
    expect(existsSync(join(root, file)), file).toBe(true)
    expect(
      suites.some((folder) => file.startsWith(folder)),
      file,
    ).toBe(true)
  }
})
