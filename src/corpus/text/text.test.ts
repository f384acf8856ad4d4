import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  countCodePoints,
  countOccurrences,
  countSentences,
  isPunctuation,
  splitLines,
  splitWhitespace,
  splitWords,
  terminalMark,
  trim,
  trimEnd,
} from './index.ts'

describe('words', () => {
  // The expected words are those of spaCy's blank English pipeline (3.8), which the reference implementation uses.
  it.each([
    ["I can't, won't and shouldn't've gone.", "I ca n't , wo n't and should n't 've gone ."],
    ['They’re at the U.S. embassy, e.g. in N.Y. now.', 'They ’re at the U.S. embassy , e.g. in N.Y. now .'],
    ['"Hello," she said (twice).', '" Hello , " she said ( twice ) .'],
    ["The dog's well-known toys cost $3.50 or 10km.", "The dog 's well - known toys cost $ 3.50 or 10 km ."],
    ['See https://example.com/a-b?c=d, or mail a.b@c.org!', 'See https://example.com/a-b?c=d , or mail a.b@c.org !'],
    ['Wait... what?! :-) yes:)', 'Wait ... what ? ! :-) yes :)'],
    ['end.Start a/b and/or 1990s 5-6 x,y', 'end . Start a / b and/or 1990s 5 - 6 x , y'],
    ['well its shell cannot gonna 7pm', 'well its shell can not gon na 7 pm'],
    ['', ''],
  ])('%s', (text, words) => expect(splitWords(text).join(' ')).toBe(words))

  it('are cut by other rules when told', () => {
    expect(splitWords("can't stop", 'whitespace')).toEqual(["can't", 'stop'])
    expect(splitWords('東京都に住む', 'unicode').length).toBeGreaterThan(1)
  })

  it('hold every character but white space, in order', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 100 }),
        fc.constantFrom('english', 'whitespace'),
        (text, rule) => {
          const bare = (value: string) => value.replace(/[\s\x1c-\x1f\x85]/g, '')
          expect(bare(splitWords(text, rule as 'english').join(''))).toBe(bare(text))
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('sentences', () => {
  it.each([
    ['One. Two! Three?', 3],
    ['Mr. Smith paid 3.50 in the U.S. today.', 1],
    ['He said "Go." Then left.', 2],
    ['No mark at all', 1],
    ['What?! Really... yes.', 2],
    ['これは文です。これもです。', 1],
  ])('%s', (text, count) => expect(countSentences(text)).toBe(count))
})

describe('characters', () => {
  it('counts code points as an iterator does', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(countCodePoints(text)).toBe([...text].length)
      }),
    )
    expect(countCodePoints('\ud800x\udc00')).toBe(3)
  })
  it('splits lines at every line end', () => {
    expect(splitLines('a\nb\r\nc\rd\u2028e\x85f\x0cg\n')).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g'])
    expect(splitLines('')).toEqual([])
    expect(splitLines('\n\n')).toEqual(['', ''])
  })
  it('trims and splits by white space', () => {
    expect(trim('\x1c \u00a0a b\u3000\x85')).toBe('a b')
    expect(trimEnd('a \n')).toBe('a')
    expect(trim(' ')).toBe('')
    expect(splitWhitespace(' a\u00a0b\tc\x1f')).toEqual(['a', 'b', 'c'])
    expect(splitWhitespace('')).toEqual([])
  })
  it('counts parts without overlap', () => {
    expect(countOccurrences('.....', '...')).toBe(1)
    expect(countOccurrences('#a##', '#')).toBe(3)
  })
  it('recognises punctuation and terminal marks', () => {
    for (const mark of ['.', '...', '—', '«', '。', '?!', '\u0080']) expect(isPunctuation(mark)).toBe(true)
    for (const word of ['a', '1', '.a', '$5', '€']) expect(isPunctuation(word)).toBe(false)
    for (const mark of ['.', '。', '؟', '।', '៕', '៚']) expect(terminalMark.test(mark)).toBe(true)
    for (const mark of [',', ':', '"', 'a']) expect(terminalMark.test(mark)).toBe(false)
  })
})
