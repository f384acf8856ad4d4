// Which tokens of an example are hidden and what stands in their place: BERT's shares, over tokens, whole words or n-grams.
// Works on plain arrays; knows no batch and no loss.
// @source Devlin et al. 2019, arXiv:1810.04805 (A.1); Lan et al. 2020, arXiv:1909.11942 (n-grams)
import { z } from 'zod'
import { ConfigError, type Random } from '../core/index.ts'
import type { VocabularyFacts } from './objective.ts'

const share = z.number().min(0).max(1)

/** Fields of every objective that masks. */
export const maskingFields = {
  maskShare: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.15)
    .describe('share of the tokens that are predicted; at least one of a row'),
  replaceWithMask: share.default(0.8).describe('share of the predicted tokens that become the mask token'),
  replaceWithRandom: share.default(0.1).describe('share of the predicted tokens that become a random token'),
  wholeWords: z.boolean().default(false).describe('hide all tokens of a word together'),
  maxNgram: z
    .number()
    .int()
    .min(1)
    .max(16)
    .default(1)
    .describe('hide runs of up to so many tokens (or words), runs of n with weight 1/n, as ALBERT does with 3'),
}

export type MaskingConfig = {
  [Key in keyof typeof maskingFields]: z.output<(typeof maskingFields)[Key]>
}

export const sharesFit = ({ replaceWithMask, replaceWithRandom }: MaskingConfig): boolean =>
  replaceWithMask + replaceWithRandom <= 1 + 1e-9

export const sharesFault = 'Expected `replaceWithMask` and `replaceWithRandom` to be at most 1 together. Lower one.'

export interface Masked {
  /** Places in the ids that are predicted, rising. */
  positions: Uint32Array
  /** What stood there. */
  originals: Int32Array
}

export interface Masker {
  /** Hides tokens of `ids` in place. `starts` are places where no word goes on from the token before. */
  mask(ids: Uint32Array, starts: readonly number[], random: Random): Masked
}

/** @throws ConfigError when the vocabulary has no mask token, or no token that is not special. */
export const createMasker = (config: MaskingConfig, vocabulary: VocabularyFacts): Masker => {
  const { mask: maskId, size, specialIds, continuesWord } = vocabulary
  if (maskId === undefined)
    throw new ConfigError(
      'Expected a vocabulary with a mask token, got none. Train the tokenizer with one, such as [MASK].',
    )
  if (config.wholeWords && continuesWord === undefined)
    throw new ConfigError('Expected a vocabulary that knows its words for `wholeWords`, got none. Set it to false.')
  const isSpecial = new Uint8Array(size)
  for (const id of specialIds) if (id < size) isSpecial[id] = 1
  if (isSpecial.every((special) => special === 1))
    throw new ConfigError('Expected a vocabulary with tokens that are not special, got none.')
  const { maskShare, replaceWithMask, replaceWithRandom, wholeWords, maxNgram } = config
  const ngramLength = createNgramLengths(maxNgram)

  const replacement = (original: number, random: Random): number => {
    const draw = random.float()
    if (draw < replaceWithMask) return maskId
    if (draw >= replaceWithMask + replaceWithRandom) return original
    for (;;) {
      const id = random.integer(size)
      if (isSpecial[id] === 0) return id
    }
  }

  /** Where each unit (token or word) begins, and the end of the last; units never hold a special token. */
  const unitsOf = (ids: Uint32Array, starts: readonly number[], whole: boolean) => {
    const from = new Uint32Array(ids.length)
    const to = new Uint32Array(ids.length)
    let count = 0
    let candidates = 0
    let nextStart = 0
    let previous = -1
    for (let i = 0; i < ids.length; i++) {
      const isStart = starts[nextStart] === i
      if (isStart) nextStart++
      if (isSpecial[ids[i]] === 1) {
        previous = -1
        continue
      }
      candidates++
      if (whole && !isStart && previous >= 0 && continuesWord?.(ids[i], previous)) to[count - 1] = i + 1
      else {
        from[count] = i
        to[count++] = i + 1
      }
      previous = ids[i]
    }
    return { from, to, count, candidates }
  }

  /** Marks chosen tokens; how many were chosen. */
  const choose = (
    { from, to, count }: ReturnType<typeof unitsOf>,
    starts: readonly number[],
    wanted: number,
    chosen: Uint8Array,
    random: Random,
  ): number => {
    const order = new Uint32Array(count)
    for (let i = 0; i < count; i++) order[i] = i
    const isBorder = maxNgram > 1 ? new Set(starts) : undefined
    let taken = 0
    // A shuffle that stops as soon as enough is chosen.
    for (let k = 0; k < count && taken < wanted; k++) {
      const other = k + random.integer(count - k)
      const unit = order[other]
      order[other] = order[k]
      order[k] = unit
      if (chosen[from[unit]] === 1) continue
      let last = unit
      if (isBorder !== undefined) {
        const longest = ngramLength(random)
        // A run ends at a special token, at another document, or before what is chosen already.
        while (last + 1 - unit < longest && last + 1 < count) {
          const next = from[last + 1]
          if (next !== to[last] || isBorder.has(next) || chosen[next] === 1) break
          last++
        }
      }
      while (last >= unit && to[last] - from[unit] > wanted - taken) last--
      if (last < unit) continue
      chosen.fill(1, from[unit], to[last])
      taken += to[last] - from[unit]
    }
    return taken
  }

  return {
    mask(ids, starts, random) {
      let units = unitsOf(ids, starts, wholeWords)
      const wanted = units.candidates === 0 ? 0 : Math.max(1, Math.round(units.candidates * maskShare))
      const chosen = new Uint8Array(ids.length)
      let taken = choose(units, starts, wanted, chosen, random)
      if (taken === 0 && wanted > 0) {
        // No whole word is short enough.
        units = unitsOf(ids, starts, false)
        taken = choose(units, starts, wanted, chosen, random)
      }
      const positions = new Uint32Array(taken)
      const originals = new Int32Array(taken)
      for (let i = 0, at = 0; at < taken; i++) {
        if (chosen[i] === 0) continue
        positions[at] = i
        originals[at++] = ids[i]
        ids[i] = replacement(ids[i], random)
      }
      return { positions, originals }
    },
  }
}

/** Draws lengths 1 … most, n with weight 1/n. */
const createNgramLengths = (most: number): ((random: Random) => number) => {
  const edges: number[] = []
  let sum = 0
  for (let n = 1; n <= most; n++) {
    sum += 1 / n
    edges.push(sum)
  }
  return (random) => {
    const draw = random.float() * sum
    let n = 1
    while (n < most && draw >= edges[n - 1]) n++
    return n
  }
}
