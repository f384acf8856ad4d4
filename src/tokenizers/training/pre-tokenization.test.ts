import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromByteLevel } from '../byte-level.ts'
import { readNormalizer, WHOLE_SEGMENT } from '../normalizers/index.ts'
import { GPT2_PATTERN, readPreTokenizer } from '../pre-tokenizers/index.ts'
import { PlainPiece } from '../text.ts'
import { createWordReader, type PreTokenization, preTokenizerNames } from './pre-tokenization.ts'
import { WordTable, wordText } from './word-table.ts'

/** Words as training counts them. */
const fastWords = (text: string, options: PreTokenization): Map<string, number> => {
  const reader = createWordReader(options)
  const words = new WordTable()
  const postponed = new WordTable()
  reader.read(new TextEncoder().encode(text), words, postponed)
  const pieces = postponed.data()
  for (let i = 0; i < pieces.size; i++) reader.readPostponed(wordText(pieces, i), words, pieces.counts[i])
  const data = words.data()
  return new Map(Array.from({ length: data.size }, (_, i) => [wordText(data, i), data.counts[i]]))
}

/** Words as the encoder splits them, with the normalizer and pre-tokenizer of tokenizer.json. */
const encoderWords = (text: string, options: PreTokenization): Map<string, number> => {
  const { byteLevel, json } = createWordReader(options)
  const normalized = json.normalizer === null ? text : readNormalizer(json.normalizer).normalize(text, WHOLE_SEGMENT)
  const counts = new Map<string, number>()
  for (const piece of readPreTokenizer(json.pre_tokenizer).split([new PlainPiece(normalized, 0)])) {
    if (piece.text === '') continue
    const word = byteLevel ? Buffer.from(fromByteLevel(piece.text) ?? []).toString('utf8') : piece.text
    counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  return counts
}

const sorted = (words: Map<string, number>) => [...words].sort((a, b) => (a[0] < b[0] ? -1 : 1))

const awkward = fc.constantFrom(
  ...[
    ' ',
    '  ',
    '\n',
    '\r\n',
    '\t',
    "'s",
    "'LL",
    "'re",
    "'",
    'don',
    'It',
    'ABC',
    '1',
    '1234567',
    '…',
    '!',
    '--',
    '?!\n',
  ],
  ...[
    'é',
    'e\u0301',
    'İ',
    'Σ',
    'ß',
    '\u00a0',
    '\u3000',
    '\u2028',
    '\u0085',
    '\ufeff',
    '\u200b',
    '漢字',
    'ﬁ',
    '½',
    '²',
    '٣',
  ],
  ...[
    '▁',
    '▁▁a',
    '😀',
    '👩‍🚀',
    '\u0000',
    '\u000b',
    '\u007f',
    '\ufffd',
    '¨',
    '≠',
    '\u037e',
    '̈',
    '한국',
    'ｆｕｌｌ',
    'ſ',
  ],
)
const anyText = fc
  .array(fc.oneof({ weight: 4, arbitrary: awkward }, fc.string({ unit: 'binary', maxLength: 4 })), { maxLength: 24 })
  .map((parts) => parts.join('').toWellFormed())

describe('words counted for training are the words of the encoder', () => {
  for (const preTokenizer of preTokenizerNames) {
    const normalizers =
      preTokenizer === 'bert' ? (['none'] as const) : (['none', 'nfc', 'nfd', 'nfkc', 'nfkd'] as const)
    for (const normalizer of normalizers) {
      for (const lowercase of [false, true]) {
        test(`${preTokenizer}, ${normalizer}, ${lowercase ? 'lower' : 'any'} case`, () => {
          const options = { preTokenizer, normalizer, lowercase, addPrefixSpace: false }
          fc.assert(
            fc.property(anyText, (text) => {
              expect(sorted(fastWords(text, options))).toEqual(sorted(encoderWords(text, options)))
            }),
            // Found by random testing: a long s after an apostrophe is a case-insensitive contraction.
            { numRuns: 300, examples: [["'ſé"], ["don'ſ 'ſt"]] },
          )
        })
      }
    }
  }

  test('gpt2 with a prefix space', () => {
    const options = { preTokenizer: 'gpt2', normalizer: 'none', lowercase: false, addPrefixSpace: true } as const
    fc.assert(
      fc.property(anyText, (text) => {
        expect(sorted(fastWords(text, options))).toEqual(sorted(encoderWords(text, options)))
      }),
      { numRuns: 300 },
    )
  })
})

test('gpt2 words are the matches of the published pattern', () => {
  const options = { preTokenizer: 'gpt2', normalizer: 'none', lowercase: false, addPrefixSpace: false } as const
  const text = "It's 1984: they'll\n\n  don't   stop, can't 'Twas  "
  const matches = text.match(new RegExp(GPT2_PATTERN, 'gu')) ?? []
  expect(matches).toHaveLength(17)
  expect([...fastWords(text, options).keys()].sort()).toEqual([...new Set(matches)].sort())
})
