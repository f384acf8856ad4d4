import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { folderOwner, lockFolder } from './folder-lock.ts'

const root = mkdtempSync(join(tmpdir(), 'tunesmith-locks-'))
afterAll(() => rmSync(root, { recursive: true }))
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(root, 'one-'))
})
const refuse = (owner: number) => `busy with ${owner}`

describe('the lock of a folder', () => {
  it('names its process, and is gone when it is given back', async () => {
    expect(await folderOwner(folder)).toBeUndefined()
    const unlock = await lockFolder(folder, refuse)
    expect(await folderOwner(folder)).toBe(process.pid)
    await expect(lockFolder(folder, refuse)).rejects.toThrow(`busy with ${process.pid}`)
    await unlock()
    expect(readdirSync(folder)).toEqual([])
  })

  it.each(['', 'no process', '999999999 1', `${process.pid} 1`])(
    'of a process that is dead (%j) is taken over',
    async (content) => {
      writeFileSync(join(folder, '.lock'), content)
      await (await lockFolder(folder, refuse))()
      expect(readdirSync(folder)).toEqual([])
    },
  )

  it('is never had by two of eight processes, which also leave dead locks', async () => {
    const worker = fileURLToPath(new URL('./fixtures/lock-worker.ts', import.meta.url))
    const counts = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const child = spawn(process.execPath, ['--import', 'tsx', worker, folder, '40', String(i)], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        let text = ''
        for await (const chunk of child.stdout) text += chunk
        return text
      }),
    )
    expect(counts).toEqual(Array.from({ length: 8 }, () => '0'))
  })
})
