import { beforeAll, describe, expect, it } from 'vitest'
import { createRandom } from '../core/index.ts'
import { loadTokenizer, type Tokenizer, trainTokenizer } from '../tokenizers/index.ts'
import { causalLm } from './causal-lm.ts'
import { createFim, fimGrowth } from './fill-in-the-middle.ts'
import type { TextRow, VocabularyFacts } from './objective.ts'
import { vocabularyFacts } from './vocabulary.ts'

const fim = { prefix: 1, suffix: 2, middle: 3, end: 9, ends: [9] }
const vocabulary: VocabularyFacts = { size: 200, eos: 9, specialIds: new Set([1, 2, 3, 9]), fim }
const document = Uint16Array.from({ length: 40 }, (_, i) => 100 + i)

/** The parts of a rewritten document, by the tokens around them. */
const partsOf = (ids: ArrayLike<number>) => {
  const all = Array.from(ids)
  const [s, m] = [all.indexOf(2), all.indexOf(3)]
  expect([all[0], all.at(-1)]).toEqual([1, 9])
  return {
    order: s === 1 && m > 2 ? 'spm' : 'psm',
    between: all.slice(1, s),
    suffix: all.slice(s + 1, m),
    rest: all.slice(m + 1, -1),
  }
}

const create = (config: object, facts = vocabulary, maxLength = 32) =>
  causalLm.create(causalLm.config.parse(config), { vocabulary: facts, maxLength })
const noOther = (): TextRow => {
  throw new Error('no further row is needed here')
}

describe('createFim', () => {
  it('cuts a document at two uniform places, in both orders', () => {
    const rewrite = createFim({ fimRate: 1, fimSpmRate: 0.25 }, vocabulary)?.(createRandom(1))
    const draws = 4000
    let spm = 0
    let prefixes = 0
    let suffixes = 0
    let empty = 0
    for (let i = 0; i < draws; i++) {
      const { ids, kept } = rewrite!(document, 100)!
      expect([ids.length, kept]).toEqual([document.length + fimGrowth, document.length])
      const { order, between, suffix, rest } = partsOf(ids)
      if (order === 'spm') spm++
      else {
        expect([...between, ...rest, ...suffix]).toEqual([...document])
        prefixes += between.length
        if (rest.length === 0) empty++
      }
      if (order === 'spm') expect([...rest, ...suffix]).toEqual([...document])
      suffixes += suffix.length
    }
    expect(Math.abs(spm / draws - 0.25)).toBeLessThan(0.03)
    // Two uniform places cut into three parts of equal mean length, and meet in one of 41 places.
    expect(Math.abs(prefixes / (draws - spm) / document.length - 1 / 3)).toBeLessThan(0.02)
    expect(Math.abs(suffixes / draws / document.length - 1 / 3)).toBeLessThan(0.02)
    expect(Math.abs(empty / (draws - spm) - 1 / 41)).toBeLessThan(0.01)
  })

  it('rewrites the share of documents that is asked for', () => {
    const rewrite = createFim({ fimRate: 0.7 }, vocabulary)?.(createRandom(2))
    const rewritten = Array.from({ length: 4000 }, () => rewrite?.(document, 100)).filter((one) => one !== undefined)
    expect(Math.abs(rewritten.length / 4000 - 0.7)).toBeLessThan(0.03)
    expect(createFim({ fimRate: 0 }, { ...vocabulary, fim: undefined })).toBeUndefined()
  })

  it('keeps the document as it is where there is no space, and its beginning where there is little', () => {
    const rewrite = createFim({ fimRate: 1, fimSpmRate: 0 }, vocabulary)!(createRandom(3))
    expect(rewrite(document, fimGrowth)).toBeUndefined()
    expect(rewrite(document.subarray(0, 0), 20)).toBeUndefined()
    const { ids, kept } = rewrite(document, 12)!
    expect([ids.length, kept]).toEqual([12, 8])
    const { between, suffix, rest } = partsOf(ids)
    expect([...between, ...rest, ...suffix]).toEqual([...document.subarray(0, 8)])
  })

  it('refuses a vocabulary without the tokens, and settings without effect', () => {
    expect(() => create({ fimRate: 0.5 }, { ...vocabulary, fim: undefined })).toThrow(
      /^`fimRate` needs a vocabulary with fill-in-the-middle tokens.*--extra-tokens.*vocabulary grow/,
    )
    expect(() => create({ fimRate: 0.5 }, { ...vocabulary, fim: { ...fim, end: undefined } })).toThrow(
      '`fimRate` needs a vocabulary with an end token',
    )
    expect(() => create({ fimSpmRate: 0.5 })).toThrow('`fimSpmRate` and `fimCuts` need `fimRate`')
    expect(() => create({ fimRate: 0.5 }, vocabulary, 4)).toThrow('at least 5 for `maxLength`')
  })
})

describe('causal language modelling with fill-in-the-middle', () => {
  const ids = Uint16Array.from([
    9,
    ...document.subarray(0, 6),
    9,
    ...document.subarray(6, 10),
    9,
    ...document.subarray(10),
  ])
  const row: TextRow = { ids, starts: [0, 1, 8, 13], part: 0 }

  it.each(['separate', 'joined'] as const)('rewrites each document of a row by itself (%s)', (documents) => {
    const objective = create({ fimRate: 1, fimSpmRate: 0, documents })
    for (let seed = 0; seed < 200; seed++) {
      const example = objective.example(row, createRandom(seed), noOther) as { ids: Uint32Array; labels: Int32Array }
      expect(objective.tokens(example)).toBeLessThanOrEqual(32)
      const shown = objective.show!(example).map(({ ids }) => ids)
      const pieces = shown
        .flatMap((sequence) =>
          sequence
            .join()
            .replace(/^9,/, '')
            .split(/(?<=,9)(?:,|$)/),
        )
        .map((piece) => piece.split(',').filter(Boolean).map(Number))
        .filter((piece) => piece.length > 1)
      const texts = pieces.map((piece) => {
        const { between, suffix, rest } = partsOf(piece)
        return [...between, ...rest, ...suffix]
      })
      expect(texts.slice(0, 2)).toEqual([[...document.subarray(0, 6)], [...document.subarray(6, 10)]])
      // The document at the end of the row is cut before it is rewritten, so that its gap ends too.
      const last = texts[2]
      expect(last).toEqual([...document.subarray(10, 10 + last.length)])
      expect(objective.cut(example)).toBe(document.length - 10 - last.length)
      expect(shown.flat().length).toBe(documents === 'separate' ? 32 + 3 : 32 + 1)
    }
  })

  it('gives the same example for the same row and random numbers, and other ones for others', () => {
    const objective = create({ fimRate: 0.5 })
    const exampleOf = (seed: number) => objective.example(row, createRandom(seed), noOther)
    const first = exampleOf(1)
    expect(new Set([1, 2, 3, 4, 5].map((seed) => JSON.stringify(exampleOf(seed)))).size).toBe(5)
    expect(exampleOf(1)).toEqual(first)
  })

  it('asks for rows that a rewritten document fits into', () => {
    const objective = create({ fimRate: 1 })
    expect(objective.rows).toEqual({ length: 29, overlap: 1 })
    const whole = { ids: document.subarray(0, 29), starts: [0], part: 0 }
    const example = objective.example(whole, createRandom(0), noOther)
    expect([objective.tokens(example), objective.cut(example)]).toEqual([32, 0])
  })
})

describe('cuts between characters', () => {
  let tokenizer: Tokenizer
  let facts: VocabularyFacts
  const text = 'The cat sat on the mat; “señor” 🙂🙂 said the captain of the ship.'
  beforeAll(async () => {
    const { files } = await trainTokenizer(Array(9).fill(text), {
      type: 'bpe',
      vocabSize: 340,
      extraTokens: ['<fim_prefix>', '<fim_suffix>', '<fim_middle>'],
    })
    tokenizer = await loadTokenizer(JSON.parse(files['tokenizer.json']), {
      config: JSON.parse(files['tokenizer_config.json']),
    })
    facts = vocabularyFacts(tokenizer)
  })

  it('encode each part by itself, as a prompt does', () => {
    const rewrite = createFim({ fimRate: 1, fimSpmRate: 0 }, facts)!(createRandom(4))
    const ids = tokenizer.encodeIds(text)
    let within = 0
    for (let i = 0; i < 300; i++) {
      const shown = tokenizer.decode(rewrite(ids, 200)!.ids)
      const [, prefix, suffix, middle] = /^<fim_prefix>(.*)<fim_suffix>(.*)<fim_middle>(.*)<\|endoftext\|>$/s.exec(
        shown,
      )!
      expect(prefix + middle + suffix).toBe(text)
      const parts = [prefix, suffix, middle].flatMap((part) => [...tokenizer.encodeIds(part)])
      if (parts.length > ids.length) within++
    }
    expect(within).toBeGreaterThan(100)
  })

  it('keep the limit: the suffix gives way to parts with more tokens', () => {
    const rewrite = createFim({ fimRate: 1 }, facts)!(createRandom(5))
    const ids = tokenizer.encodeIds(text)
    let shorter = 0
    for (let i = 0; i < 300; i++) {
      const { ids: written, kept } = rewrite(ids, ids.length + fimGrowth)!
      expect(written.length).toBeLessThanOrEqual(ids.length + fimGrowth)
      if (kept < ids.length) shorter++
    }
    expect(shorter).toBeGreaterThan(50)
  })

  it('are between tokens for a document that begins within a character', () => {
    const rewrite = createFim({ fimRate: 1, fimSpmRate: 0 }, facts)!(createRandom(6))
    const bytes = tokenizer.encodeIds('é').subarray(1)
    const broken = Uint32Array.of(
      ...(bytes.length > 0 ? bytes : tokenizer.encodeIds('\u4f60').subarray(1)),
      ...tokenizer.encodeIds(text),
    )
    expect(tokenizer.decode(broken)).toContain('\ufffd')
    const { ids, kept } = rewrite(broken, 300)!
    expect([ids.length, kept]).toEqual([broken.length + fimGrowth, broken.length])
  })
})
