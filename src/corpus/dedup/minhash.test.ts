import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRandom, sha256 } from '../../core/index.ts'
import { createMinhasher, type MinhashOptions, matchProbability, minhashSignature } from './minhash.ts'
import { blockShingles, createPlainKernel, createSimdKernel } from './minhash-kernel.ts'
import { Clusters } from './near.ts'
import { hashWords, WordHashes } from './normalized-words.ts'

const random = createRandom(11)
const vocabulary = Array.from({ length: 1000 }, (_, i) =>
  String.fromCharCode(97 + (i % 26), 97 + (Math.floor(i / 26) % 26), 97 + Math.floor(i / 676)),
)
/** Texts are drawn as word numbers, so that the true similarity is counted without any hash. */
type Words = readonly number[]
const drawWords = (count: number): Words => Array.from({ length: count }, () => random.integer(1000))
const textOf = (words: Words) => words.map((word) => vocabulary[word]).join(' ')

/** Similarity of the sets of n-grams; five numbers under 1024 fit a double exactly. */
const jaccard = (a: Words, b: Words, n: number): number => {
  const grams = (words: Words) => {
    const set = new Set<number>()
    for (let i = 0; i + n <= words.length; i++) {
      let gram = 0
      for (let j = 0; j < n; j++) gram = gram * 1024 + words[i + j]
      set.add(gram)
    }
    return set
  }
  const [first, second] = [grams(a), grams(b)]
  let common = 0
  for (const gram of first) if (second.has(gram)) common++
  return common / (first.size + second.size - common)
}

/** Replaces a share of the words at different places by other words. */
const edit = (words: Words, share: number): Words => {
  const places = random.shuffle(Array.from(words, (_, i) => i)).slice(0, Math.round(words.length * share))
  const copy = [...words]
  for (const place of places) copy[place] = (words[place] + 1 + random.integer(999)) % 1000
  return copy
}

const share = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

const configs: MinhashOptions[] = [
  { nGram: 5, bands: 14, rows: 8 },
  { nGram: 5, bands: 20, rows: 5 },
  { nGram: 3, bands: 25, rows: 4 },
  { nGram: 1, bands: 14, rows: 8 },
]
const documents = 2500

describe.each(configs)('planted duplicates, %o', (config) => {
  const options = { nGram: 5, bands: 14, rows: 8, ...config }
  it.each([0.05, 0.1, 0.2])('edited in %d of the words: recall is that of theory within 2 %', (edited) => {
    // Several sets of hash functions: few words make the results of one set alike for all documents.
    const minhashers = [1, 2, 3, 4, 5].map((seed) => createMinhasher({ ...options, seed }))
    const matched: number[] = []
    const expected: number[] = []
    let strangers = 0
    let last: BigUint64Array | undefined
    for (let i = 0; i < documents; i++) {
      const minhasher = minhashers[Math.floor(i / 500)]
      const words = drawWords(120 + random.integer(200))
      const copy = edit(words, edited)
      const a = minhasher.signature(textOf(words))
      const b = minhasher.signature(textOf(copy))
      matched.push(a.some((key, band) => key === b[band]) ? 1 : 0)
      expected.push(matchProbability(jaccard(words, copy, options.nGram), options))
      // Precision: neighbours in this list are unrelated; single words overlap a little, so n = 1 is left out.
      if (last?.some((key, band) => key === a[band])) strangers++
      last = a
    }
    expect(Math.abs(share(matched) - share(expected))).toBeLessThan(0.02)
    expect(strangers).toBe(0)
  })
})

describe('minima', () => {
  it('agree as often as the sets are similar', () => {
    // With one row a band, each key is one hash function.
    const minhasher = createMinhasher({ nGram: 2, bands: 200, rows: 1 })
    for (const edited of [0.02, 0.1, 0.3]) {
      const errors: number[] = []
      for (let i = 0; i < 60; i++) {
        const words = drawWords(150)
        const copy = edit(words, edited)
        const [a, b] = [minhasher.signature(textOf(words)), minhasher.signature(textOf(copy))]
        errors.push([...a].filter((key, band) => key === b[band]).length / a.length - jaccard(words, copy, 2))
      }
      // Standard error: sqrt(s(1-s)/200/60) < 0.005.
      expect(Math.abs(share(errors))).toBeLessThan(0.015)
    }
  })
})

describe('kernels', () => {
  it('in SIMD and plain give the same minima', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer(), { minLength: 1, maxLength: 40 }),
        fc.integer(),
        fc.nat(30),
        (functions, seed, more) => {
          const multipliers = Int32Array.from(functions.flatMap((value) => [value | 1, Math.imul(value, 77) | 1]))
          const simd = createSimdKernel(multipliers)
          const plain = createPlainKernel(multipliers)
          if (simd === undefined) throw new Error('This machine has no WebAssembly SIMD.')
          const shingles = createRandom(seed)
          for (const kernel of [simd, plain]) kernel.minima.fill(0x7fffffff)
          for (const count of [1 + more, blockShingles]) {
            for (let i = 0; i < count * 2; i++) simd.shingles[i] = plain.shingles[i] = shingles.uint32()
            simd.update(count)
            plain.update(count)
          }
          expect(Array.from(simd.minima)).toEqual(Array.from(plain.minima))
        },
      ),
      { numRuns: 50 },
    )
  })
})

describe('normalized words', () => {
  const hash = (text: string) => {
    const words = new WordHashes()
    hashWords(text, words)
    return Array.from(words.pairs.subarray(0, words.count * 2))
  }
  it.each([
    ['Hello, World!', 'hello   world'],
    ['Café Ünïté', 'cafe\nunite'],
    ['e\u0301te\u0301', 'été'],
    ['in 1999, 3 of', 'in 2025 (17) of'],
    ['ΑΒΓ ДОМ', 'αβγ дом'],
  ])('takes %j and %j for the same', (a, b) => expect(hash(a)).toEqual(hash(b)))
  it.each([
    ['ab c', 'a bc'],
    ['가나', '고노'],
    ['we are', 'are we'],
    ['no', 'not'],
    ['', 'a'],
  ])('tells %j from %j', (a, b) => expect(hash(a)).not.toEqual(hash(b)))
  it('counts each character of a script without spaces', () => {
    expect(hash('東京都 abc').length / 2).toBe(4)
    expect(hash('漢abc字').length / 2).toBe(3)
  })
  it('gives 50,000 words distinct hashes', () => {
    const words = new WordHashes()
    const text = Array.from({ length: 50_000 }, (_, i) =>
      i.toString(26).replace(/\d/g, (d) => 'qrstuvwxyz'[Number(d)]),
    ).join(' ')
    hashWords(text, words)
    const lows = new Set<string>()
    for (let i = 0; i < words.count; i++) lows.add(`${words.pairs[i * 2]} ${words.pairs[i * 2 + 1]}`)
    expect(lows.size).toBe(new Set(text.split(' ')).size)
  })
})

describe('signatures', () => {
  it('stay what they are in files already written', () => {
    const text =
      'It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want.'
    // Made by this code at its first release: a change here needs a new file version.
    expect(sha256(new Uint8Array(minhashSignature(text).buffer)).slice(0, 16)).toBe('0ddd82a0a68fe71c')
  })
  it('depend on the seed, not on the case', () => {
    expect(minhashSignature('One two three four five six')).toEqual(
      minhashSignature('one, two, THREE, four, five, six'),
    )
    expect(minhashSignature('one two three', { seed: 2 })).not.toEqual(minhashSignature('one two three'))
  })
  it('exist for texts shorter than a shingle, and are empty without words', () => {
    expect(minhashSignature('one two')).toEqual(minhashSignature('One  TWO'))
    expect(minhashSignature('one two')).not.toEqual(minhashSignature('one three'))
    expect(minhashSignature(' … ')).toHaveLength(0)
  })
  it('see every block of a long text', () => {
    const long = drawWords(blockShingles * 3)
    const changed = [...long.slice(0, blockShingles * 2), ...drawWords(blockShingles)]
    const minhasher = createMinhasher({ nGram: 3, bands: 250, rows: 1 })
    const [a, b] = [minhasher.signature(textOf(long)), minhasher.signature(textOf(changed))]
    expect([...a].filter((key, i) => key === b[i]).length / 250).toBeCloseTo(jaccard(long, changed, 3), 1)
  })
})

describe('clusters', () => {
  it('are the connected components, with their smallest item as root, in any order of links', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(30), fc.nat(30)), { maxLength: 40 }), fc.integer(), (links, seed) => {
        const build = (list: readonly (readonly [number, number])[]) => {
          const clusters = new Clusters(31)
          for (const [a, b] of list) clusters.link(a, b)
          return Array.from(clusters.roots())
        }
        const roots = build(links)
        expect(build(createRandom(seed).shuffle(links.map(([a, b]) => [b, a] as const)))).toEqual(roots)
        for (const [a, b] of links) expect(roots[a]).toBe(roots[b])
        // Slow reference: spread the smallest number until nothing changes.
        const slow = Array.from({ length: 31 }, (_, i) => i)
        for (let changed = true; changed; ) {
          changed = false
          for (const [a, b] of links) {
            const least = Math.min(slow[a], slow[b])
            if (slow[a] !== least || slow[b] !== least) {
              slow[a] = slow[b] = least
              changed = true
            }
          }
        }
        expect(roots).toEqual(slow)
      }),
    )
  })
})
