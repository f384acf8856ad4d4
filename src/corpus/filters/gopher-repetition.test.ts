// Each rule by hand from table A1 of arXiv:2112.11446, and the n-gram counts against a slow count with strings.

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createFilter } from './filter.ts'
import { countRepeated, gopherRepetition } from './gopher-repetition.ts'

const filter = await createFilter(gopherRepetition, {}, 'gopher-repetition')

const reason = (text: string, one = filter): string | undefined => {
  const decision = one.apply({ id: '1', text, metadata: {} })
  return decision.keep ? undefined : decision.reason
}

const distinct = (count: number, label: string) => Array.from({ length: count }, (_, i) => `${label}${i}`).join(' ')

it('counts parts that stood before', () => {
  expect(countRepeated(['a', 'bb', 'a', 'a', 'bb'])).toEqual({ count: 3, characters: 4 })
})

it('drops repeated lines and paragraphs', () => {
  expect(reason('')).toBe('empty')
  // 3 of 10 lines is the limit, 4 of 11 is past it; long other lines keep the characters low.
  const lines = Array.from({ length: 7 }, (_, i) => distinct(12, `w${i}x`))
  expect(reason([...lines, 'a', 'a', 'a'].join('\n'))).toBeUndefined()
  expect(reason([...lines.slice(0, 5), 'a', 'a', 'a', 'a', 'a'].join('\n'))).toBe('duplicate-lines')
  // One line of a third: 1 of 4 lines but more than a fifth of the characters.
  const long = distinct(40, 'long')
  expect(reason([distinct(40, 'p'), distinct(40, 'q'), long, long].join('\n'))).toBe('duplicate-line-characters')
  expect(reason([distinct(40, 'p'), distinct(40, 'q'), long, long].join('\n\n'))).toBe('duplicate-paragraph-characters')
  expect(reason([distinct(60, 'p'), distinct(60, 'q'), 'a', 'a', 'a'].join('\n\n'))).toBe('duplicate-paragraphs')
})

it('drops a frequent 2-gram', () => {
  // "ab cd" is 5 characters; 10 of them in a text of 250 is 0.2, 12 are more.
  const text = (times: number) => {
    const parts = Array.from({ length: times }, (_, i) => `ab cd u${i}`).join(' ')
    return `${parts} ${distinct(200, 'z').slice(0, 249 - parts.length)}`
  }
  expect(text(10)).toHaveLength(250)
  expect(reason(text(10))).toBeUndefined()
  expect(reason(text(12))).toBe('top-n-gram')
})

it('drops duplicate n-grams, counted without overlap', () => {
  const five = 'alpha beta gamma delta epsilon'
  const only = (n: number, limit: number) =>
    createFilter(gopherRepetition, { topNGrams: [], duplicateNGrams: [[n, limit]] }, 'x')
  // The second copy holds 26 letters of a text of 2 × 30 + 1.
  return Promise.all(
    [25.9, 26.1].map(async (letters) => {
      const text = `${five} ${five}`
      const result = reason(text, await only(5, letters / text.length))
      expect(result).toBe(letters < 26 ? 'duplicate-n-grams' : undefined)
    }),
  )
})

it('counts n-grams like a slow count with strings', async () => {
  const word = fc.constantFrom('a', 'bb', 'ccc', 'dddd')
  await fc.assert(
    fc.asyncProperty(
      fc.array(word, { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 10 }),
      async (words, n) => {
        const text = words.join(' ')
        const grams = words.slice(0, Math.max(0, words.length - n + 1)).map((_, i) => words.slice(i, i + n).join(' '))
        const counts = new Map<string, number>()
        for (const gram of grams) counts.set(gram, (counts.get(gram) ?? 0) + 1)
        let top = ''
        for (const [gram, count] of counts) if (count > (counts.get(top) ?? 0)) top = gram
        const topCharacters = top.length * (counts.get(top) ?? 0)
        let duplicate = 0
        const seen = new Set<string>()
        for (let i = 0; i < grams.length; ) {
          if (seen.has(grams[i])) {
            duplicate += grams[i].length - n + 1
            i += n
          } else seen.add(grams[i++])
        }
        const off = {
          maxDuplicateLines: 1,
          maxDuplicateParagraphs: 1,
          maxDuplicateLineCharacters: 1,
          maxDuplicateParagraphCharacters: 1,
        }
        for (const [kind, characters] of [
          ['topNGrams', topCharacters],
          ['duplicateNGrams', duplicate],
        ] as const) {
          // Copies of an n-gram may overlap ("a a a" holds "a a" twice), so that a share may exceed the largest limit,
          // 1.
          const limit = Math.min(1, characters / text.length)
          const options = { ...off, topNGrams: [], duplicateNGrams: [], words: 'whitespace' }
          const dropped = kind === 'topNGrams' ? 'top-n-gram' : 'duplicate-n-grams'
          const at = await createFilter(gopherRepetition, { ...options, [kind]: [[n, limit]] }, 'x')
          expect(reason(text, at)).toBe(characters > text.length ? dropped : undefined)
          if (limit === 0) continue
          const below = await createFilter(gopherRepetition, { ...options, [kind]: [[n, limit * 0.999]] }, 'x')
          expect(reason(text, below)).toBe(dropped)
        }
      },
    ),
    { examples: [[['dddd', 'dddd', 'dddd'], 2]] },
  )
})
