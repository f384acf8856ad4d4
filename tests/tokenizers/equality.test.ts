// Encodings equal to those of the Rust package: the pipelines of well-known models over the shared data
// (a sample of every file; all of it with TUNESMITH_FULL=1), over many languages and over random text.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isFull } from '../grid.ts'
import { both, DATA, fromOurs, fromRust, hasData, LINES, PIPELINES } from './rust-oracle.ts'

const full = process.env.TUNESMITH_FULL === '1'
const DOCUMENT = 20_000
const SAMPLE = isFull ? 2_500 : 1_000

/** Every file as text (invalid UTF-8 replaced), in documents; a sample is a range from the middle of the file. */
function* documents(): Generator<{ file: string; text: string }> {
  const root = fileURLToPath(DATA)
  for (const file of (readdirSync(root, { recursive: true }) as string[]).sort()) {
    const path = join(root, file)
    if (!statSync(path).isFile()) continue
    let bytes: Buffer = readFileSync(path)
    if (file.endsWith('.gz')) bytes = gunzipSync(bytes)
    if (file.endsWith('.bz2')) bytes = execFileSync('bzip2', ['-dc', path], { maxBuffer: 2 ** 28 })
    // Binary files: a small part is enough.
    if (/\.(bin|zip)$/.test(file)) bytes = bytes.subarray(0, 50_000)
    if (full) {
      const text = bytes.toString('utf8')
      for (let at = 0; at < text.length; at += DOCUMENT)
        yield { file, text: Buffer.from(text.slice(at, at + DOCUMENT)).toString() }
    } else {
      const middle = Math.max(0, (bytes.length - SAMPLE) >> 1)
      yield { file, text: bytes.subarray(middle, middle + SAMPLE).toString('utf8') }
    }
  }
}

describe.each(Object.keys(PIPELINES))('%s', (name) => {
  const { ours, rust } = both(PIPELINES[name]())

  async function compare(text: string, where: string): Promise<number> {
    const expected = fromRust(await rust.encode(text, null, { addSpecialTokens: true }))
    const encoding = ours.encode(text, { offsets: 'codePoints' })
    expect(fromOurs(encoding), where).toEqual(expected)
    expect([...ours.encodeIds(text)], where).toEqual(ours.encode(text, { addSpecialTokens: false }).ids)
    expect(ours.decode(encoding.ids)).toBe(await rust.decode(encoding.ids, false))
    return encoding.length
  }

  it('encodes and decodes lines in many languages like the Rust package', async () => {
    for (const line of LINES) await compare(line, JSON.stringify(line))
    await compare(LINES.join('\n'), 'all lines')
  })

  it.skipIf(!hasData)(
    `encodes ${full ? 'all' : 'a sample of every file'} of ../shared/data like the Rust package (skipped without it)`,
    async () => {
      let tokens = 0
      let texts = 0
      for (const { file, text } of documents()) {
        tokens += await compare(text, file)
        texts++
      }
      expect(texts).toBeGreaterThan(100)
      expect(tokens).toBeGreaterThan(20 * SAMPLE)
    },
    full ? 7_200_000 : undefined,
  )

  it('encodes random text like the Rust package', async () => {
    const character = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.constantFrom(...' \n\t\'"-.,!aAsSeEiI0129éßİςΣ▁Ġ', '  ', "'s", "'LL", '<s>', '[SEP]', '</s>'),
      },
      { weight: 2, arbitrary: fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 3 }) },
      // Characters in both Unicode versions: the basic plane up to the Hangul syllables, and emoji.
      { weight: 2, arbitrary: fc.integer({ min: 0xa0, max: 0x6ff }).map((code) => String.fromCodePoint(code)) },
      { weight: 1, arbitrary: fc.integer({ min: 0x2000, max: 0x2bb0 }).map((code) => String.fromCodePoint(code)) },
      { weight: 1, arbitrary: fc.integer({ min: 0x3041, max: 0xd7a3 }).map((code) => String.fromCodePoint(code)) },
      { weight: 1, arbitrary: fc.integer({ min: 0x1f600, max: 0x1f64f }).map((code) => String.fromCodePoint(code)) },
      {
        weight: 1,
        arbitrary: fc.constantFrom('\u0301', '\u0323', '\u0338', '\u200d', '\ufe0f', '\ud800', '\udc00', '\u0600'),
      },
    )
    // Newer letters and punctuation, on which the two differ.
    const newer = /[\u0530\u0558\u0560\u0588\u058b-\u058c\u05ef\u05f5-\u05ff\u061c-\u061d\u2e43-\u2e7f]|\u0378/
    const text = fc.array(character, { maxLength: 40 }).map((parts) => parts.join(''))
    await fc.assert(
      fc.asyncProperty(text, async (value) => {
        if (!newer.test(value)) await compare(value, JSON.stringify(value))
      }),
      { numRuns: full ? 5000 : isFull ? 150 : 50 },
    )
  })
})

describe('encodings', () => {
  const words = LINES.slice(0, 8).join(' ').slice(0, 700)

  it.each(Object.keys(PIPELINES))('of %s equal those of the Rust package for pairs', async (name) => {
    const { ours, rust } = both(PIPELINES[name]())
    for (const [i, line] of LINES.slice(0, 30).entries())
      for (const addSpecialTokens of [true, false]) {
        const pair = LINES[(i + 3) % LINES.length]
        expect(fromOurs(ours.encode(line, { pair, addSpecialTokens, offsets: 'codePoints' }))).toEqual(
          fromRust(await rust.encode(line, pair, { addSpecialTokens })),
        )
      }
  })

  const cases = [
    { maxLength: 12, strategy: 'longest_first' },
    ...(isFull ? [{ maxLength: 13, strategy: 'longest_first' } as const] : []),
    { maxLength: 40, strategy: 'longest_first' },
    { maxLength: 60, strategy: 'only_second' },
  ] as const

  it.each(cases)(
    'of truncated pairs equal those of the Rust package: $strategy to $maxLength',
    async ({ maxLength, strategy }) => {
      for (const name of Object.keys(PIPELINES))
        for (const side of ['right', 'left'] as const) {
          const { ours, rust } = both(PIPELINES[name]())
          rust.setTruncation(maxLength, { maxLength, strategy: rustName(strategy), direction: side, stride: 2 })
          const [first, second] = ['A short first part.', words]
          const expected = await rust.encode(first, second)
          const encoding = ours.encode(first, {
            pair: second,
            truncation: { maxLength, strategy, side, stride: 2 },
            offsets: 'codePoints',
          })
          // Rust stops early when it truncates on the left, and then counts words from where it stopped.
          const drop = side === 'left' ? { wordIds: undefined } : {}
          expect({ ...fromOurs(encoding), ...drop }).toEqual({ ...fromRust(expected), ...drop })
          expect(encoding.length).toBeLessThanOrEqual(maxLength)
        }
    },
  )

  it('of a long text include all overflowing windows with their overlap', () => {
    for (const name of Object.keys(PIPELINES)) {
      const { ours } = both(PIPELINES[name]())
      const whole = ours.encode(words, { addSpecialTokens: false }).ids
      const cut = ours.encode(words, { addSpecialTokens: false, truncation: { maxLength: 50, stride: 10 } })
      const windows = [cut, ...cut.overflowing].map((window) => window.ids)
      expect(windows.length).toBe(Math.ceil((whole.length - 10) / 40))
      expect(windows.flatMap((ids, i) => (i === 0 ? ids : ids.slice(10)))).toEqual(whole)
      const left = ours.encode(words, { addSpecialTokens: false, truncation: { maxLength: 50, side: 'left' } })
      expect(left.ids).toEqual(whole.slice(-50))
    }
  })

  it('of a padded batch equal those of the Rust package', async () => {
    const { ours, rust } = both(PIPELINES.llama3())
    rust.setPadding({ direction: 'left', padToMultipleOf: 8, padId: 3, padTypeId: 1, padToken: '<pad>' })
    const texts = LINES.slice(0, 6)
    const expected = await rust.encodeBatch(texts)
    const batch = ours.encodeBatch(texts, {
      padding: { side: 'left', multipleOf: 8, id: 3, typeId: 1, token: '<pad>' },
      offsets: 'codePoints',
    })
    expect(batch.map(fromOurs)).toEqual(expected.map(fromRust))
    expect(new Set(batch.map(({ length }) => length)).size).toBe(1)
  })

  it('throw an error for truncation and buffers that are too small', () => {
    const { ours } = both(PIPELINES.llama3())
    expect(() => ours.encode('a', { truncation: { maxLength: 0 } })).toThrow(/truncation.maxLength/)
    expect(() => ours.encode(words, { truncation: { maxLength: 5, stride: 5 } })).toThrow(/stride/)
    expect(() => ours.encode(words, { truncation: { maxLength: 5, strategy: 'only_second' } })).toThrow(/pair/)
    expect(() => ours.encodeInto(words, new Uint16Array(3))).toThrow(/at least 717 elements/)
  })
})

const rustName = (strategy: string): string =>
  ({ longest_first: 'LongestFirst', only_first: 'OnlyFirst', only_second: 'OnlySecond' })[strategy]!
