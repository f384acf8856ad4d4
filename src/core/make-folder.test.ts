import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { makeFolder } from './atomic-files.ts'
import { ConfigError } from './errors.ts'

const folder = mkdtempSync(join(tmpdir(), 'make-folder-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('makeFolder', () => {
  it('creates missing parents, and accepts a folder that exists', async () => {
    const path = join(folder, 'a', 'b', 'c')
    expect(await makeFolder(path, 'out')).toBe(join(folder, 'a'))
    expect(await makeFolder(path, 'out')).toBeUndefined()
    expect(statSync(path).isDirectory()).toBe(true)
  })

  it('refuses a path below a file and a path that is a file', async () => {
    writeFileSync(join(folder, 'file'), '')
    await expect(makeFolder(join(folder, 'file'), 'out')).rejects.toThrow(ConfigError)
    await expect(makeFolder(join(folder, 'file', 'x'), 'out')).rejects.toThrow(/`out`.*file, which is a file/)
  })

  it.skipIf(!existsSync('/proc/self'))(
    'refuses /proc, which has no folders of users (skipped without /proc)',
    async () => {
      await expect(makeFolder('/proc/x/y', 'out')).rejects.toThrow(/`out`, got \/proc\/x/)
    },
  )
})
