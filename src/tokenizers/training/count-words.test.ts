import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createRandom } from '../../core/index.ts'
import { countWords, type WordCounts } from './count-words.ts'
import { addCounts, readCounts, writeCounts } from './counts-file.ts'
import type { PreTokenization } from './pre-tokenization.ts'
import { readRuns, writeRun } from './word-runs.ts'
import { WordTable, wordText } from './word-table.ts'

const gpt2: PreTokenization = { preTokenizer: 'gpt2', normalizer: 'none', lowercase: false, addPrefixSpace: false }

const asMap = ({ words }: WordCounts): Map<string, number> =>
  new Map(Array.from({ length: words.size }, (_, i) => [wordText(words, i), words.counts[i]]))

/** One string, because comparing hundreds of thousands of pairs is slow. */
const sorted = (counts: WordCounts) =>
  [...asMap(counts)]
    .map(([word, count]) => `${word} ${count}`)
    .sort()
    .join('\n')

/** Documents of random words: many distinct ones, some in other scripts. */
const makeDocuments = (count: number, words: number): string[] => {
  const random = createRandom('documents')
  return Array.from({ length: count }, () =>
    Array.from({ length: words }, () => {
      const word = random
        .integer(100_000)
        .toString(16)
        .replace(/\d/g, (digit) => 'ghijklmnop'[Number(digit)])
      return random.integer(10) === 0 ? `é${word}` : word
    }).join(' '),
  )
}

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-test-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('countWords', () => {
  const documents = makeDocuments(300, 1000)

  test('fails when a thread ends before it has sent its counts', async () => {
    // The first batch ends the thread that it is sent to.
    const send = vi.spyOn(Worker.prototype, 'postMessage').mockImplementation(function (this: Worker) {
      void this.terminate()
    })
    const text = 'some words '.repeat(1 << 18)
    const untilSent = async function* () {
      for (; send.mock.calls.length === 0; await setTimeout(20)) yield text
    }
    try {
      const counting = countWords(untilSent(), { preTokenization: gpt2, workers: 2, threadsFromBytes: 0 })
      await expect(counting).rejects.toThrow('ended early')
    } finally {
      send.mockRestore()
    }
  })

  test('returns the same counts with any number of threads, with and without runs on disk', async () => {
    const one = await countWords(documents, { preTokenization: gpt2, workers: 1 })
    expect(one.words.size).toBeGreaterThan(80_000)
    const expected = sorted(one)
    for (const options of [
      { workers: 2, threadsFromBytes: 0 },
      { workers: 3, threadsFromBytes: 0, memoryBytes: 8 << 20 },
      { workers: 1, memoryBytes: 4 << 20 },
    ]) {
      const counts = await countWords(documents, { preTokenization: gpt2, ...options })
      expect(counts.bytes).toBe(one.bytes)
      expect(counts.documents).toBe(300)
      expect(sorted(counts) === expected).toBe(true)
    }
  })

  test('drops the same rare words with any number of threads', async () => {
    const limits = { preTokenization: gpt2, maxWords: 30_000 }
    const one = await countWords(documents, { ...limits, workers: 1 })
    const two = await countWords(documents, { ...limits, workers: 2, threadsFromBytes: 0, memoryBytes: 8 << 20 })
    expect(one.words.size).toBeLessThanOrEqual(30_000)
    expect(one.words.size).toBeGreaterThan(5_000)
    expect(one.skippedRare).toBe(two.skippedRare)
    expect(sorted(one) === sorted(two)).toBe(true)
    const least = Math.min(...asMap(one).values())
    const all = await countWords(documents, { preTokenization: gpt2, workers: 1 })
    expect([...asMap(all)].filter(([, count]) => count >= least)).toHaveLength(one.words.size)
  })

  test('skips words that are too long, and counts them', async () => {
    const counts = await countWords([`short ${'a'.repeat(5000)} ${'b'.repeat(100)}`], {
      preTokenization: gpt2,
      maxWordBytes: 101,
    })
    expect(counts.skippedLong).toBe(1)
    expect([...asMap(counts).keys()]).toEqual(['short', ` ${'b'.repeat(100)}`])
  })

  test('reads invalid UTF-8 as U+FFFD', async () => {
    const counts = await countWords([Uint8Array.of(0x61, 0xff, 0x62)], { preTokenization: gpt2 })
    expect([...asMap(counts).keys()].sort()).toEqual(['a', 'b', '\ufffd'])
  })

  test('stops when the signal is aborted', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(countWords(documents, { preTokenization: gpt2, signal })).rejects.toThrow('enough')
  })
})

describe('runs on disk', () => {
  test('merge exactly, with empty words and words in one run only', () => {
    const tables = [new WordTable(), new WordTable(), new WordTable()]
    const expected = new Map<string, number>()
    const random = createRandom(7)
    for (let i = 0; i < 20_000; i++) {
      const word = random.integer(5000).toString(3)
      const bytes = Buffer.from(word)
      tables[random.integer(3)].add(bytes, 0, bytes.length, 2)
      expected.set(word, (expected.get(word) ?? 0) + 2)
    }
    const paths = tables.map((table, i) => {
      const path = join(folder, `${i}.run`)
      writeRun(path, table.data())
      return path
    })
    const { words, dropped } = readRuns(paths, { maxWords: 1e6 })
    expect(dropped).toBe(0)
    const got = Array.from({ length: words.size }, (_, i) => [wordText(words, i), words.counts[i]])
    expect(got).toEqual([...expected].sort((a, b) => (a[0] < b[0] ? -1 : 1)))
  })
})

describe('counts files', () => {
  for (const name of ['counts.txt', 'counts.gz']) {
    test(`${name} restores the counts, which can be added`, async () => {
      const a = await countWords(['one two\n"two"\té'], { preTokenization: gpt2 })
      const b = await countWords(['two three'], { preTokenization: gpt2 })
      const path = join(folder, name)
      await writeCounts(path, a, gpt2)
      const back = await readCounts(path, gpt2)
      expect(sorted(back)).toEqual(sorted(a))
      const both = await countWords(['one two\n"two"\té', 'two three'], { preTokenization: gpt2 })
      expect(sorted(addCounts([back, b]))).toEqual(sorted(both))
      expect(addCounts([back, b]).documents).toBe(2)
    })
  }

  test('throw an error if they are of another pre-tokenization, damaged or missing', async () => {
    const counts = await countWords(['one two'], { preTokenization: gpt2 })
    const path = join(folder, 'other.txt')
    await writeCounts(path, counts, gpt2)
    await expect(readCounts(path, { ...gpt2, lowercase: true })).rejects.toThrow(
      /other\.txt:1: Expected counts made with/,
    )
    await writeCounts(join(folder, 'whole.gz'), counts, gpt2)
    const { readFileSync, writeFileSync } = await import('node:fs')
    writeFileSync(join(folder, 'cut.gz'), readFileSync(join(folder, 'whole.gz')).subarray(0, 40))
    await expect(readCounts(join(folder, 'cut.gz'), gpt2)).rejects.toThrow(/cut\.gz/)
    writeFileSync(join(folder, 'bad.txt'), `${readFileSync(path, 'utf8').split('\n')[0]}\nx\t"y"\n`)
    await expect(readCounts(join(folder, 'bad.txt'), gpt2)).rejects.toThrow(/bad\.txt:2: Expected a count and a word/)
    await expect(readCounts(join(folder, 'none.txt'), gpt2)).rejects.toThrow(/none\.txt/)
    writeFileSync(join(folder, 'empty.txt'), '')
    await expect(readCounts(join(folder, 'empty.txt'), gpt2)).rejects.toThrow(/empty file/)
  })
})
