import {
  closeSync,
  cpSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createRandom, sha256 } from '../core/index.ts'
import { loadTokenizer } from '../tokenizers/index.ts'
import { encodeShards } from './encode-shards.ts'
import { isValidationDocument, validationRank } from './encode-task.ts'
import { readShardManifest, splitWarnings } from './shard-manifest.ts'
import { openTokens, type TokenSource, verifyShards } from './token-source.ts'

const words =
  'the of and to in a is that for it as was with be by on not he his but at are this have from or had an they'.split(
    ' ',
  )
const random = createRandom('shards')
const documents = Array.from({ length: 400 }, (_, i) =>
  i % 50 === 49
    ? ''
    : Array.from({ length: 1 + random.integer(60) }, () => words[random.integer(words.length)]).join(' '),
)

/** A byte-level tokenizer of 256 bytes, `extra` unused tokens and an end token. */
const makeTokenizer = (extra: number): object => {
  const bytes: string[] = []
  let next = 0x100
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
    bytes.push(String.fromCharCode(printable ? byte : next++))
  }
  const tokens = [...bytes, ...Array.from({ length: extra }, (_, i) => `unused${i}`), '<|end|>']
  return {
    version: '1.0',
    added_tokens: [
      {
        id: tokens.length - 1,
        content: '<|end|>',
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      },
    ],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [],
    },
  }
}

let root: string
let tokenizer: string
let out: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'tunesmith-test-'))
  tokenizer = join(root, 'tokenizer.json')
  writeFileSync(tokenizer, JSON.stringify(makeTokenizer(0)))
})
afterAll(() => rmSync(root, { recursive: true }))
beforeEach(() => {
  out = mkdtempSync(join(root, 'shards-'))
})

const options = { end: '<|end|>', validation: 0.1, shardTokens: 5000 }
const filesOf = (folder: string) =>
  Object.fromEntries(
    readdirSync(folder)
      .sort()
      .map((name) => [name, sha256(readFileSync(join(folder, name)))]),
  )

const textsOf = async (source: TokenSource): Promise<string[]> => {
  const loaded = await loadTokenizer(tokenizer)
  return Array.from({ length: source.documents }, (_, i) => {
    const start = source.documentStart(i)
    return loaded.decode(source.readTokens(start, source.documentEnd(i) - start))
  })
}

describe('encodeShards', () => {
  test('writes every document in order, in its split, with its end token', async () => {
    const manifest = await encodeShards(documents, tokenizer, out, options, { workers: 1, source: 'made up' })
    expect(manifest.dtype).toBe('uint16')
    expect(manifest.endId).toBe(256)
    expect(manifest.source).toBe('made up')
    expect(manifest.tokenizer.sha256).toBe(sha256(readFileSync(tokenizer)))
    expect(manifest.splits.train.shards.length).toBeGreaterThan(5)
    expect(manifest.splits.train.shards.every((shard) => shard.tokens <= 5000)).toBe(true)
    const validation = { share: 0.1, seed: 'tunesmith' }
    const expected = documents.filter((text) => text !== '').map((text) => `${text}<|end|>`)
    const expectedIn = (validationSplit: boolean) =>
      expected.filter(
        (_, i) => isValidationDocument(documents.filter((text) => text !== '')[i], validation) === validationSplit,
      )
    const train = await openTokens(out, 'train')
    const validationTokens = await openTokens(out, 'validation')
    expect(await textsOf(train)).toEqual(expectedIn(false))
    expect(await textsOf(validationTokens)).toEqual(expectedIn(true))
    expect(validationTokens.documents).toBeGreaterThan(15)
    expect(validationTokens.documents).toBeLessThan(70)
    for (const position of [0, 4999, 5000, train.tokens - 1]) {
      const document = train.documentAt(position)
      expect(train.documentStart(document)).toBeLessThanOrEqual(position)
      expect(train.documentEnd(document)).toBeGreaterThan(position)
    }
    expect(() => train.readTokens(train.tokens - 1, 2)).toThrow(RangeError)
    expect(() => train.readTokens(-1, 1)).toThrow(RangeError)
    train.close()
    validationTokens.close()
  })

  test.each([
    ['a slash at the end', (folder: string) => `${folder}/`],
    ['two slashes', (folder: string) => `${dirname(folder)}//${basename(folder)}`],
    ['a path from here', (folder: string) => `./${relative('', folder)}`],
  ])('names the files of the shards for an output folder with %s', async (_, written) => {
    const few = documents.slice(0, 5)
    const { splits } = await encodeShards(few, tokenizer, written(out), options, { workers: 1 })
    expect(splits.train.shards.map(({ ids, ends }) => [ids.path, ends.path])).toEqual([
      ['train-00000.ids', 'train-00000.ends'],
    ])
    expect((await verifyShards(out)).faults).toEqual([])
  })

  test('gives the same bytes with any number of workers', async () => {
    await encodeShards(documents, tokenizer, out, options, { workers: 1 })
    const other = join(root, 'three-workers')
    await encodeShards(documents, tokenizer, other, options, { workers: 3 })
    expect(filesOf(other)).toEqual(filesOf(out))
  })

  test('resumes after any interruption with the same bytes', async () => {
    await encodeShards(documents, tokenizer, out, options, { workers: 1 })
    const expected = filesOf(out)
    // Documents long enough for several batches, so that a progress record exists when the run is interrupted.
    const long = Array.from({ length: 24 }, (_, i) => `${i} ${documents.join(' ')}`)
    const whole = join(root, 'whole')
    await encodeShards(
      long,
      tokenizer,
      whole,
      { ...options, shardTokens: 50_000 },
      { workers: 1, recordEveryBytes: 1, batchCharacters: 100_000 },
    )
    let interrupted = 0
    for (const stopAfter of [1, 2, 3, 5]) {
      const folder = join(root, `stopped-${stopAfter}`)
      const run = (stop: boolean) => {
        let calls = 0
        return encodeShards(
          long,
          tokenizer,
          folder,
          { ...options, shardTokens: 50_000 },
          {
            workers: 1,
            recordEveryBytes: 1,
            batchCharacters: 100_000,
            onProgress: () => {
              if (stop && ++calls > stopAfter) throw new Error('killed')
            },
          },
        )
      }
      await run(true).catch((error: Error) => {
        expect(error.message).toBe('killed')
        interrupted++
      })
      // Resuming truncates what was written after the last record.
      await run(false)
      expect(filesOf(folder)).toEqual(filesOf(whole))
    }
    expect(interrupted).toBeGreaterThan(2)
    expect(filesOf(out)).toEqual(expected)
  })

  test('throws if the documents changed between interruption and resumption', async () => {
    const long = Array.from({ length: 12 }, (_, i) => `${i} ${documents.join(' ')}`)
    let calls = 0
    const stop = () => {
      if (++calls > 2) throw new Error('killed')
    }
    await expect(
      encodeShards(long, tokenizer, out, options, {
        workers: 1,
        recordEveryBytes: 1,
        batchCharacters: 100_000,
        onProgress: stop,
      }),
    ).rejects.toThrow('killed')
    expect(existsSync(join(out, 'progress.json'))).toBe(true)
    await expect(encodeShards(['other', ...long.slice(1)], tokenizer, out, options, { workers: 1 })).rejects.toThrow(
      /got others/,
    )
  })

  test('keeps a finished folder and never overwrites another', async () => {
    await encodeShards(documents, tokenizer, out, options, { workers: 1 })
    const before = filesOf(out)
    await encodeShards(documents, tokenizer, out, options, { workers: 1 })
    expect(filesOf(out)).toEqual(before)
    await expect(encodeShards(documents, tokenizer, out, { ...options, end: '' }, { workers: 1 })).rejects.toThrow(
      /empty folder/,
    )
    const foreign = mkdtempSync(join(root, 'foreign-'))
    writeFileSync(join(foreign, 'thesis.txt'), 'precious')
    await expect(encodeShards(documents, tokenizer, foreign, options, { workers: 1 })).rejects.toThrow(/thesis\.txt/)
    expect(readFileSync(join(foreign, 'thesis.txt'), 'utf8')).toBe('precious')
  })

  test('uses 16-bit ids up to 65535, and 32-bit ids above', async () => {
    const limit = join(root, 'limit.json')
    writeFileSync(limit, JSON.stringify(makeTokenizer(65_536 - 257)))
    const small = await encodeShards(['a b'], limit, join(root, 'limit'), options, { workers: 1 })
    expect([small.dtype, small.endId, small.tokenizer.maxId]).toEqual(['uint16', 65_535, 65_535])
    expect([...(await openTokens(join(root, 'limit'))).readTokens(0, 4)]).toEqual(
      [97, 220, 98, 65_535].map((id) => (id === 220 ? 32 : id)),
    )
    const large = join(root, 'large.json')
    writeFileSync(large, JSON.stringify(makeTokenizer(65_537 - 257)))
    const wide = await encodeShards(['a b'], large, join(root, 'large'), options, { workers: 1 })
    expect([wide.dtype, wide.endId]).toEqual(['uint32', 65_536])
    expect([...(await openTokens(join(root, 'large'))).readTokens(0, 4)]).toEqual([97, 32, 98, 65_536])
  })

  test('splits a document that is longer than a shard', async () => {
    const manifest = await encodeShards(
      ['x'.repeat(2500)],
      tokenizer,
      out,
      { validation: 0, end: '', shardTokens: 1000 },
      { workers: 1 },
    )
    expect(manifest.splits.train.shards.map(({ tokens }) => tokens)).toEqual([1000, 1000, 500])
    const source = await openTokens(out)
    expect(source.readTokens(900, 1600)).toEqual(new Uint16Array(1600).fill(120))
  })

  test('writes empty splits for no documents', async () => {
    const manifest = await encodeShards([], tokenizer, out, options, { workers: 1 })
    expect(manifest.splits.train).toEqual({ tokens: 0, documents: 0, bytes: 0, shards: [] })
    expect((await openTokens(out)).tokens).toBe(0)
  })

  test('names a token that is not in the tokenizer', async () => {
    await expect(encodeShards([], tokenizer, out, { end: '</s>' })).rejects.toThrow(/encode\.end.*<\/s>/)
  })
})

describe('small corpora', () => {
  const books = Array.from({ length: 12 }, (_, i) => `Book ${i}. ${documents[i]}`)
  const small = { end: '<|end|>', validation: 0.01, shardTokens: 700 }
  const split = { share: 0.01, seed: 'tunesmith' }

  test('get one validation document, the one of the lowest rank', async () => {
    expect(books.some((text) => isValidationDocument(text, split))).toBe(false)
    const lowest = books.toSorted((a, b) => validationRank(a, 'tunesmith') - validationRank(b, 'tunesmith'))[0]
    const manifest = await encodeShards(books, tokenizer, out, small, { workers: 1, batchCharacters: 500 })
    expect(await textsOf(await openTokens(out, 'validation'))).toEqual([`${lowest}<|end|>`])
    expect(await textsOf(await openTokens(out, 'train'))).toEqual(
      books.filter((text) => text !== lowest).map((text) => `${text}<|end|>`),
    )
    expect(manifest.splits.validation.bytes).toBe(Buffer.byteLength(lowest))
    expect(manifest.splits.train.bytes + manifest.splits.validation.bytes).toBe(Buffer.byteLength(books.join('')))
    expect((await verifyShards(out)).faults).toEqual([])
    expect(readdirSync(out).filter((name) => /moving|progress/.test(name))).toEqual([])
    expect(splitWarnings(manifest).join()).toMatch(/only 1 document \(\d+ tokens\).*document=chapter.*--validation/)
    // The same documents in another order have the same validation document.
    const other = mkdtempSync(join(root, 'reversed-'))
    await encodeShards(books.toReversed(), tokenizer, other, small, { workers: 3 })
    expect(await textsOf(await openTokens(other, 'validation'))).toEqual([`${lowest}<|end|>`])
  })

  test('have the same shards as an encoding without the moved document', async () => {
    const lowest = books.toSorted((a, b) => validationRank(a, 'tunesmith') - validationRank(b, 'tunesmith'))[0]
    await encodeShards(books, tokenizer, out, small, { workers: 1 })
    const rest = mkdtempSync(join(root, 'rest-'))
    const others = books.filter((text) => text !== lowest)
    await encodeShards(others, tokenizer, rest, { ...small, validation: 0 }, { workers: 1 })
    const trainFiles = (folder: string) => Object.entries(filesOf(folder)).filter(([name]) => name.startsWith('train'))
    expect(trainFiles(out)).toEqual(trainFiles(rest))
    expect(trainFiles(out).length).toBeGreaterThan(2)
  })

  test('resume with the same validation document after an interruption', async () => {
    await encodeShards(books, tokenizer, out, small, { workers: 1, batchCharacters: 500 })
    const folder = mkdtempSync(join(root, 'interrupted-'))
    let calls = 0
    const run = (onProgress?: () => void) =>
      encodeShards(books, tokenizer, folder, small, {
        workers: 1,
        batchCharacters: 200,
        recordEveryBytes: 1,
        onProgress,
      })
    const stop = () => {
      if (++calls > 2) throw new Error('killed')
    }
    await expect(run(stop)).rejects.toThrow('killed')
    expect(existsSync(join(folder, 'progress.json'))).toBe(true)
    await run()
    expect(filesOf(folder)).toEqual(filesOf(out))
  })

  test('move all copies of the chosen document, and none if there is no other document', async () => {
    const [a, b] = ['one text', 'another text'].toSorted(
      (x, y) => validationRank(x, 'tunesmith') - validationRank(y, 'tunesmith'),
    )
    await encodeShards([a, b, a.toUpperCase(), b], tokenizer, out, small, { workers: 1 })
    expect(await textsOf(await openTokens(out, 'validation'))).toEqual([`${a}<|end|>`, `${a.toUpperCase()}<|end|>`])
    const alone = mkdtempSync(join(root, 'alone-'))
    const manifest = await encodeShards([a, a], tokenizer, alone, small, { workers: 1 })
    expect([manifest.splits.train.documents, manifest.splits.validation.documents]).toEqual([2, 0])
    expect(splitWarnings(manifest).join()).toMatch(/validation split is empty/)
  })

  test('have no validation document and no warning with a share of 0', async () => {
    const manifest = await encodeShards(books, tokenizer, out, { ...small, validation: 0 }, { workers: 1 })
    expect(manifest.splits.validation.documents).toBe(0)
    expect(splitWarnings(manifest)).toEqual([])
  })
})

describe('damaged shards', () => {
  let whole: string
  beforeAll(async () => {
    whole = join(root, 'damage')
    await encodeShards(documents, tokenizer, whole, options, { workers: 1 })
  })
  beforeEach(() => cpSync(whole, out, { recursive: true }))

  test('verifyShards finds a flipped byte', async () => {
    expect((await verifyShards(out)).faults).toEqual([])
    for (const name of ['train-00001.ids', 'validation-00000.ends']) {
      const path = join(out, name)
      const bytes = readFileSync(path)
      bytes[11] ^= 1
      writeFileSync(path, bytes)
      const { faults } = await verifyShards(out)
      expect(faults.join()).toMatch(new RegExp(`${name}.*SHA-256`))
    }
  })

  test('openTokens throws for changed bytes of the same length', async () => {
    await openTokens(out, 'train')
    const path = join(out, 'train-00000.ids')
    const file = openSync(path, 'r+')
    writeSync(file, Buffer.alloc(1000, 1), 0, 1000, 200)
    closeSync(file)
    await expect(openTokens(out)).rejects.toThrow(/train-00000\.ids: Expected the SHA-256/)
    expect((await openTokens(out, 'train', { verify: false })).tokens).toBeGreaterThan(0)
    // Only the files of the opened split are verified.
    expect((await openTokens(out, 'validation')).tokens).toBeGreaterThan(0)
  })

  test('openTokens hashes each file once while it does not change', async () => {
    await openTokens(out)
    const stamp = readFileSync(join(out, '.verified.json'), 'utf8')
    expect(Object.keys(JSON.parse(stamp)).length).toBeGreaterThan(10)
    await openTokens(out)
    expect(readFileSync(join(out, '.verified.json'), 'utf8')).toBe(stamp)
    writeFileSync(join(out, '.verified.json'), 'broken')
    await openTokens(out)
    expect(readFileSync(join(out, '.verified.json'), 'utf8')).toBe(stamp)
  })

  test('openTokens throws for a truncated or missing file', async () => {
    truncateSync(join(out, 'train-00001.ids'), 100)
    await expect(openTokens(out)).rejects.toThrow(/train-00001\.ids: Expected \d+ bytes, got 100/)
    expect((await verifyShards(out)).faults).toHaveLength(1)
    rmSync(join(out, 'train-00001.ids'))
    await expect(openTokens(out)).rejects.toThrow(/train-00001\.ids: Expected a token shard, got ENOENT/)
  })

  test('descending document ends throw an error', async () => {
    const path = join(out, 'train-00000.ends')
    const ends = readFileSync(path)
    ends.writeUInt32LE(4_000_000_000, 4)
    writeFileSync(path, ends)
    const source = await openTokens(out, 'train', { verify: false })
    expect(() => source.documentEnd(0)).toThrow(/ascending document ends/)
  })

  test('a manifest that is missing, broken, inconsistent or names files outside the folder throws an error', async () => {
    const path = join(out, 'manifest.json')
    const manifest = JSON.parse(readFileSync(path, 'utf8'))
    const attempt = async (change: (copy: typeof manifest) => void) => {
      const copy = structuredClone(manifest)
      change(copy)
      writeFileSync(path, JSON.stringify(copy))
      return openTokens(out)
    }
    await expect(attempt((copy) => (copy.splits.train.tokens += 1))).rejects.toThrow(/consistent counts/)
    await expect(attempt((copy) => (copy.splits.train.shards[0].ids.path = '../../secret'))).rejects.toThrow(/path/)
    await expect(attempt((copy) => (copy.dtype = 'uint8'))).rejects.toThrow(/dtype/)
    await expect(attempt((copy) => (copy.version = 2))).rejects.toThrow(/version/)
    writeFileSync(path, '{"format":')
    await expect(readShardManifest(out)).rejects.toThrow(/Expected JSON/)
    rmSync(path)
    await expect(openTokens(out)).rejects.toThrow(/without manifest\.json/)
  })
})

describe('isValidationDocument', () => {
  test('assigns texts that differ only in case, white space or Unicode form to the same split', () => {
    for (let i = 0; i < 300; i++) {
      const text = `Document number ${i}: the café.`
      const copy = `  document  NUMBER ${i}:\n the cafe\u0301. `
      const split = { share: 0.3, seed: 's' }
      expect(isValidationDocument(copy, split)).toBe(isValidationDocument(text, split))
    }
  })

  test('selects about the given share, and other texts with another seed', () => {
    const texts = Array.from({ length: 5000 }, (_, i) => `text ${i}`)
    const selected = (seed: string) => texts.filter((text) => isValidationDocument(text, { share: 0.1, seed }))
    expect(selected('a').length).toBeGreaterThan(420)
    expect(selected('a').length).toBeLessThan(580)
    expect(selected('a')).not.toEqual(selected('b'))
    expect(texts.filter((text) => isValidationDocument(text, { share: 0, seed: 'a' }))).toEqual([])
  })
})
