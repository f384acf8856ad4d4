import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ConfigError, sha256 } from '../../core/index.ts'
import { lockBuild } from './corpus-folder.ts'
import { canonicalJson, clearFolder, keyOf, pruneFolders, readEntry, writeEntry } from './journal.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunesmith-journal-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('keys', () => {
  it('do not depend on the order of fields, and do on everything else', () => {
    expect(canonicalJson({ b: 1, a: { d: [2, 1], c: undefined } })).toBe('{"a":{"d":[2,1]},"b":1}')
    expect(keyOf({ a: 1, b: 2 })).toBe(keyOf({ b: 2, a: 1 }))
    expect(keyOf({ a: [1, 2] })).not.toBe(keyOf({ a: [2, 1] }))
  })
})

describe('entries', () => {
  const data = 'some bytes'
  async function finish() {
    const piece = join(folder, 'piece')
    await clearFolder(piece)
    await writeFile(join(piece, 'data'), data)
    const file = { path: 'data', lines: 1, bytes: data.length, sha256: sha256(data) }
    await writeEntry(piece, { key: 'k', files: [file], result: { count: 7 } })
    return piece
  }

  it('are recognised when every file is whole', async () => {
    const piece = await finish()
    expect((await readEntry(piece, 'k', piece))?.result).toEqual({ count: 7 })
    expect(await readEntry(piece, 'other', piece)).toBeUndefined()
  })

  it.each([
    ['another byte', 'some bytez'],
    ['a missing end', 'some'],
  ])('are not when a file has %s', async (_, bytes) => {
    const piece = await finish()
    await writeFile(join(piece, 'data'), bytes)
    expect(await readEntry(piece, 'k', piece)).toBeUndefined()
    expect(await readEntry(piece, 'k', undefined)).toBeDefined()
  })

  it('are not when the entry itself is cut off or edited', async () => {
    const piece = await finish()
    const path = join(piece, 'entry.json')
    const text = await readFile(path, 'utf8')
    await writeFile(path, text.replace('"count":7', '"count":8'))
    expect(await readEntry(piece, 'k', piece)).toBeUndefined()
    await writeFile(path, text.slice(0, 40))
    expect(await readEntry(piece, 'k', piece)).toBeUndefined()
  })

  it('are removed when not wanted any more', async () => {
    const piece = await finish()
    await pruneFolders(folder, new Set(['piece']))
    expect(await readEntry(piece, 'k', piece)).toBeDefined()
    await pruneFolders(folder, new Set())
    expect(await readEntry(piece, 'k', piece)).toBeUndefined()
  })
})

describe('lockBuild', () => {
  it('replaces the lock of an ended process, and refuses that of a running one', async () => {
    await writeFile(join(folder, '.lock'), '999999999 1')
    const unlock = await lockBuild(folder)
    await unlock()
    // Process 1 always lives; with the wrong start time the number was given away meanwhile.
    await writeFile(join(folder, '.lock'), '1 1')
    await (await lockBuild(folder))()
    await writeFile(join(folder, '.lock'), `${process.ppid} ${await startOf(process.ppid)}`)
    await expect(lockBuild(folder)).rejects.toThrow(ConfigError)
  })
})

const startOf = async (pid: number): Promise<string> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!
}
