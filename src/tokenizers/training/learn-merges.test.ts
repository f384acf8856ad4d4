import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { startVocabulary } from './alphabet.ts'
import { learnMerges, type MergeScore } from './learn-merges.ts'
import { WordTable } from './word-table.ts'

interface Case {
  words: [string, number][]
  vocabSize: number
  minFrequency: number
  maxTokenLength: number
  score: MergeScore
  prefix: '' | '##'
}

const learn = ({ words, vocabSize, minFrequency, maxTokenLength, score, prefix }: Case): string[][] => {
  const table = new WordTable()
  for (const [word, count] of words) {
    const bytes = Buffer.from(word)
    table.add(bytes, 0, bytes.length, count)
  }
  const started = startVocabulary(table.data(), {
    byteLevel: false,
    specialTokens: ['[UNK]'],
    initialAlphabet: '',
    continuingPrefix: prefix,
  })
  const { list } = started
  const merges = learnMerges(started.words, list, {
    vocabSize,
    minFrequency,
    maxTokenLength,
    score,
    continuingPrefix: prefix,
  })
  return [list.tokens, merges.map(([a, b]) => `${list.tokens[a]} ${list.tokens[b]}`)]
}

/** The definition, which counts everything again for each merge. */
const naive = ({ words, vocabSize, minFrequency, maxTokenLength, score, prefix }: Case): string[][] => {
  const counts = new Map<string, number>()
  for (const [word, count] of words) counts.set(word, (counts.get(word) ?? 0) + count)
  const byCode = (a: string, b: string) => (a.codePointAt(0) as number) - (b.codePointAt(0) as number)
  const written = [...counts].map(([word, count]) => ({
    count,
    symbols: [...word].map((c, i) => (i > 0 ? prefix : '') + c),
  }))
  const characters = [...new Set(words.flatMap(([word]) => [...word]))].sort(byCode)
  const inside = [...new Set(words.flatMap(([word]) => [...word].slice(1)))].sort(byCode).map((c) => prefix + c)
  const tokens = [...new Set(['[UNK]', ...characters, ...inside])]
  const merges: string[] = []
  const bare = (token: string) => (prefix !== '' && token.startsWith(prefix) ? token.slice(prefix.length) : token)
  while (tokens.length < vocabSize) {
    const pairs = new Map<string, { a: string; b: string; count: number }>()
    const singles = new Map<string, number>()
    for (const { symbols, count } of written) {
      symbols.forEach((symbol, i) => {
        singles.set(symbol, (singles.get(symbol) ?? 0) + count)
        if (i === 0) return
        const a = symbols[i - 1]
        if ([...bare(a)].length + [...bare(symbol)].length > maxTokenLength) return
        const pair = pairs.get(`${a} ${symbol}`) ?? { a, b: symbol, count: 0 }
        pair.count += count
        pairs.set(`${a} ${symbol}`, pair)
      })
    }
    const valued = [...pairs.values()]
      .filter(({ count }) => count >= Math.max(1, minFrequency))
      .map((pair) => ({
        ...pair,
        value:
          score === 'frequency'
            ? pair.count
            : pair.count / ((singles.get(pair.a) as number) * (singles.get(pair.b) as number)),
      }))
      .sort(
        (x, y) =>
          y.value - x.value || tokens.indexOf(x.a) - tokens.indexOf(y.a) || tokens.indexOf(x.b) - tokens.indexOf(y.b),
      )
    if (valued.length === 0) break
    const { a, b } = valued[0]
    const joined = a + bare(b)
    if (!tokens.includes(joined)) tokens.push(joined)
    merges.push(`${a} ${b}`)
    for (const word of written) {
      const next: string[] = []
      for (let i = 0; i < word.symbols.length; i++) {
        if (word.symbols[i] === a && word.symbols[i + 1] === b) {
          next.push(joined)
          i++
        } else next.push(word.symbols[i])
      }
      word.symbols = next
    }
  }
  return [tokens, merges]
}

const cases = fc.record({
  words: fc.array(
    fc.tuple(
      fc.oneof(
        fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 12 }),
        fc.string({ unit: fc.constantFrom('a', 'é', '漢', '😀'), minLength: 1, maxLength: 6 }),
      ),
      fc.integer({ min: 1, max: 9 }),
    ),
    { minLength: 1, maxLength: 14 },
  ),
  vocabSize: fc.integer({ min: 5, max: 60 }),
  minFrequency: fc.integer({ min: 0, max: 6 }),
  maxTokenLength: fc.constantFrom(2, 3, 5, Number.POSITIVE_INFINITY),
  score: fc.constantFrom<MergeScore>('frequency', 'likelihood'),
  prefix: fc.constantFrom('' as const, '##' as const),
})

describe('learnMerges', () => {
  test('equals the definition on random words', () => {
    fc.assert(
      fc.property(cases, (given) => {
        expect(learn(given)).toEqual(naive(given))
      }),
      { numRuns: 1500 },
    )
  })

  // By hand: hug ×10, pug ×5, pun ×12, bun ×4, hugs ×5. Frequency merges ##u ##g (20 times). Likelihood merges
  // ##g ##s first: 5 / (20 · 5) = 0.05, against 20 / (36 · 20) = 0.028 for ##u ##g.
  const hugs: Omit<Case, 'score'> = {
    words: [
      ['hug', 10],
      ['pug', 5],
      ['pun', 12],
      ['bun', 4],
      ['hugs', 5],
    ],
    vocabSize: 10,
    minFrequency: 1,
    maxTokenLength: Number.POSITIVE_INFINITY,
    prefix: '##',
  }

  test('merges the most frequent pair', () => {
    expect(learn({ ...hugs, vocabSize: 13, score: 'frequency' })[1]).toEqual(['##u ##g'])
  })

  test('merges the pair of the highest likelihood with that score', () => {
    expect(learn({ ...hugs, vocabSize: 13, score: 'likelihood' })[1]).toEqual(['##g ##s'])
  })
})
