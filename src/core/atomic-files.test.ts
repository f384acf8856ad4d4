import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { expectWritable, removeUnfinished, writeFileAtomic, writeFolderAtomic } from './atomic-files.ts'

/** Called before each rename and removal, in place of a kill or a disk that fails there. */
const before = vi.hoisted(() => ({ rename: (_to: string) => {}, rm: (_path: string) => {} }))
vi.mock('node:fs/promises', async (importOriginal) => {
  const fs = await importOriginal<typeof import('node:fs/promises')>()
  return {
    ...fs,
    rename: async (from: string, to: string) => {
      before.rename(to)
      await fs.rename(from, to)
    },
    rm: async (path: string, options: object) => {
      before.rm(path)
      await fs.rm(path, options)
    },
  }
})
afterEach(() => {
  before.rename = before.rm = () => {}
  vi.restoreAllMocks()
})

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunesmith-atomic-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

it('writes and replaces a file and leaves nothing else behind', async () => {
  const path = join(folder, 'deep', 'er', 'file.json')
  await writeFileAtomic(path, 'one')
  await writeFileAtomic(path, new Uint8Array([116, 119, 111]))
  expect(await readFile(path, 'utf8')).toBe('two')
  expect(await readdir(join(folder, 'deep', 'er'))).toEqual(['file.json'])
})

it('cleans up when the file cannot be put in place', async () => {
  const place = join(folder, 'occupied')
  await mkdir(join(place, 'target', 'inside'), { recursive: true })
  await expect(writeFileAtomic(join(place, 'target'), 'x')).rejects.toThrow()
  expect(await readdir(place)).toEqual(['target'])
})

it('replaces a whole folder only when it was filled', async () => {
  const path = join(folder, 'model')
  await writeFolderAtomic(path, (to) => writeFile(join(to, 'a'), '1'))
  const half = writeFolderAtomic(path, async (to) => {
    await writeFile(join(to, 'b'), '2')
    throw new Error('power cut')
  })
  await expect(half).rejects.toThrow('power cut')
  expect(await readdir(path)).toEqual(['a'])
  await writeFolderAtomic(path, async (to) => {
    await mkdir(join(to, 'sub'))
    await writeFile(join(to, 'sub', 'c'), '3')
  })
  expect(await readdir(path)).toEqual(['sub'])
  expect((await readdir(folder)).filter((name) => name.includes('.tmp'))).toEqual([])
})

it('knows before the work whether a file can be written, and leaves nothing', async () => {
  const place = join(folder, 'later')
  await expectWritable(join(place, 'vectors.npy'), 'out')
  expect(await readdir(place)).toEqual([])
  await writeFile(join(place, 'file'), '')
  await expect(expectWritable(join(place, 'file', 'vectors.npy'), 'out')).rejects.toThrow(/out/)
})

it('brings the old folder back after a kill between the two renames', async () => {
  const root = join(folder, 'killed')
  const path = join(root, 'model')
  await writeFolderAtomic(path, (to) => writeFile(join(to, 'a'), 'old'))
  // Everything after the old folder has moved aside fails, as if the process had ended there.
  before.rename = (to) => {
    if (to.endsWith('.tmp')) return
    before.rm = before.rename = () => {
      throw new Error('killed')
    }
    throw new Error('killed')
  }
  await expect(writeFolderAtomic(path, (to) => writeFile(join(to, 'a'), 'new'))).rejects.toThrow('killed')
  before.rename = before.rm = () => {}
  expect(existsSync(path)).toBe(false)
  // Another process may be between its renames at this moment.
  expect(await removeUnfinished(root, 'model.')).toBe(false)
  expect(existsSync(path)).toBe(false)
  const now = Date.now()
  vi.spyOn(Date, 'now').mockReturnValue(now + 61_000)
  expect(await removeUnfinished(root, 'model.')).toBe(true)
  expect(await readdir(root)).toEqual(['model'])
  expect(await readFile(join(path, 'a'), 'utf8')).toBe('old')
})

it('has replaced a folder even where the old one cannot be removed, and removes that later', async () => {
  const root = join(folder, 'stuck')
  const path = join(root, 'model')
  await writeFolderAtomic(path, (to) => writeFile(join(to, 'a'), 'old'))
  before.rm = () => {
    throw new Error('EBUSY')
  }
  await writeFolderAtomic(path, (to) => writeFile(join(to, 'a'), 'new'))
  before.rm = () => {}
  expect(await readdir(root)).toHaveLength(2)
  const now = Date.now()
  vi.spyOn(Date, 'now').mockReturnValue(now + 61_000)
  expect(await removeUnfinished(root)).toBe(false)
  expect(await readdir(root)).toEqual(['model'])
  expect(await readFile(join(path, 'a'), 'utf8')).toBe('new')
})

it.skipIf(!existsSync('/proc/self'))(
  'refuses a place where the system has no folders of users, and does not wait for ever (skipped without /proc)',
  async () => {
    await expect(writeFileAtomic('/proc/x/y.json', 'x')).rejects.toThrow(/can be created, got \/proc\/x/)
    await expect(expectWritable('/proc/y.npy', 'out')).rejects.toThrow(/Cannot write `out` \/proc\/y\.npy/)
    await expect(writeFolderAtomic('/proc/x/y', async () => {})).rejects.toThrow(/can be created, got \/proc\/x/)
  },
)
