import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { DataError } from '../core/index.ts'
import { expandFiles } from './paths.ts'

const folder = mkdtempSync(join(tmpdir(), 'paths-'))
afterAll(() => rmSync(folder, { recursive: true }))
for (const name of ['b.txt', 'a.txt.gz', 'sub/c.TXT', 'sub/deep/d.txt.bz2', 'x.json', '.hidden.txt', 'odd[1].txt']) {
  mkdirSync(join(folder, name, '..'), { recursive: true })
  writeFileSync(join(folder, name), '')
}
symlinkSync(folder, join(folder, 'sub', 'loop'))
const short = (paths: string[]) => paths.map((path) => path.slice(folder.length + 1))

it('searches a folder in depth for the extensions, packed or not, in a fixed order', async () => {
  expect(short(await expandFiles(folder, ['.txt']))).toEqual([
    'a.txt.gz',
    'b.txt',
    'odd[1].txt',
    'sub/c.TXT',
    'sub/deep/d.txt.bz2',
  ])
})
it('recognises the parts of a Wikipedia dump by their page range', async () => {
  const dump = join(folder, 'dump')
  mkdirSync(dump)
  for (const name of ['wiki1.xml-p1p41242.bz2', 'wiki2.xml-p41243p99-shortened', 'wiki.sql-p1p2.gz'])
    writeFileSync(join(dump, name), '')
  expect(short(await expandFiles(dump, ['.xml']))).toEqual([
    'dump/wiki1.xml-p1p41242.bz2',
    'dump/wiki2.xml-p41243p99-shortened',
  ])
  rmSync(dump, { recursive: true })
})
it('returns a file with any name', async () => {
  expect(short(await expandFiles(join(folder, 'odd[1].txt'), ['.xml']))).toEqual(['odd[1].txt'])
})
it.each([
  ['*.txt', ['b.txt', 'odd[1].txt']],
  ['**/*.txt', ['b.txt', 'odd[1].txt']],
  ['**/*.txt*', ['a.txt.gz', 'b.txt', 'odd[1].txt', 'sub/deep/d.txt.bz2']],
  ['sub/**', ['sub/c.TXT', 'sub/deep/d.txt.bz2']],
  ['?.txt', ['b.txt']],
  ['{b,x}.{txt,json}', ['b.txt', 'x.json']],
])('matches the glob %s', async (glob, expected) => {
  expect(short(await expandFiles(join(folder, glob), ['.txt']))).toEqual(expected)
})
it('reads a list, relative to itself, in its order', async () => {
  writeFileSync(join(folder, 'list'), '# comment\nx.json\n\nsub\n')
  expect(short(await expandFiles(`@${join(folder, 'list')}`, ['.txt']))).toEqual([
    'x.json',
    'sub/c.TXT',
    'sub/deep/d.txt.bz2',
  ])
})
it.each(['none', '*.none', '@none'])('throws DataError for %s', async (path) => {
  await expect(expandFiles(path.startsWith('@') ? path : join(folder, path), ['.txt'])).rejects.toThrow(DataError)
})
it('throws DataError for a folder without such files', async () => {
  await expect(expandFiles(folder, ['.warc'])).rejects.toThrow(/Expected files ending in \.warc/)
})
it('names the scheme of an address, in a list too', async () => {
  const refusal = /Expected a path of a file system, got an address of (hdfs|s3a), which is not read/
  await expect(expandFiles('hdfs://head:8020/crawl', ['.warc'])).rejects.toThrow(refusal)
  writeFileSync(join(folder, 'addresses'), 's3a://bucket/crawl/*.warc.gz\n')
  await expect(expandFiles(`@${join(folder, 'addresses')}`, ['.warc'])).rejects.toThrow(refusal)
})
it('leaves out files that describe a data set of Hugging Face, and says what to do with its Arrow files', async () => {
  const saved = join(folder, 'saved')
  mkdirSync(saved)
  for (const name of ['dataset_info.json', 'dataset_infos.json', 'state.json', 'rows.json'])
    writeFileSync(join(saved, name), '{}')
  expect(short(await expandFiles(saved, ['.json']))).toEqual(['saved/rows.json', 'saved/state.json'])
  writeFileSync(join(saved, 'data-00000-of-00001.arrow'), '')
  expect(short(await expandFiles(saved, ['.json']))).toEqual(['saved/rows.json'])
  rmSync(join(saved, 'rows.json'))
  await expect(expandFiles(saved, ['.json'])).rejects.toThrow(/got Arrow files.*`to_parquet`/)
})
