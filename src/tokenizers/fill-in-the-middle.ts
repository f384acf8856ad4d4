// Fill-in-the-middle: the tokens around the parts of a text with a gap, and how the parts are laid out. Training, `generate`
// and the server write the same layout with it.
// @source Bavarian et al. 2022, arXiv:2207.14255; the token names are those of the published models
import { ConfigError } from '../core/index.ts'
import { tokenText } from './special-tokens.ts'
import { encodeContinuation, specialTokenFrame } from './text-encoder.ts'
import type { Tokenizer } from './tokenizer.ts'

/** Ids of the tokens of fill-in-the-middle. */
export interface FimTokens {
  /** Stands before the text before the gap. */
  prefix: number
  /** Stands before the text after the gap. */
  suffix: number
  /** Stands before the text of the gap. */
  middle: number
  /** Ends the text of the gap; undefined for a vocabulary without an end token. */
  end: number | undefined
  /** Every token that ends the text of a gap in generation, `end` included. */
  ends: number[]
}

/** Names of the tokens in a family of models. */
interface FimNames {
  prefix: string | undefined
  suffix: string | undefined
  middle: string | undefined
  /** Ends the text of the gap in place of the end token of the tokenizer. */
  end?: string | undefined
  /** Tokens that models of the family also write after the text of a gap. */
  more?: readonly string[]
}

const families: readonly FimNames[] = [
  // StarCoder, StarCoder2, StableCode, Granite Code.
  { prefix: '<fim_prefix>', suffix: '<fim_suffix>', middle: '<fim_middle>', more: ['<|endoftext|>', '<file_sep>'] },
  // SantaCoder.
  { prefix: '<fim-prefix>', suffix: '<fim-suffix>', middle: '<fim-middle>', more: ['<|endoftext|>'] },
  // Qwen2.5-Coder, CodeGemma.
  {
    prefix: '<|fim_prefix|>',
    suffix: '<|fim_suffix|>',
    middle: '<|fim_middle|>',
    more: ['<|endoftext|>', '<|fim_pad|>', '<|file_sep|>', '<|repo_name|>', '<|file_separator|>'],
  },
  // CodeLlama.
  { prefix: '▁<PRE>', suffix: '▁<SUF>', middle: '▁<MID>', end: '▁<EOT>' },
  // DeepSeek-Coder.
  { prefix: '<｜fim▁begin｜>', suffix: '<｜fim▁hole｜>', middle: '<｜fim▁end｜>' },
]

/** The names in tokenizer_config.json, which has these fields for CodeLlama. */
const namesOf = ({ config }: Tokenizer): FimNames => ({
  prefix: tokenText(config.prefix_token),
  suffix: tokenText(config.suffix_token),
  middle: tokenText(config.middle_token),
  end: tokenText(config.eot_token),
})

/**
 * The tokens of fill-in-the-middle in the vocabulary: those that `prefix_token`, `suffix_token`, `middle_token` and
 * `eot_token` of tokenizer_config.json name, else those of a published model; undefined where a token is missing.
 */
export const findFimTokens = (tokenizer: Tokenizer): FimTokens | undefined => {
  const idOf = (name: string | undefined) => (name === undefined ? undefined : tokenizer.tokenToId(name))
  for (const names of [namesOf(tokenizer), ...families]) {
    const [prefix, suffix, middle] = [names.prefix, names.suffix, names.middle].map(idOf)
    if (prefix === undefined || suffix === undefined || middle === undefined) continue
    const eos = tokenizer.special.eos?.id
    const end = idOf(names.end) ?? eos
    const ends = [end, eos, ...(names.more ?? []).map(idOf)].filter((id) => id !== undefined)
    return { prefix, suffix, middle, end, ends: [...new Set(ends)] }
  }
  return undefined
}

/** How to get a vocabulary with the tokens, as a part of an error. */
export const fimAdvice =
  'train the tokenizer with `--extra-tokens "<fim_prefix>" --extra-tokens "<fim_suffix>" --extra-tokens "<fim_middle>"`, or add them to a model with `vocabulary grow --special --tokens "<fim_prefix>" "<fim_suffix>" "<fim_middle>"`'

/** Token ids of the parts of a text with a gap. */
export interface FimParts {
  prefix: ArrayLike<number>
  /** Empty where it is to be generated. */
  middle: ArrayLike<number>
  suffix: ArrayLike<number>
}

/**
 * The order of the parts. `psm`: prefix, suffix, middle. `spm`: suffix, prefix, middle, where the prefix follows the middle
 * token, so that prefix and middle are one text.
 */
export type FimOrder = 'psm' | 'spm'

/** The parts of a text with a gap as one sequence; `middle` is last, followed by `end` if it is given. */
export const layOutGap = (
  { prefix, middle, suffix }: FimParts,
  tokens: Pick<FimTokens, 'prefix' | 'suffix' | 'middle'>,
  order: FimOrder,
  end?: number,
): Uint32Array => {
  const parts =
    order === 'psm'
      ? [[tokens.prefix], prefix, [tokens.suffix], suffix, [tokens.middle], middle]
      : [[tokens.prefix, tokens.suffix], suffix, [tokens.middle], prefix, middle]
  if (end !== undefined) parts.push([end])
  const ids = new Uint32Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    ids.set(part, at)
    at += part.length
  }
  return ids
}

/** A prompt that ends where the text of a gap begins. */
export interface GapPrompt {
  ids: number[]
  /** Ids of the tokens that end the text of the gap. */
  ends: readonly number[]
}

/**
 * The prompt for the text between `prefix` and `suffix`: both, in the order prefix, suffix, after the tokens that the
 * tokenizer puts before a text.
 * @throws ConfigError for a tokenizer without the tokens of fill-in-the-middle
 */
export const gapPrompt = (tokenizer: Tokenizer, prefix: string, suffix: string): GapPrompt => {
  const tokens = findFimTokens(tokenizer)
  if (tokens === undefined)
    throw new ConfigError(
      `\`suffix\` needs a model that fills gaps, and the vocabulary of this one has no fill-in-the-middle tokens: choose another model, or ${fimAdvice}, and pretrain with \`fimRate\`.`,
    )
  const parts = {
    prefix: tokenizer.encodeIds(prefix),
    middle: [],
    suffix: encodeContinuation(tokenizer, suffix),
  }
  const [before] = specialTokenFrame(tokenizer, false).parts
  return { ids: [...before, ...layOutGap(parts, tokens, 'psm')], ends: tokens.ends }
}
