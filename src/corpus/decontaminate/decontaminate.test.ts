import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DataError } from '../../core/index.ts'
import { createDecontaminator, GramCounter, GramIndex, readTestSet, type TestSet } from './index.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'decontaminate-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const save = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

const set = (...texts: string[]): TestSet => ({
  name: 'set',
  path: 'set.txt',
  items: texts.map((text, i) => ({ item: String(i + 1), field: 'text', text })),
})

/** n different words, the same for the same label. */
const words = (label: string, n: number) =>
  Array.from({ length: n }, (_, i) => label + String.fromCharCode(97 + (i % 26), 97 + Math.floor(i / 26)))

describe('test set files', () => {
  it('reads every format', async () => {
    const squad = {
      version: '1.1',
      data: [
        {
          title: 'T',
          paragraphs: [
            { context: 'A passage.', qas: [{ id: 'q7', question: 'A question?', answers: [{ text: 'passage' }] }] },
          ],
        },
      ],
    }
    const read = async (name: string, content: string | Uint8Array, options = {}) => {
      const { items } = await readTestSet({ path: save(name, content), ...options })
      return items.map(({ item, field, text }) => `${item}/${field}/${text}`)
    }
    expect(await read('a.jsonl', '{"q":"x y","n":1,"c":["u","v"]}\n\n{"q":"z"}\n')).toEqual([
      '1/q/x y',
      '1/c/u',
      '1/c/v',
      '3/q/z',
    ])
    expect(await read('a.jsonl.gz', gzipSync('{"q":{"t":"x"},"a":"y"}'), { fields: ['q.t'] })).toEqual(['1/q.t/x'])
    expect(await read('a.json', '[{"q":"x"},{"q":"y"}]')).toEqual(['1/q/x', '2/q/y'])
    expect(await read('b.json', '{"17":{"Q":"x"}}')).toEqual(['17/Q/x'])
    expect(await read('c.json', JSON.stringify(squad))).toEqual(['q7/context/A passage.', 'q7/question/A question?'])
    expect(await read('c.json', JSON.stringify(squad), { fields: ['answers'] })).toEqual(['q7/answers/passage'])
    expect(await read('a.csv', 'id,text\r\n1,"two, ""quoted""\nlines"\r\n2,plain\r\n', { fields: ['text'] })).toEqual([
      '1/text/two, "quoted"\nlines',
      '2/text/plain',
    ])
    expect(await read('a.tsv', 'sentence\tlabel\nit \'s "fine\t1\n')).toEqual(['1/sentence/it \'s "fine', '1/label/1'])
    expect(await read('b.tsv', 'gj04\t1\t\tThe sailors rode.\n', { header: false, fields: ['3'] })).toEqual([
      '1/3/The sailors rode.',
    ])
    expect(await read('a.txt', 'one\n\ntwo\nlines\n')).toEqual(['1/text/one', '2/text/two\nlines'])
  })

  it.each([
    ['a.jsonl', '{"a":1\n', {}, /:1: Expected JSON/],
    ['b.jsonl', '{"a":"x"}\n', { fields: ['b'] }, /field `b` in item 1/],
    ['a.csv', 'a\n"open', {}, /:2: Expected a closing quote/],
    ['b.csv', 'a,b\n1,2', { fields: ['c'] }, /column `c`, got a, b/],
    ['a.json', '{"data":[1]}', { format: 'squad' }, /as in SQuAD/],
    ['a.txt', '\n \n', {}, /Expected texts/],
    ['a.txt.gz', gzipSync('some text').subarray(0, 12), {}, /intact gzip/],
  ])('names the fault of %s', async (name, content, options, message) => {
    await expect(readTestSet({ path: save(name, content), ...(options as object) })).rejects.toThrow(message)
  })

  it('names a missing file and a misspelt option', async () => {
    await expect(readTestSet({ path: join(folder, 'none.txt') })).rejects.toThrow(DataError)
    await expect(readTestSet({ path: 'x', field: ['a'] } as never)).rejects.toThrow(/field.*fields/s)
  })
})

describe('n-gram overlap', () => {
  it('sets n to the 5th percentile, between 8 and 13', () => {
    const nGramOf = (lengths: number[]) =>
      GramIndex.build([set(...lengths.map((length, i) => words(`w${i}`, length).join(' ')))]).testSets[0].nGram
    expect(nGramOf([20, 30, 40])).toBe(13)
    expect(nGramOf([5, 30, 40])).toBe(8)
    expect(nGramOf(Array.from({ length: 100 }, (_, i) => i + 1))).toBe(8)
    expect(nGramOf(Array.from({ length: 100 }, (_, i) => i + 5))).toBe(10)
  })

  it('finds overlap up to case, punctuation and white space, and nothing shorter', () => {
    const item = words('w', 20)
    const check = createDecontaminator(GramIndex.build([set(item.join(' '))]), { policy: 'drop' })
    const thirteen = item.slice(3, 16)
    expect(check(`Before. ${thirteen.join(' ').toUpperCase()} after.`).action).toBe('drop')
    expect(check(`“${thirteen.slice(0, 5).join(',\n')} -- ${thirteen.slice(5).join('; ')}”`).action).toBe('drop')
    expect(check(item.slice(3, 15).join(' ')).action).toBe('keep')
    expect(check([...item.slice(0, 7), 'other', ...item.slice(7)].join(' ')).action).toBe('drop')
    expect(check([...item.slice(0, 10), 'other', ...item.slice(10)].join(' ')).action).toBe('keep')
  })

  it('finds short items when they stand whole, and reports those too short to find', () => {
    const index = GramIndex.build([set(words('a', 9).join(' '), words('b', 7).join(' '), words('c', 40).join(' '))], {
      nGram: 13,
    })
    expect(index.testSets[0]).toMatchObject({ items: 3, nGram: 13, tooShort: 1, grams: 1 + 28 })
    const check = createDecontaminator(index, { policy: 'drop' })
    expect(check(`x ${words('a', 9).join(' ')} y`)).toMatchObject({
      action: 'drop',
      overlaps: [{ item: '1', testSet: 'set' }],
    })
    expect(check(`x ${words('a', 8).join(' ')} y`).action).toBe('keep')
    expect(check(`x ${words('b', 7).join(' ')} y`).action).toBe('keep')
  })

  it('finds whole items only when told', () => {
    const item = words('w', 30)
    const check = createDecontaminator(GramIndex.build([set(item.join(' '))], { exactOnly: true }), { policy: 'drop' })
    expect(check(item.slice(0, 29).join(' ')).action).toBe('keep')
    expect(check(`a ${item.join('. ')} b`).action).toBe('drop')
  })

  it('cuts the overlap with 200 characters on both sides, at word ends', () => {
    const item = words('w', 13).join(' ')
    const check = createDecontaminator(GramIndex.build([set(item)]))
    const before = `${'lorem '.repeat(100)}`
    const after = ` ${'ipsum '.repeat(100)}`
    const result = check(before + item + after)
    if (result.action !== 'cut') throw new Error(result.action)
    // 600 characters less 200 leave 400, the last word whole: 66 words of 6 characters are 396.
    expect(result.pieces).toEqual(['lorem '.repeat(66).trim(), 'ipsum '.repeat(66).trim()])
    expect(result.overlaps).toEqual([
      { testSet: 'set', item: '1', field: 'text', start: 600, end: 600 + item.length, excerpt: item },
    ])
    expect(check('lorem '.repeat(60) + item)).toMatchObject({ action: 'drop', reason: 'nothing-left' })
    expect(check(`${before}${item} `)).toMatchObject({ action: 'cut', pieces: ['lorem '.repeat(66).trim()] })
  })

  it('drops a document that falls into more than 10 pieces', () => {
    const item = words('w', 13).join(' ')
    const check = createDecontaminator(GramIndex.build([set(item)]))
    const text = (overlaps: number) => `${'lorem '.repeat(150)}${`${item} ${'lorem '.repeat(150)}`.repeat(overlaps)}`
    const nine = check(text(9))
    expect(nine.action === 'cut' && nine.pieces.length).toBe(10)
    expect(check(text(10))).toMatchObject({ action: 'drop', reason: 'too-many-pieces' })
  })

  it('ignores overlaps that stand in more than 10 documents', () => {
    const common = words('c', 13).join(' ')
    const rare = words('r', 13).join(' ')
    const index = GramIndex.build([set(common, rare)])
    const documents = Array.from(
      { length: 11 },
      (_, i) => `Document ${i}: ${common} ${i < 10 ? `${rare} ${rare}` : ''}`,
    )
    const counters = [new GramCounter(index), new GramCounter(index)]
    for (const [i, text] of documents.entries()) counters[i % 2].add(text)
    counters[0].addAll(counters[1].entries())
    const ignored = counters[0].common(10)
    expect(ignored.size).toBe(1)
    const check = createDecontaminator(index, { policy: 'drop' }, ignored)
    expect(check(common).action).toBe('keep')
    expect(check(rare).action).toBe('drop')
  })

  it('finds the same after saving and loading, and rejects changed files', async () => {
    const index = GramIndex.build([set(...Array.from({ length: 50 }, (_, i) => words(`x${i}`, 10 + i).join(' ')))])
    const path = join(folder, 'index.bin')
    await index.save(path)
    const loaded = await GramIndex.load(path)
    const text = `${words('x3', 13).join(' ')} ${words('x40', 50).join(' ')}`
    const hits = (one: GramIndex) => {
      const found: unknown[] = []
      one.scan(text, (hit) => found.push({ ...hit, ...one.origin(hit.gram) }))
      return found
    }
    expect(hits(loaded)).toEqual(hits(index))
    expect(hits(index).length).toBeGreaterThan(30)
    const bytes = readFileSync(path)
    for (const [name, damaged] of Object.entries({
      short: bytes.subarray(0, -1),
      start: bytes.subarray(0, 6),
      changed: Buffer.concat([bytes.subarray(0, -1), Buffer.from([bytes[bytes.length - 1] ^ 1])]),
      header: Buffer.concat([bytes.subarray(0, 8), Buffer.from([0xff, 0xff, 0xff, 0xff]), bytes.subarray(12)]),
      empty: Buffer.alloc(0),
    })) {
      await expect(GramIndex.load(save(`${name}.bin`, damaged)), name).rejects.toThrow(DataError)
    }
  })
})

const squadPath = join(import.meta.dirname, '../../../../shared/data/squad-v2/dev-v2.0.json.gz')
const booksPath = join(import.meta.dirname, '../../../../shared/data/books/herman-melville_moby-dick.md.gz')
const dataTitle = existsSync(squadPath) ? 'SQuAD in a book' : 'SQuAD in a book (skipped: ../shared/data is absent)'

describe.skipIf(!existsSync(squadPath))(dataTitle, () => {
  it('finds every planted passage, where it was planted, and nothing else', async () => {
    const squad = await readTestSet({ path: squadPath, format: 'squad' })
    const index = GramIndex.build([squad], { nGram: 13 })
    const check = createDecontaminator(index)
    const paragraphs = gunzipSync(readFileSync(booksPath))
      .toString()
      .split('\n')
      .filter((line) => line.length > 600)
    const contexts = squad.items.filter(({ field }) => field === 'context')
    expect(contexts.length).toBe(646)
    let planted = 0
    for (let i = 0; i + 1 < Math.min(paragraphs.length, 400); i += 2) {
      expect(check(paragraphs[i]).action).toBe('keep')
      const { text, item } = contexts[(i * 7) % contexts.length]
      const sentence = text.slice(0, 300)
      if (sentence.split(' ').length < 14) continue
      const result = check(`${paragraphs[i]}\n${sentence}\n${paragraphs[i + 1]}`)
      if (result.action === 'keep') throw new Error(`Not found: ${sentence}`)
      expect(result.overlaps.map((overlap) => overlap.item)).toContain(item)
      if (result.action === 'cut') for (const piece of result.pieces) expect(piece).not.toContain(sentence.slice(0, 60))
      planted++
    }
    expect(planted).toBeGreaterThan(100)
  })
})
