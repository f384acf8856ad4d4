import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { decodeDocument, encodeDocument } from '../document.ts'
import { LineWriter, readLines } from '../part-file.ts'
import { applyDecisions, type Decision, readWithDecisions, withoutLines } from './decisions.ts'
import { readEntry } from './journal.ts'
import { nothingLeft, type WriteItem, type WriteResult, writePart } from './write-task.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunesmith-write-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const linesFile = async (name: string, lines: readonly string[]): Promise<string> => {
  const path = join(folder, name)
  const writer = await LineWriter.create(path)
  for (const line of lines) await writer.write(line)
  await writer.close()
  return path
}

const document = (id: string, text = `text ${id}`) =>
  encodeDocument({ id, text, source: { kind: 'jsonl', path: 'p', offset: 0 }, metadata: { language: 'en' } })
const decision = (ordinal: number, more: Omit<Decision, 'ordinal'>) => JSON.stringify({ ordinal, ...more })

const lines = async (path: string): Promise<string[]> => {
  const all: string[] = []
  for await (const line of readLines(path)) all.push(line)
  return all
}

const write = async (items: WriteItem[]): Promise<WriteResult> => {
  const task = {
    type: 'write' as const,
    key: 'k',
    folder: join(folder, 'entry'),
    base: folder,
    partPath: 'data/part.gz',
    droppedPath: 'data/dropped.gz',
    items,
  }
  const dedup = [
    { stage: 'exact', reasons: ['exact-duplicate'] },
    { stage: 'lines', reasons: [nothingLeft] },
  ]
  const result = await writePart(task, { dedup })
  expect((await readEntry(task.folder, 'k', folder))?.result).toEqual(result)
  return result
}

describe('writePart', () => {
  it('leaves out what was decided, cuts lines, copies earlier drops, and counts by stage', async () => {
    const kept = await linesFile('kept', [
      document('a'),
      document('b'),
      document('c', 'one\ntwo\n\nthree'),
      document('d', 'all'),
      document('e'),
    ])
    const decisions = await linesFile('decisions', [
      decision(1, { stage: 'exact', reason: 'exact-duplicate', detail: 'kept a' }),
      decision(2, { stage: 'lines', removeLines: [1] }),
      decision(3, { stage: 'lines', removeLines: [0] }),
    ])
    const more = await linesFile('more', [document('f')])
    const earlier = await linesFile('earlier', ['{"earlier":1}'])
    const result = await write([
      { kind: 'dropped', path: earlier },
      { kind: 'kept', path: kept, decisions },
      { kind: 'kept', path: more },
    ])
    const written = (await lines(join(folder, 'data/part.gz'))).map((line, index) => decodeDocument(line, '', index))
    expect(written.map(({ id, text }) => [id, text])).toEqual([
      ['a', 'text a'],
      ['c', 'one\n\nthree'],
      ['e', 'text e'],
      ['f', 'text f'],
    ])
    expect(result.counts).toMatchObject([
      { stage: 'exact', documentsIn: 6, documentsOut: 5, dropped: { 'exact-duplicate': 1 } },
      { stage: 'lines', documentsIn: 5, documentsOut: 4, changed: 1, dropped: { [nothingLeft]: 1 } },
    ])
    expect(result.statistics).toMatchObject({ documents: 4, languages: { en: 4 }, kinds: { jsonl: { documents: 4 } } })
    expect(result.textBytes).toBe(6 * 3 + 10)
    expect((await lines(join(folder, 'data/dropped.gz'))).map((line) => JSON.parse(line) as object)).toMatchObject([
      { earlier: 1 },
      { id: 'b', stage: 'exact', reason: 'exact-duplicate', detail: 'kept a', bytes: 6 },
      { id: 'd', stage: 'lines', reason: nothingLeft },
    ])
    expect(result.samples.map(({ id }) => id).sort()).toEqual(['b', 'd'])
  })

  it('writes no file for nothing, and removes one of an earlier run', async () => {
    const kept = await linesFile('kept', [document('a')])
    await write([{ kind: 'kept', path: kept }])
    const decisions = await linesFile('decisions', [decision(0, { stage: 'exact', reason: 'exact-duplicate' })])
    const result = await write([{ kind: 'kept', path: kept, decisions }])
    expect(result.part).toBeUndefined()
    expect(existsSync(join(folder, 'data/part.gz'))).toBe(false)
    expect(await readdir(join(folder, 'data'))).toEqual(['dropped.gz'])
  })

  it('refuses decisions about documents that are not there', async () => {
    const kept = await linesFile('kept', [document('a')])
    const decisions = await linesFile('decisions', [decision(5, { stage: 'exact', reason: 'exact-duplicate' })])
    await expect(write([{ kind: 'kept', path: kept, decisions }])).rejects.toThrow(/Expected decisions/)
    expect(existsSync(join(folder, 'data/part.gz'))).toBe(false)
  })
})

describe('decisions', () => {
  it('come with their documents, several for one', async () => {
    const kept = await linesFile(
      'kept',
      ['a', 'b', 'c'].map((id) => document(id)),
    )
    const decisions = await linesFile('decisions', [
      decision(0, { stage: 'lines', removeLines: [0] }),
      decision(2, { stage: 'exact', reason: 'r' }),
      decision(2, { stage: 'lines', removeLines: [0] }),
    ])
    const found: [string, number][] = []
    for await (const decided of readWithDecisions({ path: kept, decisions }))
      found.push([decided.document.id, decided.decisions.length])
    expect(found).toEqual([
      ['a', 1],
      ['b', 0],
      ['c', 2],
    ])
  })

  it('cut lines without leaving runs of blank ones', () => {
    expect(withoutLines('a\n\nb\n\nc', [2])).toBe('a\n\nc')
    expect(applyDecisions('a\nb', [{ ordinal: 0, stage: 's', removeLines: [0] }])).toBe('b')
    expect(applyDecisions('a', [{ ordinal: 0, stage: 's', removeLines: [0] }])).toBeUndefined()
    expect(applyDecisions('a', [{ ordinal: 0, stage: 's', reason: 'r' }])).toBeUndefined()
    expect(applyDecisions('a', [])).toBe('a')
  })
})
