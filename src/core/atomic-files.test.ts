import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { expectWritable, writeFileAtomic, writeFolderAtomic } from './atomic-files.ts'

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

it.skipIf(!existsSync('/proc/self'))(
  'refuses a place where the system has no folders of users, and does not wait for ever (skipped without /proc)',
  async () => {
    await expect(writeFileAtomic('/proc/x/y.json', 'x')).rejects.toThrow(/can be created, got \/proc\/x/)
    await expect(expectWritable('/proc/y.npy', 'out')).rejects.toThrow(/Cannot write `out` \/proc\/y\.npy/)
    await expect(writeFolderAtomic('/proc/x/y', async () => {})).rejects.toThrow(/can be created, got \/proc\/x/)
  },
)
