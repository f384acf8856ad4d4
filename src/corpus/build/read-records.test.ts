import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { DataError } from '../../core/index.ts'
import type { CorpusDocument, DropLine } from '../document.ts'
import { defineSource, type SourceDefinition, type SourceRecord } from '../sources/source.ts'
import { readRecords } from './read-records.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunesmith-read-'))
  for (const name of ['a', 'b', 'c']) await writeFile(join(folder, name), name)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** A source that gives two documents and a reject, then ends as `fault` says in file b. */
const fake = (fault?: () => void): Readonly<Record<string, SourceDefinition>> => {
  const source = defineSource({
    type: 'fake',
    config: z.strictObject({}),
    summary: '',
    extensions: [],
    async *open(path): AsyncGenerator<SourceRecord> {
      yield { id: '1', text: 'één', metadata: { title: 't' }, source: { path, offset: 0 } }
      yield { reason: 'redirect', source: { path, offset: 5 }, detail: 'd' }
      if (path.endsWith('b')) fault?.()
      yield { id: '2', text: 'two', metadata: {}, source: { path, offset: 9 } }
    },
  })
  return { fake: source as unknown as SourceDefinition }
}

const readAll = async (
  registry: Readonly<Record<string, SourceDefinition>>,
  names = ['a', 'b', 'c'],
  hash: string | null = '',
) => {
  const drops: DropLine[] = []
  const inputs = names.map((name) => ({ source: 0, path: join(folder, name), bytes: 1, sha256: hash }))
  const sources = [{ kind: 'fake', path: folder, options: {} }]
  const reader = readRecords(inputs, { sources, registry, onDrop: async (line) => void drops.push(line) })
  const documents: CorpusDocument[] = []
  for await (const document of reader.documents) documents.push(document)
  return { ...reader, documents, drops }
}

describe('readRecords', () => {
  it('gives every document its path, offset and an id of its own, and counts rejects', async () => {
    const { documents, counts, drops, damage } = await readAll(fake())
    expect(documents).toHaveLength(6)
    expect(documents[0]).toEqual({
      id: `${join(folder, 'a')}#1`,
      text: 'één',
      source: { kind: 'fake', path: join(folder, 'a'), offset: 0 },
      metadata: { title: 't' },
    })
    expect(new Set(documents.map(({ id }) => id)).size).toBe(6)
    expect(counts).toMatchObject({
      documentsIn: 9,
      documentsOut: 6,
      bytesIn: 3,
      bytesOut: 3 * (5 + 3),
      dropped: { redirect: 3 },
    })
    expect(drops).toHaveLength(3)
    expect(drops[0]).toMatchObject({ id: null, stage: 'read', reason: 'redirect', detail: 'd' })
    expect(damage).toEqual([])
  })

  it.each([
    ['damaged data', new DataError('Expected gzip, got an early end.'), 'Expected gzip, got an early end.'],
    ['a fault of the parser', new TypeError('x is undefined'), 'TypeError: x is undefined'],
  ])('continues with the next file after %s', async (_, error, message) => {
    const { documents, counts, drops, damage } = await readAll(
      fake(() => {
        throw error
      }),
    )
    expect(documents.map(({ source, id }) => `${source.path.at(-1)}${id.at(-1)}`)).toEqual([
      'a1',
      'a2',
      'b1',
      'c1',
      'c2',
    ])
    expect(damage).toEqual([{ path: join(folder, 'b'), kind: 'fake', message, recordsBefore: 2 }])
    expect(counts).toMatchObject({ documentsIn: 9, documentsOut: 5, dropped: { redirect: 3, 'damaged-file': 1 } })
    expect(drops.filter(({ reason }) => reason === 'damaged-file')).toHaveLength(1)
  })

  it('stops at a fault of the machine, which is not the data', async () => {
    const full = fake(() => {
      throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
    })
    await expect(readAll(full)).rejects.toMatchObject({ code: 'ENOSPC' })
  })

  it('stops when an input on another machine fails, so that the rest is not lost for good', async () => {
    const cut = fake(() => {
      throw new DataError('Expected the whole file, got a closed connection.')
    })
    await expect(readAll(cut, ['a', 'b'], null)).rejects.toThrow(/closed connection/)
  })

  it('stops when a listed file was removed during the build', async () => {
    const gone = fake(() => undefined)
    const source = gone.fake!
    const registry = {
      fake: {
        ...source,
        // biome-ignore lint/correctness/useYield: it fails before the first record
        async *open(path: string): AsyncGenerator<SourceRecord> {
          throw new DataError('Expected a readable file, got ENOENT.', path)
        },
      },
    }
    await expect(readAll(registry, ['nothing'])).rejects.toThrow(/removed during the build/)
  })
})
