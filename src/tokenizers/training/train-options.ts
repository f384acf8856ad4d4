// The options of tokenizer training: one schema for the API, the flags and the help, and what they come to for each type.
import { z } from 'zod'
import { ConfigError, parseConfig } from '../../core/index.ts'
import { hasOwnNormalizer, type PreTokenization, preTokenizerNames } from './pre-tokenization.ts'

const text = z.string().min(1)
const count = z.number().int().positive()

export const specialTokensSchema = z.strictObject({
  unk: text.optional().describe('stands for text that the vocabulary cannot write'),
  pad: text.optional().describe('fills rows up to one length'),
  bos: text.optional().describe('begins a text'),
  eos: text.optional().describe('ends a text, and separates documents'),
  cls: text.optional().describe('begins a text for models that classify it by its first token'),
  sep: text.optional().describe('ends a segment'),
  mask: text.optional().describe('hides a token for masked-word training'),
})

/** The text of the special tokens by role. */
export type SpecialTokens = z.output<typeof specialTokensSchema>

export const tokenizerTrainSchema = z.strictObject({
  type: z.enum(['bpe', 'wordpiece', 'unigram']).default('bpe').describe('the kind of vocabulary'),
  vocabSize: count.max(1_000_000).default(8192).describe('tokens, special tokens included'),
  minFrequency: count.optional().describe('pairs seen less often are not merged (2; not for unigram)'),
  preTokenizer: z
    .enum(preTokenizerNames)
    .optional()
    .describe('how text is cut into words: gpt2 for bpe, bert for wordpiece, metaspace for unigram unless named'),
  normalizer: z
    .enum(['none', 'nfc', 'nfd', 'nfkc', 'nfkd'])
    .optional()
    .describe('Unicode form of the text (none; nfkc for metaspace; bert has its own)'),
  lowercase: z.boolean().optional().describe('lower the case (only bert does so unless told)'),
  addPrefixSpace: z
    .boolean()
    .default(false)
    .describe('put a space before each text, so that first words are like others (gpt2)'),
  specialTokens: specialTokensSchema
    .prefault({})
    .describe('texts of the special tokens; those of the type unless named'),
  extraTokens: z.array(text).default([]).describe('more special tokens, such as those of a chat template'),
  template: z
    .enum(['none', 'bert', 'bos', 'eos', 'bos-eos'])
    .optional()
    .describe('special tokens put around a text: bert for wordpiece, eos for unigram, none for bpe unless named'),
  limitAlphabet: count.optional().describe('characters kept, the most frequent ones (not for byte-level)'),
  initialAlphabet: z.string().default('').describe('characters kept even if they never occur (not for byte-level)'),
  maxTokenLength: count
    .optional()
    .describe('longest token in characters; in bytes for byte-level (16 for unigram, else no limit)'),
  mergeScore: z
    .enum(['frequency', 'likelihood'])
    .optional()
    .describe('the next merge: the most frequent pair, or the one most above chance, as WordPiece was first described'),
  seedSize: count.optional().describe('pieces that unigram starts from (1,000,000)'),
  shrinkingFactor: z
    .number()
    .gt(0)
    .lt(1)
    .optional()
    .describe('share of pieces that each round of unigram keeps (0.75)'),
  subIterations: count.max(100).optional().describe('rounds of estimation before each pruning of unigram (2)'),
  modelMaxLength: count.optional().describe('written to tokenizer_config.json for other libraries'),
  heldOut: z
    .number()
    .min(0)
    .max(0.5)
    .default(0.01)
    .describe('share of the documents kept out of training and used for the report'),
  maxWordBytes: count.max(65535).default(4096).describe('longer words (base64, DNA) are left out of training'),
  maxWords: count.default(10_000_000).describe('distinct words kept; the rarest are left out beyond it'),
  memoryBytes: count
    .min(16 << 20)
    .default(1 << 30)
    .describe('memory for word counts; beyond it they go to disk'),
})

export type TokenizerTrainInput = z.input<typeof tokenizerTrainSchema>
export type TokenizerTrainOptions = z.output<typeof tokenizerTrainSchema>

/** Options with every default of the type filled in. */
export interface TrainingPlan extends TokenizerTrainOptions {
  preTokenization: PreTokenization
  template: 'none' | 'bert' | 'bos' | 'eos' | 'bos-eos'
  /** All special tokens, in the order of their ids. */
  allSpecialTokens: string[]
}

interface TypeDefaults {
  preTokenizer: PreTokenization['preTokenizer']
  template: TrainingPlan['template']
  specialTokens: SpecialTokens
  /** Options without meaning for the type. */
  without: readonly (keyof TokenizerTrainOptions)[]
}

const typeDefaults: Record<TokenizerTrainOptions['type'], TypeDefaults> = {
  bpe: {
    preTokenizer: 'gpt2',
    template: 'none',
    specialTokens: { bos: '<|endoftext|>', eos: '<|endoftext|>', pad: '<|padding|>' },
    without: ['seedSize', 'shrinkingFactor', 'subIterations'],
  },
  wordpiece: {
    preTokenizer: 'bert',
    template: 'bert',
    specialTokens: { pad: '[PAD]', unk: '[UNK]', cls: '[CLS]', sep: '[SEP]', mask: '[MASK]' },
    without: ['seedSize', 'shrinkingFactor', 'subIterations'],
  },
  unigram: {
    preTokenizer: 'metaspace',
    template: 'eos',
    specialTokens: { pad: '<pad>', eos: '</s>', unk: '<unk>', bos: '<s>', mask: '<mask>' },
    without: ['minFrequency', 'mergeScore'],
  },
}

/** Checks the options and fills in what depends on the type; throws a ConfigError that lists every fault. */
export const planTraining = (input: TokenizerTrainInput): TrainingPlan => {
  const options = parseConfig(tokenizerTrainSchema, input, 'tokenizer')
  const defaults = typeDefaults[options.type]
  const preTokenizer = options.preTokenizer ?? defaults.preTokenizer
  const byteLevel = preTokenizer === 'gpt2' || preTokenizer === 'llama3'
  const faults: string[] = []
  const useless = (name: keyof TokenizerTrainOptions, why: string) =>
    faults.push(
      `Expected no \`tokenizer.${name}\` ${why}, got ${JSON.stringify(options[name])}. It would have no effect.`,
    )
  for (const name of defaults.without) if (options[name] !== undefined) useless(name, `with type ${options.type}`)
  if (byteLevel && options.type !== 'bpe') {
    faults.push(
      `Expected the pre-tokenizer bert or metaspace for type ${options.type}, got ${preTokenizer}. ` +
        'Byte-level words go with type bpe.',
    )
  }
  if (byteLevel && options.limitAlphabet !== undefined) useless('limitAlphabet', 'with a byte-level pre-tokenizer')
  if (byteLevel && options.initialAlphabet !== '') useless('initialAlphabet', 'with a byte-level pre-tokenizer')
  if (options.addPrefixSpace && preTokenizer !== 'gpt2')
    useless('addPrefixSpace', `with the pre-tokenizer ${preTokenizer}`)
  const ownNormalizer = hasOwnNormalizer(preTokenizer)
  if (ownNormalizer && options.normalizer !== undefined) useless('normalizer', `with the pre-tokenizer ${preTokenizer}`)
  // A byte-level vocabulary can write everything, so it has no unknown token unless one is named.
  const base =
    byteLevel || options.type !== 'bpe' ? defaults.specialTokens : { unk: '<unk>', ...defaults.specialTokens }
  const specialTokens: SpecialTokens = { ...base, ...options.specialTokens }
  const template = options.template ?? defaults.template
  const needed = { none: [], bert: ['cls', 'sep'], bos: ['bos'], eos: ['eos'], 'bos-eos': ['bos', 'eos'] } as const
  for (const role of needed[template]) {
    if (specialTokens[role] === undefined) {
      faults.push(`Expected \`tokenizer.specialTokens.${role}\` for the template ${template}, got nothing. Name it.`)
    }
  }
  const allSpecialTokens = [...new Set([...Object.values(specialTokens), ...options.extraTokens])]
  const least = allSpecialTokens.length + (byteLevel ? 256 : 1)
  if (options.vocabSize < least) {
    faults.push(
      `Expected at least ${least} for \`tokenizer.vocabSize\` (special tokens${byteLevel ? ' and all bytes' : ''}), got ${options.vocabSize}. Raise it.`,
    )
  }
  if (faults.length > 0) throw new ConfigError(faults)
  return {
    ...options,
    template,
    specialTokens,
    allSpecialTokens,
    preTokenization: {
      preTokenizer,
      normalizer: options.normalizer ?? (preTokenizer === 'metaspace' ? 'nfkc' : 'none'),
      lowercase: options.lowercase ?? ownNormalizer,
      addPrefixSpace: options.addPrefixSpace,
    },
  }
}
