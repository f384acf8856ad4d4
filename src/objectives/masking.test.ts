import { describe, expect, it } from 'vitest'
import { createRandom } from '../core/index.ts'
import { createMasker, type MaskingConfig } from './masking.ts'
import type { VocabularyFacts } from './objective.ts'

const paper: MaskingConfig = {
  maskShare: 0.15,
  replaceWithMask: 0.8,
  replaceWithRandom: 0.1,
  wholeWords: false,
  maxNgram: 1,
}
const mask = 4
// Ids from 1000 on continue with the word before them.
const vocabulary: VocabularyFacts = {
  size: 2000,
  mask,
  specialIds: new Set([0, 1, 2, 3, 4]),
  continuesWord: (id) => id >= 1000,
}

const text = (length: number, label: string) => {
  const random = createRandom(label)
  return Uint32Array.from({ length }, () => 5 + random.integer(995))
}

/** Five standard deviations of a binomial count. */
const bound = (trials: number, p: number) => 5 * Math.sqrt(trials * p * (1 - p))

describe('createMasker', () => {
  it('predicts 15 % of the tokens, in shares of 80, 10 and 10 %', () => {
    const masker = createMasker(paper, vocabulary)
    let tokens = 0
    const counts = { predicted: 0, masked: 0, kept: 0, random: 0 }
    const places = new Float64Array(100)
    for (let row = 0; row < 2000; row++) {
      const ids = text(100, `row ${row}`)
      const before = ids.slice()
      const { positions, originals } = masker.mask(ids, [0], createRandom(row))
      expect([...originals]).toEqual([...positions].map((position) => before[position]))
      tokens += ids.length
      counts.predicted += positions.length
      for (const position of positions) {
        places[position]++
        if (ids[position] === mask) counts.masked++
        else if (ids[position] === before[position]) counts.kept++
        else counts.random++
        before[position] = ids[position]
      }
      // Nothing else changed.
      expect(ids).toEqual(before)
    }
    expect(counts.predicted).toBe(tokens * 0.15)
    const { predicted } = counts
    expect(Math.abs(counts.masked - 0.8 * predicted)).toBeLessThan(bound(predicted, 0.8))
    expect(Math.abs(counts.random - 0.1 * predicted)).toBeLessThan(bound(predicted, 0.1))
    expect(Math.abs(counts.kept - 0.1 * predicted)).toBeLessThan(bound(predicted, 0.1))
    for (const count of places) expect(Math.abs(count - 300)).toBeLessThan(bound(2000, 0.15))
  })

  it('replaces by random tokens evenly and never by a special one', () => {
    const small = { size: 8, mask: 7, specialIds: new Set([0, 7]) }
    const masker = createMasker({ ...paper, replaceWithMask: 0, replaceWithRandom: 1 }, small)
    const seen = new Float64Array(8)
    const random = createRandom('random tokens')
    for (let row = 0; row < 300; row++) {
      const ids = new Uint32Array(100).fill(3)
      const { positions } = masker.mask(ids, [0], random)
      for (const position of positions) seen[ids[position]]++
    }
    expect(seen[0] + seen[7]).toBe(0)
    for (let id = 1; id < 7; id++) expect(Math.abs(seen[id] - 750)).toBeLessThan(bound(4500, 1 / 6))
  })

  it('never predicts a special token, and predicts at least one other', () => {
    const masker = createMasker(paper, vocabulary)
    for (let seed = 0; seed < 50; seed++) {
      const { positions } = masker.mask(Uint32Array.of(2, 0, 7, 3, 4, 1), [0], createRandom(seed))
      expect([...positions]).toEqual([2])
    }
    expect(masker.mask(Uint32Array.of(2, 3), [0], createRandom(0)).positions.length).toBe(0)
  })

  it('gives equal masks for equal random numbers, and others for others', () => {
    const masker = createMasker(paper, vocabulary)
    const masked = (seed: number) => {
      const ids = text(200, 'one row')
      return [...masker.mask(ids, [0], createRandom('run').fork(`${seed}`)).positions, ...ids]
    }
    expect(masked(1)).toEqual(masked(1))
    expect(masked(1)).not.toEqual(masked(2))
  })

  it('masks whole words', () => {
    const masker = createMasker({ ...paper, wholeWords: true }, vocabulary)
    // Words of 1, 2 and 3 tokens.
    const words = [[10], [20, 1001], [30, 1002, 1003], [40], [50, 1004]]
    const random = createRandom('words')
    let sizes = 0
    for (let row = 0; row < 200; row++) {
      const ids = Uint32Array.from([2, ...Array.from({ length: 40 }, () => words[random.integer(5)]).flat(), 3])
      const before = ids.slice()
      const { positions } = masker.mask(ids, [0], random)
      const chosen = new Set(positions)
      for (let i = 1; i < before.length; i++)
        if (before[i] >= 1000) expect(chosen.has(i), `${i}`).toBe(chosen.has(i - 1))
      const wanted = Math.round((before.length - 2) * 0.15)
      expect(positions.length).toBeLessThanOrEqual(wanted)
      expect(positions.length).toBeGreaterThan(wanted - 3)
      sizes += positions.length / wanted
    }
    expect(sizes / 200).toBeGreaterThan(0.98)
  })

  it('starts a word at each document', () => {
    const masker = createMasker({ ...paper, maskShare: 0.5, wholeWords: true }, vocabulary)
    const alone = new Set<string>()
    for (let seed = 0; seed < 40; seed++)
      alone.add([...masker.mask(Uint32Array.of(10, 1001), [0, 1], createRandom(seed)).positions].join())
    expect([...alone].sort()).toEqual(['0', '1'])
  })

  it('masks single tokens if no word is short enough', () => {
    const masker = createMasker({ ...paper, wholeWords: true }, vocabulary)
    const ids = new Uint32Array(40).fill(1500)
    expect(masker.mask(ids, [0], createRandom(0)).positions.length).toBe(6)
  })

  it('masks n-grams of up to three tokens, length n with weight 1/n', () => {
    const masker = createMasker(
      { ...paper, maskShare: 0.01, replaceWithMask: 1, replaceWithRandom: 0, maxNgram: 3 },
      vocabulary,
    )
    const counts = [0, 0, 0, 0]
    const random = createRandom('runs')
    const rows = 4000
    for (let row = 0; row < rows; row++) {
      // Three of 300 tokens are predicted: the first run has the length that was drawn, wherever it fits.
      const { positions } = masker.mask(text(300, 'runs'), [0], random)
      expect(positions.length).toBe(3)
      const gaps = Number(positions[1] - positions[0] > 1) + Number(positions[2] - positions[1] > 1)
      counts[3 - gaps]++
    }
    // One run of 3 when 3 is drawn (p = 2/11), or by chance of neighbours (< 2 %). Runs of 1, 1, 1 when 1 is drawn
    // twice: 1 then 1 of any length that still fits is (6/11)^2 plus what was cut short, so only the first is held to a
    // bound.
    const p = 2 / 11
    expect(counts[3]).toBeGreaterThan(p * rows - bound(rows, p))
    expect(counts[3]).toBeLessThan((p + 0.02) * rows + bound(rows, p))
    expect(counts[2]).toBeGreaterThan(0)
    expect(counts[1]).toBeGreaterThan(0)
  })

  it('ends n-grams at special tokens and documents', () => {
    const masker = createMasker({ ...paper, maskShare: 0.5, maxNgram: 16 }, vocabulary)
    for (let seed = 0; seed < 100; seed++) {
      const { positions } = masker.mask(Uint32Array.of(10, 11, 2, 12, 13, 14), [0, 4], createRandom(seed))
      expect([...positions]).not.toContain(2)
      expect(positions.length).toBeGreaterThan(0)
      expect(positions.length).toBeLessThanOrEqual(3)
    }
  })

  it('masks each token once where n-grams are dense', () => {
    const masker = createMasker({ ...paper, maskShare: 0.5, maxNgram: 4 }, vocabulary)
    for (let seed = 0; seed < 100; seed++) {
      const ids = text(60, `${seed}`)
      const before = ids.slice()
      const { positions, originals } = masker.mask(ids, [0], createRandom(seed))
      expect(positions.length).toBe(30)
      expect([...new Set(positions)].sort((a, b) => a - b)).toEqual([...positions])
      expect([...originals]).toEqual([...positions].map((position) => before[position]))
    }
  })

  it('names what a vocabulary lacks', () => {
    const { mask: _, ...without } = vocabulary
    expect(() => createMasker(paper, without)).toThrow('Masking needs a vocabulary with a mask token')
    expect(() => createMasker({ ...paper, wholeWords: true }, { ...vocabulary, continuesWord: undefined })).toThrow(
      'wholeWords',
    )
    expect(() => createMasker(paper, { size: 2, mask: 0, specialIds: new Set([0, 1]) })).toThrow('not special')
  })
})
