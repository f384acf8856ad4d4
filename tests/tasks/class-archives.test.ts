// Archives with a folder for each class as data of a task, found by their file names, as the README describes them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { tarOf, zipOf } from '../../src/files/fixtures/archives.ts'
import { openRows } from '../../src/tasks/records/read-rows.ts'

const folder = mkdtempSync(join(tmpdir(), 'class-archives-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const read = async (name: string, content: Buffer) => {
  const path = join(folder, name)
  writeFileSync(path, content)
  const source = await openRows(path, { format: 'auto', header: true, quotes: 'auto' })
  const faults = {
    fault: ({ message }: { message: string }) => {
      throw new Error(message)
    },
  }
  const rows: unknown[] = []
  for await (const { values } of source.rows(faults as never)) rows.push(values)
  return rows
}

describe('an archive with a folder for each class', () => {
  const files = { 'movies/neg/b.txt': 'bad', 'movies/pos/a.txt': 'good', 'movies/readme.md': 'about' }
  it.each([
    ['movie_reviews.zip', zipOf],
    ['movie_reviews.tar', tarOf],
  ])('is read without naming its format: %s', async (name, pack) => {
    expect(await read(name, pack(files))).toEqual([
      { text: 'bad', label: 'neg', id: 'neg/b' },
      { text: 'good', label: 'pos', id: 'pos/a' },
    ])
  })

  it('is refused when an entry leaves it, so that no class comes from outside', async () => {
    await expect(read('evil.zip', zipOf({ '../../ux/a.txt': 'x' }))).rejects.toThrow(/paths inside the archive/)
  })
})
