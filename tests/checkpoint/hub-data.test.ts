// Data sets of the Hub as paths of data, against a local server that imitates the Hub: splits by name and by card, one download, a pinned
// commit, and errors that name what there is.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { pinData, resolveData } from '../../src/checkpoint/index.ts'
import { expandFiles } from '../../src/files/index.ts'
import { inspectData } from '../../src/runs/index.ts'
import { startHub } from './hub-server.ts'

const commit = 'c'.repeat(40)
const scratch = mkdtempSync(join(tmpdir(), 'hub-data-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

let count = 0
let files: Map<string, Uint8Array>
let asked: string[]
let hub: Awaited<ReturnType<typeof startHub>>
const lines = (texts: readonly string[]) =>
  Buffer.from(texts.map((text, i) => JSON.stringify({ text, label: i % 2 === 0 ? 'good' : 'bad' })).join('\n'))

beforeEach(async () => {
  asked = []
  files = new Map([
    ['README.md', Buffer.from('# reviews')],
    ['loader.py', Buffer.from('raise SystemExit')],
    ['data/train-00000-of-00002.jsonl', lines(['one', 'two'])],
    ['data/train-00001-of-00002.jsonl', lines(['three', 'four'])],
    ['data/test-00000-of-00001.jsonl', lines(['five', 'six'])],
    ['dev/part.csv', Buffer.from('text,label\nseven,good\neight,bad')],
  ])
  hub = await startHub({ kind: 'datasets', commit, revisions: ['main', 'v2'], files, asked })
  vi.stubEnv('HF_ENDPOINT', hub.address)
  vi.stubEnv('HF_HUB_CACHE', join(scratch, `cache-${++count}`))
  vi.stubEnv('HF_HUB_OFFLINE', '')
  vi.stubEnv('HF_TOKEN', '')
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await hub.close()
})

const namesOf = async (path: string) => (await expandFiles(await resolveData(path), [''])).map((file) => basename(file))

describe('a data set of the Hub', () => {
  it('is read split by split: only its files are downloaded, once, and never again for a commit', async () => {
    expect(await pinData('hub:org/name:train')).toBe(`hub:org/name@${commit}:train`)
    const downloads = () => asked.filter((path) => path.includes('/resolve/')).map((path) => basename(path))
    expect(new Set(downloads())).toEqual(
      new Set(['README.md', 'train-00000-of-00002.jsonl', 'train-00001-of-00002.jsonl']),
    )
    const before = asked.length
    expect(await namesOf(`hub:org/name@${commit}:train`)).toEqual([
      'train-00000-of-00002.jsonl',
      'train-00001-of-00002.jsonl',
    ])
    expect(asked.length).toBe(before)
    // The split is in the name of a folder.
    expect(await namesOf('hub:org/name@v2:validation')).toEqual(['part.csv'])
    const inspected = await inspectData('hub:org/name:train', {
      task: 'sequence-classification',
      validation: 'hub:org/name:test',
    })
    expect([inspected.train.report.records, inspected.validation?.report.records]).toEqual([4, 2])
    expect(await pinData('reviews.csv')).toBe('reviews.csv')
  })

  it('has the splits and subsets that its card declares', async () => {
    files.set(
      'README.md',
      Buffer.from(`---
configs:
- config_name: first
  data_files:
  - split: train
    path: data/train-*
  - split: odd
    path: ["dev/*.csv"]
- config_name: second
  data_files: data/test*
---
# reviews`),
    )
    expect(await namesOf('hub:org/name:first/odd')).toEqual(['part.csv'])
    expect(await namesOf('hub:org/name:second/test')).toEqual(['test-00000-of-00001.jsonl'])
    await expect(resolveData('hub:org/name:train')).rejects.toThrow(
      /has first\/train, first\/odd, second\/test, got "train"\. Name the subset too, as in `hub:org\/name:first\/train`/,
    )
  })

  it('is read as Parquet, which is preferred where the same rows are there in other formats', async () => {
    files.set('data/train.parquet', readFileSync(new URL('../tasks/golden/classes.parquet', import.meta.url)))
    expect(await namesOf('hub:org/name:train')).toEqual(['train.parquet'])
    const { train } = await inspectData('hub:org/name:train', { task: 'sequence-classification' })
    expect(train.report.records).toBeGreaterThan(1)
  })

  it('that is not there is an error which names what is', async () => {
    await expect(resolveData('hub:org/name')).rejects.toThrow(
      /has train, test, validation\. Name one, as in `hub:org\/name:train`/,
    )
    await expect(resolveData('hub:org/name:tset')).rejects.toThrow(
      /train, test, validation, got "tset"\. Did you mean `test`/,
    )
    await expect(resolveData('hub:org/none:train')).rejects.toThrow(
      /data set org\/none at main failed: .*Check the name/,
    )
    await expect(resolveData('hub:org/name@v9:train')).rejects.toThrow(/org\/name at v9 failed/)
    for (const path of ['hub:', 'hub:a/b/c', 'hub:org/name@', 'hub:org/name@../x:train'])
      await expect(resolveData(path)).rejects.toThrow(/^Expected hub:owner\/name@revision:split/)
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    await expect(resolveData('hub:org/name@v2:train')).rejects.toThrow(
      /at v2 in the cache, because the network is switched off/,
    )
    expect(await namesOf('hub:org/name:train').catch(({ message }: Error) => message)).toMatch(
      /^Expected the split train .*found none of its splits/,
    )
    vi.stubEnv('HF_HUB_OFFLINE', '')
    await resolveData('hub:org/name:test')
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    await expect(resolveData('hub:org/name:train')).rejects.toThrow(/switched off, found test\. Download it once/)
    expect(readFileSync((await resolveData('hub:org/name:test')).slice(1), 'utf8')).not.toContain(scratch)
  })

  it('without files of data is refused', async () => {
    for (const path of [...files.keys()]) if (/jsonl|csv/.test(path)) files.delete(path)
    await expect(resolveData('hub:org/name:train')).rejects.toThrow(
      /no Parquet, JSON, CSV or TSV files \(data that a script/,
    )
  })
})
