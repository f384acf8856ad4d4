// Converts older vocabulary files to the content of tokenizer.json: vocab.txt (BERT), vocab.json with merges.txt
// (GPT-2, RoBERTa). Independent of the file system.
import { isObject, type JsonObject, throwInvalid } from './fields.ts'
import { framingJson, specialTokenJson, tokenText } from './special-tokens.ts'

/** Normalization of a BERT vocabulary (vocab.txt). */
export interface BertVocabularyOptions {
  /** Lowercase the text (default: true). */
  lowercase?: boolean
  /** Strip accents (default: same as `lowercase`). */
  stripAccents?: boolean
  /** Split Chinese text into single characters (default: true). */
  handleChineseChars?: boolean
}

/** Converts vocab.txt: one token per line, the line number is its id. Throws DataError. */
export const bertJson = (text: string, options: BertVocabularyOptions = {}): JsonObject => {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  const vocab: JsonObject = Object.create(null)
  for (const [id, line] of lines.entries()) vocab[line.trimEnd()] = id
  const specials = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'].filter((token) => vocab[token] !== undefined)
  for (const token of ['[UNK]', '[CLS]', '[SEP]'])
    if (vocab[token] === undefined)
      throwInvalid(`${token} among the lines`, 'vocab.txt', `${lines.length} lines without it`)
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specials.map((token) => specialTokenJson(vocab[token] as number, token)),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: options.handleChineseChars ?? true,
      strip_accents: options.stripAccents ?? null,
      lowercase: options.lowercase ?? true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: framingJson(
      ['[CLS]'],
      ['[SEP]'],
      { before: [], type: 1 },
      ['[CLS]', '[SEP]'].map((token) => [token, vocab[token] as number]),
    ),
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  }
}

/**
 * Converts vocab.json and merges.txt: as RoBERTa if `config` names it or its special tokens are in the vocabulary, else
 * as GPT-2. Throws DataError.
 */
export const byteLevelJson = (vocab: JsonObject, mergesText: string, config: JsonObject = {}): JsonObject => {
  const merges = mergesText
    .split('\n')
    .map((line) => line.replace(/\r$/, ''))
    .filter((line, i) => line !== '' && !(i === 0 && line.startsWith('#version')))
  const prefixed = config.add_prefix_space === true
  const isRoberta =
    `${config.tokenizer_class ?? config.model_type ?? ''}`.toLowerCase().includes('roberta') ||
    ['<s>', '</s>', '<mask>'].every((token) => typeof vocab[token] === 'number')
  const names = isRoberta ? ['<s>', '<pad>', '</s>', '<unk>', '<mask>'] : ['<|endoftext|>']
  const known = names.filter((token) => typeof vocab[token] === 'number')
  if (isRoberta)
    for (const token of ['<s>', '</s>']) if (!known.includes(token)) throwInvalid(token, 'vocab.json', 'none')
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: known.map((token) => ({
      ...specialTokenJson(vocab[token] as number, token),
      lstrip: token === '<mask>',
    })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: prefixed, trim_offsets: true, use_regex: true },
    post_processor: isRoberta
      ? {
          type: 'RobertaProcessing',
          sep: ['</s>', vocab['</s>']],
          cls: ['<s>', vocab['<s>']],
          trim_offsets: true,
          add_prefix_space: prefixed,
        }
      : { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token:
        isObject(config.unk_token) || typeof config.unk_token === 'string' ? knownUnknown(config, vocab) : null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges,
    },
  }
}

const knownUnknown = (config: JsonObject, vocab: JsonObject): string | null => {
  const token = tokenText(config.unk_token)
  return token !== undefined && typeof vocab[token] === 'number' ? token : null
}
