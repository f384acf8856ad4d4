// Fill-in-the-middle for causal language modelling: a document is cut at two random places, and its middle is moved to the end,
// so that the model learns to write what stands between two texts. Documents are rearranged after rows are cut, so that no
// row begins or ends within a rearranged document. Works on plain arrays.
// @source Bavarian et al. 2022, arXiv:2207.14255 (context-level, joint PSM and SPM); SPM is the variant 2 of the paper
import { z } from 'zod'
import { ConfigError, type Random } from '../core/index.ts'
import type { IdArray } from '../data/index.ts'
import { type FimParts, type FimTokens, fimAdvice, layOutGap } from '../tokenizers/index.ts'
import type { VocabularyFacts } from './objective.ts'
import type { RewriteDocument } from './row-layout.ts'

const share = z.number().min(0).max(1)

export const fimFields = {
  fimRate: share
    .default(0)
    .describe(
      'fill-in-the-middle: share of documents whose middle is moved to the end, so that the model learns to fill gaps; 0.5 to 0.9 for code (0: off)',
    ),
  fimSpmRate: share
    .optional()
    .describe('with `fimRate`: share of these documents in the order suffix, prefix, middle (SPM) (default: 0.5)'),
  fimCuts: z
    .enum(['characters', 'tokens'])
    .optional()
    .describe(
      'with `fimRate`: cut documents between any two characters, also within a word, or between tokens only (default: characters)',
    ),
}

/** Checked settings of fill-in-the-middle. */
export type FimConfig = z.output<z.ZodObject<typeof fimFields>>

/** Whether the other settings have an effect. */
export const fimFits = ({ fimRate, fimSpmRate, fimCuts }: FimConfig): boolean =>
  fimRate > 0 || (fimSpmRate === undefined && fimCuts === undefined)

export const fimFault = '`fimSpmRate` and `fimCuts` need `fimRate`: set it above 0, or leave them out.'

/** Tokens that a document grows by: three around its parts, and the end token. */
export const fimGrowth = 4

/** Two places among 0 … length, in order: a part may be empty. */
const cutsOf = (length: number, random: Random): [number, number] => {
  const [a, b] = [random.integer(length + 1), random.integer(length + 1)]
  return a < b ? [a, b] : [b, a]
}

/** A document that was cut at two places. */
interface CutDocument {
  parts: FimParts
  /** Tokens at its end that were left out. */
  dropped: number
}

const cutTokens = (ids: IdArray, random: Random): CutDocument => {
  const [from, to] = cutsOf(ids.length, random)
  return {
    parts: { prefix: ids.subarray(0, from), middle: ids.subarray(from, to), suffix: ids.subarray(to) },
    dropped: 0,
  }
}

/** The place, or the one before it where it is within a character of two UTF-16 units. */
const betweenCharacters = (text: string, place: number): number => {
  const unit = text.charCodeAt(place)
  return place > 0 && unit >= 0xdc00 && unit < 0xe000 ? place - 1 : place
}

/**
 * The parts of the text of a document, each encoded by itself, as they are in a prompt. They may have more tokens than the
 * document: the end of the suffix gives way to them, as in the published code.
 * @returns undefined for ids that are no text, such as a part of a character at the end of a row, and for a short suffix
 */
const cutCharacters = (
  ids: IdArray,
  most: number,
  { decode, encode }: NonNullable<VocabularyFacts['texts']>,
  random: Random,
): CutDocument | undefined => {
  const text = decode(ids)
  if (text.includes('\ufffd')) return undefined
  const [from, to] = cutsOf(text.length, random).map((place) => betweenCharacters(text, place))
  const prefix = encode(text.slice(0, from), { continues: false })
  const middle = encode(text.slice(from, to), { continues: true })
  const suffix = encode(text.slice(to), { continues: true })
  const dropped = Math.max(0, prefix.length + middle.length + suffix.length - most)
  if (dropped > Math.min(suffix.length, ids.length)) return undefined
  return { parts: { prefix, middle, suffix: suffix.subarray(0, suffix.length - dropped) }, dropped }
}

/** @throws ConfigError for a vocabulary that cannot mark a gap or its end */
const tokensOf = ({ fim }: VocabularyFacts): FimTokens & { end: number } => {
  if (fim === undefined)
    throw new ConfigError(
      `\`fimRate\` needs a vocabulary with fill-in-the-middle tokens, such as <fim_prefix>, <fim_suffix> and <fim_middle>: ${fimAdvice}; then encode the corpus again.`,
    )
  const { end } = fim
  if (end === undefined)
    throw new ConfigError(
      '`fimRate` needs a vocabulary with an end token, which ends the text of a gap: train the tokenizer with `--special-tokens.eos`, or set `fimRate` to 0.',
    )
  return { ...fim, end }
}

/**
 * Prepares fill-in-the-middle for a vocabulary.
 * @returns for the random numbers of an example, what rewrites its documents; undefined where it is off
 * @throws ConfigError for a vocabulary without the tokens
 */
export const createFim = (
  { fimRate, fimSpmRate = 0.5, fimCuts = 'characters' }: FimConfig,
  vocabulary: VocabularyFacts,
): ((random: Random) => RewriteDocument) | undefined => {
  if (fimRate === 0) return undefined
  const tokens = tokensOf(vocabulary)
  const texts = fimCuts === 'characters' ? vocabulary.texts : undefined
  return (random) => (document, space) => {
    const most = space - fimGrowth
    if (random.float() >= fimRate || most < 1 || document.length === 0) return undefined
    const order = random.float() < fimSpmRate ? 'spm' : 'psm'
    const ids = document.subarray(0, most)
    const { parts, dropped } = (texts && cutCharacters(ids, most, texts, random)) ?? cutTokens(ids, random)
    // The end token also follows a document that goes on in the next row: the gap ends where its suffix begins.
    return { ids: layOutGap(parts, tokens, order, tokens.end), kept: ids.length - dropped }
  }
}
