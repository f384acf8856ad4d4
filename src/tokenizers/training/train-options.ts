// The options of tokenizer training: one schema for the API, the flags and the help, and the defaults of each type.
import { z } from 'zod'
import { ConfigError, parseConfig } from '../../core/index.ts'
import { hasOwnNormalizer, type PreTokenization, preTokenizerNames } from './pre-tokenization.ts'

const text = z.string().min(1)
const count = z.number().int().positive()

/** Schema of the special tokens by role. */
const specialTokensSchema = z.strictObject({
  unk: text.optional().describe('unknown token, for text outside the vocabulary'),
  pad: text.optional().describe('padding token'),
  bos: text.optional().describe('start token of a text'),
  eos: text.optional().describe('end token of a text; separates documents in pretraining'),
  cls: text.optional().describe('classification token, the first token of a text in BERT models'),
  sep: text.optional().describe('separator token at the end of a segment'),
  mask: text.optional().describe('mask token for masked language modelling'),
})

/** Special tokens by role, as text. */
export type SpecialTokens = z.output<typeof specialTokensSchema>

/** Schema of the options of `trainTokenizer` and `tunesmith tokenizer train`. */
export const tokenizerTrainSchema = z.strictObject({
  type: z.enum(['bpe', 'wordpiece', 'unigram']).default('bpe').describe('vocabulary type'),
  vocabSize: count.max(1_000_000).default(8192).describe('vocabulary size, special tokens included'),
  minFrequency: count.optional().describe('minimum count of a merged pair (default: 2; not for unigram)'),
  preTokenizer: z
    .enum(preTokenizerNames)
    .optional()
    .describe('split of text into words (default: gpt2 for bpe, bert for wordpiece, metaspace for unigram)'),
  normalizer: z
    .enum(['none', 'nfc', 'nfd', 'nfkc', 'nfkd'])
    .optional()
    .describe('Unicode normalization form (default: nfkc for metaspace, else none; not for bert, which has its own)'),
  lowercase: z.boolean().optional().describe('lowercase the text (default: true for bert, else false)'),
  addPrefixSpace: z
    .boolean()
    .default(false)
    .describe('prepend a space to each text, so that its first word is encoded like any other (gpt2 only)'),
  specialTokens: specialTokensSchema
    .prefault({})
    .describe('special tokens as text (default: those usual for the type)'),
  extraTokens: z.array(text).default([]).describe('additional special tokens, such as those of a chat template'),
  template: z
    .enum(['none', 'bert', 'bos', 'eos', 'bos-eos'])
    .optional()
    .describe('special tokens added around a text (default: bert for wordpiece, eos for unigram, none for bpe)'),
  limitAlphabet: count
    .optional()
    .describe('maximum number of single characters in the vocabulary, the most frequent first (not for byte-level)'),
  initialAlphabet: z.string().default('').describe('characters that are always in the vocabulary (not for byte-level)'),
  maxTokenLength: count
    .optional()
    .describe(
      'maximum token length in characters, or in bytes for byte-level (default: 16 for unigram, else no limit)',
    ),
  mergeScore: z
    .enum(['frequency', 'likelihood'])
    .optional()
    .describe(
      'choice of the next merge: the most frequent pair, or the pair with the highest likelihood gain, as in the WordPiece paper (default: frequency)',
    ),
  seedSize: count.optional().describe('number of initial candidate tokens of unigram (default: 1,000,000)'),
  shrinkingFactor: z
    .number()
    .gt(0)
    .lt(1)
    .optional()
    .describe('share of tokens kept by each pruning of unigram (default: 0.75)'),
  subIterations: count
    .max(100)
    .optional()
    .describe('rounds of expectation-maximisation before each pruning of unigram (default: 2)'),
  modelMaxLength: count.optional().describe('model_max_length in tokenizer_config.json, in tokens'),
  validation: z.number().min(0).max(0.5).default(0.01).describe('share of documents not trained on, for the report'),
  maxWordBytes: count
    .max(65535)
    .default(4096)
    .describe('maximum word length in bytes; longer words (base64, DNA) are not trained on'),
  maxWords: count.default(10_000_000).describe('maximum number of distinct words; the rarest are dropped'),
  memoryBytes: count
    .min(16 << 20)
    .default(1 << 30)
    .describe('memory for word counts in bytes; larger counts are written to disk'),
})

/** Options of `trainTokenizer`, as given. */
export type TokenizerTrainInput = z.input<typeof tokenizerTrainSchema>
/** Options of `trainTokenizer`, with the defaults of the schema. */
export type TokenizerTrainOptions = z.output<typeof tokenizerTrainSchema>

/** Options with the defaults of the vocabulary type. */
export interface TrainingPlan extends TokenizerTrainOptions {
  preTokenization: PreTokenization
  template: 'none' | 'bert' | 'bos' | 'eos' | 'bos-eos'
  /** All special tokens, sorted by id. */
  allSpecialTokens: string[]
}

interface TypeDefaults {
  preTokenizer: PreTokenization['preTokenizer']
  template: TrainingPlan['template']
  specialTokens: SpecialTokens
  /** Options that have no effect for the type. */
  unsupported: readonly (keyof TokenizerTrainOptions)[]
}

const typeDefaults: Record<TokenizerTrainOptions['type'], TypeDefaults> = {
  bpe: {
    preTokenizer: 'gpt2',
    template: 'none',
    specialTokens: { bos: '<|endoftext|>', eos: '<|endoftext|>', pad: '<|padding|>' },
    unsupported: ['seedSize', 'shrinkingFactor', 'subIterations'],
  },
  wordpiece: {
    preTokenizer: 'bert',
    template: 'bert',
    specialTokens: { pad: '[PAD]', unk: '[UNK]', cls: '[CLS]', sep: '[SEP]', mask: '[MASK]' },
    unsupported: ['seedSize', 'shrinkingFactor', 'subIterations'],
  },
  unigram: {
    preTokenizer: 'metaspace',
    template: 'eos',
    specialTokens: { pad: '<pad>', eos: '</s>', unk: '<unk>', bos: '<s>', mask: '<mask>' },
    unsupported: ['minFrequency', 'mergeScore'],
  },
}

/** Checks the options and fills in the defaults of the type. Throws ConfigError with every fault. */
export const planTraining = (input: TokenizerTrainInput): TrainingPlan => {
  const options = parseConfig(tokenizerTrainSchema, input, 'tokenizer')
  const defaults = typeDefaults[options.type]
  const preTokenizer = options.preTokenizer ?? defaults.preTokenizer
  const byteLevel = preTokenizer === 'gpt2' || preTokenizer === 'llama3'
  const faults: string[] = []
  const rejectUnused = (name: keyof TokenizerTrainOptions, why: string) =>
    faults.push(`\`tokenizer.${name}\` has no effect ${why}: remove it (got ${JSON.stringify(options[name])}).`)
  for (const name of defaults.unsupported)
    if (options[name] !== undefined) rejectUnused(name, `with type ${options.type}`)
  if (byteLevel && options.type !== 'bpe') {
    faults.push(
      `Expected the pre-tokenizer bert or metaspace for type ${options.type}, got ${preTokenizer}. ` +
        'Byte-level pre-tokenizers need type bpe.',
    )
  }
  if (byteLevel && options.limitAlphabet !== undefined) rejectUnused('limitAlphabet', 'with a byte-level pre-tokenizer')
  if (byteLevel && options.initialAlphabet !== '') rejectUnused('initialAlphabet', 'with a byte-level pre-tokenizer')
  if (options.addPrefixSpace && preTokenizer !== 'gpt2')
    rejectUnused('addPrefixSpace', `with the pre-tokenizer ${preTokenizer}`)
  const ownNormalizer = hasOwnNormalizer(preTokenizer)
  if (ownNormalizer && options.normalizer !== undefined)
    rejectUnused('normalizer', `with the pre-tokenizer ${preTokenizer}`)
  // A byte-level vocabulary covers every text, so it has no unknown token by default.
  const base =
    byteLevel || options.type !== 'bpe' ? defaults.specialTokens : { unk: '<unk>', ...defaults.specialTokens }
  const specialTokens: SpecialTokens = { ...base, ...options.specialTokens }
  const template = options.template ?? defaults.template
  const needed = { none: [], bert: ['cls', 'sep'], bos: ['bos'], eos: ['eos'], 'bos-eos': ['bos', 'eos'] } as const
  for (const role of needed[template]) {
    if (specialTokens[role] === undefined) {
      faults.push(`The template ${template} needs \`tokenizer.specialTokens.${role}\`: set it.`)
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
