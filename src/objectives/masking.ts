// Chooses the tokens to predict and what replaces them: BERT's scheme over tokens, whole words or n-grams. Works on
// plain arrays.
// @source Devlin et al. 2019, arXiv:1810.04805 (A.1); Lan et al. 2020, arXiv:1909.11942 (n-grams)
import { z } from 'zod'
import { ConfigError, type Random } from '../core/index.ts'
import type { VocabularyFacts } from './objective.ts'

const share = z.number().min(0).max(1)

/** Settings of every objective with masking. */
export const maskingFields = {
  maskShare: z.number().gt(0).lt(1).default(0.15).describe('share of the tokens to predict, at least one in a row'),
  replaceWithMask: share.default(0.8).describe('share of the predicted tokens replaced by the mask token'),
  replaceWithRandom: share.default(0.1).describe('share of the predicted tokens replaced by a random token'),
  wholeWords: z.boolean().default(false).describe('whole-word masking: mask all tokens of a word together'),
  maxNgram: z
    .number()
    .int()
    .min(1)
    .max(16)
    .default(1)
    .describe(
      'n-gram masking: maximum number of consecutive tokens (or words) to mask, length n with weight 1/n; ALBERT uses 3',
    ),
}

/** Checked masking settings. */
export type MaskingConfig = {
  [Key in keyof typeof maskingFields]: z.output<(typeof maskingFields)[Key]>
}

/** Whether the two shares sum to at most 1. */
export const sharesFit = ({ replaceWithMask, replaceWithRandom }: MaskingConfig): boolean =>
  replaceWithMask + replaceWithRandom <= 1 + 1e-9

export const sharesFault = 'Expected `replaceWithMask` and `replaceWithRandom` to sum to at most 1. Lower one of them.'

/** The predicted tokens of an example. */
export interface Masked {
  /** Indices of the predicted tokens, ascending. */
  positions: Uint32Array
  /** Their original ids: the labels. */
  originals: Int32Array
}

/** Masks examples. */
export interface Masker {
  /** Masks tokens of `ids` in place. `starts` are indices at which no word continues from the token before. */
  mask(ids: Uint32Array, starts: readonly number[], random: Random): Masked
}

/** What masking needs of a vocabulary. */
interface MaskedVocabulary {
  maskId: number
  size: number
  /** 1 for the ids of special tokens, which are neither predicted nor used as replacements. */
  isSpecial: Uint8Array
  continuesWord: VocabularyFacts['continuesWord']
}

/** @throws ConfigError for a vocabulary that cannot be masked as configured */
const maskedVocabulary = (
  { wholeWords }: MaskingConfig,
  { mask: maskId, size, specialIds, continuesWord }: VocabularyFacts,
): MaskedVocabulary => {
  if (maskId === undefined)
    throw new ConfigError('Masking needs a vocabulary with a mask token: train the tokenizer with one, such as [MASK].')
  if (wholeWords && continuesWord === undefined)
    throw new ConfigError('`wholeWords` needs a vocabulary with word boundaries: set it to false.')
  const isSpecial = new Uint8Array(size)
  for (const id of specialIds) if (id < size) isSpecial[id] = 1
  if (isSpecial.every((special) => special === 1))
    throw new ConfigError('Expected a vocabulary with tokens that are not special, got special tokens only.')
  return { maskId, size, isSpecial, continuesWord }
}

/** Begin and end of each unit (token or word); units contain no special token. */
interface Units {
  from: Uint32Array
  to: Uint32Array
  count: number
  /** Tokens in all units. */
  candidates: number
}

/** The units of an example: words where `continuesWord` is given, otherwise tokens. */
const unitsOf = (
  ids: Uint32Array,
  starts: readonly number[],
  isSpecial: Uint8Array,
  continuesWord: VocabularyFacts['continuesWord'],
): Units => {
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
    if (!isStart && previous >= 0 && continuesWord?.(ids[i], previous)) to[count - 1] = i + 1
    else {
      from[count] = i
      to[count++] = i + 1
    }
    previous = ids[i]
  }
  return { from, to, count, candidates }
}

/** How many tokens to choose, and how. */
interface Choice {
  wanted: number
  /** Samples the units of an n-gram; undefined for single units. */
  ngramLength: ((random: Random) => number) | undefined
}

/** Marks the tokens to predict in `chosen`. @returns their number */
const choose = (
  { from, to, count }: Units,
  starts: readonly number[],
  chosen: Uint8Array,
  { wanted, ngramLength }: Choice,
  random: Random,
): number => {
  const order = new Uint32Array(count)
  for (let i = 0; i < count; i++) order[i] = i
  const isBorder = ngramLength === undefined ? undefined : new Set(starts)
  let taken = 0
  // A Fisher-Yates shuffle that stops as soon as enough tokens are chosen.
  for (let k = 0; k < count && taken < wanted; k++) {
    const other = k + random.integer(count - k)
    const unit = order[other]
    order[other] = order[k]
    order[k] = unit
    if (chosen[from[unit]] === 1) continue
    let last = unit
    if (ngramLength !== undefined) {
      const longest = ngramLength(random)
      // An n-gram ends at a special token, at another document, or before a token that is chosen already.
      while (last + 1 - unit < longest && last + 1 < count) {
        const next = from[last + 1]
        if (next !== to[last] || isBorder?.has(next) === true || chosen[next] === 1) break
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

/** What a predicted token is replaced by: the mask token, a random token, or itself. */
const replacementFor = (
  original: number,
  { maskId, size, isSpecial }: MaskedVocabulary,
  { replaceWithMask, replaceWithRandom }: MaskingConfig,
  random: Random,
): number => {
  const chance = random.float()
  if (chance < replaceWithMask) return maskId
  if (chance >= replaceWithMask + replaceWithRandom) return original
  for (;;) {
    const id = random.integer(size)
    if (isSpecial[id] === 0) return id
  }
}

/** Prepares masking for a vocabulary. @throws ConfigError without a mask token, or when all tokens are special */
export const createMasker = (config: MaskingConfig, vocabulary: VocabularyFacts): Masker => {
  const facts = maskedVocabulary(config, vocabulary)
  const { isSpecial, continuesWord } = facts
  const ngramLength = config.maxNgram > 1 ? createNgramLengths(config.maxNgram) : undefined
  return {
    mask(ids, starts, random) {
      const units = unitsOf(ids, starts, isSpecial, config.wholeWords ? continuesWord : undefined)
      const wanted = units.candidates === 0 ? 0 : Math.max(1, Math.round(units.candidates * config.maskShare))
      const chosen = new Uint8Array(ids.length)
      let taken = choose(units, starts, chosen, { wanted, ngramLength }, random)
      // Where every whole word is longer than what may be masked, mask single tokens.
      if (taken === 0 && wanted > 0)
        taken = choose(unitsOf(ids, starts, isSpecial, undefined), starts, chosen, { wanted, ngramLength }, random)
      const positions = new Uint32Array(taken)
      const originals = new Int32Array(taken)
      for (let i = 0, at = 0; at < taken; i++) {
        if (chosen[i] === 0) continue
        positions[at] = i
        originals[at++] = ids[i]
        ids[i] = replacementFor(ids[i], facts, config, random)
      }
      return { positions, originals }
    },
  }
}

/** Samples n-gram lengths 1 … most, n with weight 1/n. */
const createNgramLengths = (most: number): ((random: Random) => number) => {
  const edges: number[] = []
  let sum = 0
  for (let n = 1; n <= most; n++) {
    sum += 1 / n
    edges.push(sum)
  }
  return (random) => {
    const height = random.float() * sum
    let n = 1
    while (n < most && height >= edges[n - 1]) n++
    return n
  }
}
