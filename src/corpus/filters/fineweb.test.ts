// Each rule by hand, at and past its threshold, from arXiv:2406.17557 section 3.5.

import { expect, it } from 'vitest'
import { createFilter } from './filter.ts'
import { fineweb } from './fineweb.ts'

const reason = async (text: string, options: object = {}): Promise<string | undefined> => {
  const decision = (await createFilter(fineweb, options, 'fineweb')).apply({ id: '1', text, metadata: {} })
  return decision.keep ? undefined : decision.reason
}

/** `count` different lines of six words and more than 30 characters, the first `ended` with a full stop. */
const lines = (count: number, ended: number) =>
  Array.from({ length: count }, (_, i) => `line number ${i} has some more words${i < ended ? '.' : ''}`)

it('wants 12 % of lines to end in a terminal mark', async () => {
  expect(await reason(lines(25, 3).join('\n'))).toBeUndefined()
  expect(await reason(lines(26, 3).join('\n'))).toBe('too-few-terminal-lines')
  expect(await reason(lines(10, 0).join('\n'))).toBe('too-few-terminal-lines')
  expect(await reason(lines(10, 0).join('\n'), { allowNoTerminalLine: true })).toBeUndefined()
  // Empty lines count for nothing; marks of other scripts and planes count.
  expect(await reason(lines(4, 1).join('\n\n\n  \n'), { maxLineEndRatio: 9 })).toBeUndefined()
  expect(await reason('これは長い文章でありまして三十文字を超えるように書かれているのです。')).toBeUndefined()
  expect(await reason(`${'ab '.repeat(20)}𑗂`)).toBeUndefined()
})

it('wants at most 67 % of lines of up to 30 characters', async () => {
  const short = (count: number) => Array.from({ length: count }, (_, i) => `this short line has number ${100 + i}`)
  expect(short(1)[0]).toHaveLength(30)
  expect(await reason([...lines(33, 33), ...short(67)].join('\n'))).toBeUndefined()
  expect(await reason([...lines(32, 32), ...short(68)].join('\n'))).toBe('too-many-short-lines')
})

it('wants at most 1 % of characters in repeated lines', async () => {
  const body = lines(100, 100)
  expect(await reason([...body, body[0]].join('\n'))).toBeUndefined()
  expect(await reason([...body, body[0], body[1]].join('\n'))).toBe('repeated-line-characters')
})

it('wants at most three line ends for ten words', async () => {
  const text = (words: number) => `A long enough word, incomprehensibilities.\n\n\n${'b '.repeat(words - 8)}c.`
  // Seven words with the marks of the first line; "c." is one. So 3 of 10, then 3 of 9.
  expect(await reason(text(10), { maxShortLines: 1 })).toBeUndefined()
  expect(await reason(text(9), { maxShortLines: 1 })).toBe('list')
})

it('drops an empty document', async () => expect(await reason(' \n\n')).toBe('empty'))
