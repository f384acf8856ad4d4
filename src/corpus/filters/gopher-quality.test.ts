// Each rule by hand, at and past its threshold, from arXiv:2112.11446 appendix A.1.1.

import { expect, it } from 'vitest'
import { createFilter } from './filter.ts'
import { gopherQuality } from './gopher-quality.ts'

const filter = await createFilter(gopherQuality, {}, 'gopher-quality')

const reason = (text: string): string | undefined => {
  const decision = filter.apply({ id: '1', text, metadata: {} })
  return decision.keep ? undefined : decision.reason
}

/** `count` words with two stop words in front. */
const prose = (count: number, word = 'paper') => `the of ${`${word} `.repeat(count - 2)}`.trim()

it('wants 50 to 100,000 words, marks not counted', () => {
  expect(reason(prose(50))).toBeUndefined()
  expect(reason(prose(49))).toBe('too-few-words')
  expect(reason(`${prose(49)} . ! ? , ; :`)).toBe('too-few-words')
  expect(reason('')).toBe('too-few-words')
  expect(reason(prose(100_000))).toBeUndefined()
  expect(reason(prose(100_001))).toBe('too-many-words')
})

it('wants words of 3 to 10 characters in the mean', () => {
  // (3 + 2 + 48 n) / 50
  expect(reason(prose(50, 'ab'))).toBe('words-too-short')
  expect(reason(prose(50, 'abc'))).toBe('words-too-short')
  expect(reason(prose(52, 'abcd'))).toBeUndefined()
  expect(reason(prose(50, 'abcdefghij'))).toBeUndefined()
  expect(reason(prose(50, 'abcdefghijk'))).toBe('words-too-long')
})

it('counts letters outside the basic plane once', () => {
  // Ten letters each, twenty UTF-16 units.
  expect(reason(prose(60, '𝒶𝒷𝒸𝒹𝑒𝒻𝑔𝒽𝒾𝒿'))).toBeUndefined()
})

it('wants no more than one hash sign or ellipsis for ten words', () => {
  // Each mark is a word itself: 6 of 60 is 0.1, 7 of 61 is more.
  expect(reason(`${prose(54)} ${'# '.repeat(6)}`)).toBeUndefined()
  expect(reason(`${prose(54)} ${'# '.repeat(7)}`)).toBe('too-many-hashes')
  expect(reason(`${prose(54)} ${'… '.repeat(6)}end`)).toBeUndefined()
  expect(reason(`${prose(54)} ${'... '.repeat(8)}end`)).toBe('too-many-ellipses')
})

it('wants at most 90 % of lines with a bullet and 30 % with an ellipsis', () => {
  const lines = (count: number, line: string) => Array.from({ length: count }, () => line).join('\n')
  const plain = 'the ending will come to everyone of them together'
  expect(reason(`${lines(9, `- ${plain}`)}\n${plain}`)).toBeUndefined()
  expect(reason(lines(10, ` • ${plain}`))).toBe('too-many-bullets')
  expect(reason(`${lines(3, `${plain} …`)}\n${lines(7, plain)}`)).toBeUndefined()
  expect(reason(`${lines(4, `${plain}... `)}\n${lines(6, plain)}`)).toBe('too-many-ellipsis-lines')
})

it('wants a letter in 80 % of the words', () => {
  expect(reason(`${prose(52)} ${'123 '.repeat(13)}`)).toBeUndefined()
  expect(reason(`${prose(52)} ${'123 '.repeat(14)}`)).toBe('too-few-alphabetic-words')
})

it('wants two different stop words', () => {
  expect(reason(`the ${'paper '.repeat(60)}`)).toBe('too-few-stop-words')
  expect(reason(`the the ${'paper '.repeat(60)}`)).toBe('too-few-stop-words')
  expect(reason(`the with ${'paper '.repeat(60)}`)).toBeUndefined()
})

it('uses the thresholds of the options', async () => {
  const strict = await createFilter(gopherQuality, { minWords: 60, minStopWords: 0 }, 'gopher-quality')
  expect(strict.apply({ id: '1', text: prose(59), metadata: {} })).toEqual({
    keep: false,
    reason: 'too-few-words',
    detail: '59',
  })
  await expect(createFilter(gopherQuality, { minWord: 60 }, 'gopher-quality')).rejects.toThrow(/minWord.*minWords/s)
})
