// The pre-tokenizers of training: fast word counting, and the equivalent sections of tokenizer.json, so that every
// other library splits text in the same way. Independent of trainers and vocabularies.
import { readNormalizer, WHOLE_SEGMENT } from '../normalizers/index.ts'
import { LLAMA3_PATTERN, readPreTokenizer } from '../pre-tokenizers/index.ts'
import { PlainPiece } from '../text.ts'
import { bertAsciiScanner, metaspaceAsciiScanner, type Scanner, scanGpt2, scanLlama3 } from './scanners.ts'
import type { WordTable } from './word-table.ts'

/** A pre-tokenizer that training supports. */
export type PreTokenizerName = 'gpt2' | 'llama3' | 'bert' | 'metaspace'
/** A Unicode normalization form, or none. */
type NormalizerName = 'none' | 'nfc' | 'nfd' | 'nfkc' | 'nfkd'

/** The settings that decide the words. Word counts can be added only if these are equal. */
export interface PreTokenization {
  preTokenizer: PreTokenizerName
  normalizer: NormalizerName
  lowercase: boolean
  /** Prepend a space to each document, so that its first word is encoded like any other (gpt2 only). */
  addPrefixSpace: boolean
}

/** The sections of tokenizer.json that follow from the pre-tokenization. */
export interface PreTokenizationJson {
  normalizer: object | null
  pre_tokenizer: object
  decoder: object
}

/** Counts the words of documents. */
export interface WordReader {
  /** True if words are byte strings, false if they are strings of characters. */
  byteLevel: boolean
  json: PreTokenizationJson
  /**
   * Adds the words of one well-formed UTF-8 document to `words`; text for the slow path is collected in `postponed`.
   */
  read(document: Uint8Array, words: WordTable, postponed: WordTable): void
  /** Adds the words of one postponed text, `count` times. */
  readPostponed(piece: string, words: WordTable, count: number): void
}

const byteLevelDecoder = { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true }

/** How training handles a pre-tokenizer. */
interface PreTokenizerKind {
  byteLevel: boolean
  /** Splits well-formed text into words; exact for ASCII, and for all of Unicode if `everyCharacter`. */
  scanner(options: PreTokenization): Scanner
  everyCharacter: boolean
  /** Whether text may be split at `index` without changing a word or a normal form. */
  isBoundary(bytes: Uint8Array, index: number, end: number): boolean
  /** Text with these bytes must not be split. */
  unsplittable?: Buffer
  json(options: PreTokenization): PreTokenizationJson
}

const asciiSpace = (byte: number) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)

/** A space before an ASCII character other than white space always starts a word. */
const isSpaceBeforeAscii = (bytes: Uint8Array, index: number, end: number): boolean =>
  bytes[index] === 0x20 && index + 1 < end && bytes[index + 1] < 0x80 && !asciiSpace(bytes[index + 1])

const kinds: Record<PreTokenizerName, PreTokenizerKind> = {
  gpt2: {
    byteLevel: true,
    scanner: () => scanGpt2,
    everyCharacter: true,
    isBoundary: isSpaceBeforeAscii,
    json: (options) => ({
      normalizer: normalizerJson(options),
      pre_tokenizer: {
        type: 'ByteLevel',
        add_prefix_space: options.addPrefixSpace,
        trim_offsets: true,
        use_regex: true,
      },
      decoder: byteLevelDecoder,
    }),
  },
  llama3: {
    byteLevel: true,
    scanner: () => scanLlama3,
    everyCharacter: true,
    isBoundary: isSpaceBeforeAscii,
    json: (options) => ({
      normalizer: normalizerJson(options),
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Split', pattern: { Regex: LLAMA3_PATTERN }, behavior: 'Isolated', invert: false },
          { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
        ],
      },
      decoder: byteLevelDecoder,
    }),
  },
  bert: {
    byteLevel: false,
    scanner: ({ lowercase }) => bertAsciiScanner({ lowercase }),
    everyCharacter: false,
    isBoundary: (bytes, index) =>
      bytes[index] === 0x20 || bytes[index] === 0x0a || bytes[index] === 0x09 || bytes[index] === 0x0d,
    json: ({ lowercase }) => ({
      normalizer: {
        type: 'BertNormalizer',
        clean_text: true,
        handle_chinese_chars: true,
        strip_accents: null,
        lowercase,
      },
      pre_tokenizer: { type: 'BertPreTokenizer' },
      decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    }),
  },
  metaspace: {
    byteLevel: false,
    scanner: ({ lowercase }) => metaspaceAsciiScanner({ lowercase }),
    everyCharacter: false,
    isBoundary: (bytes, index) => asciiSpace(bytes[index]),
    // A `▁` in the text itself is treated differently at the start of a text.
    unsplittable: Buffer.from('▁'),
    json: (options) => {
      const unicode = normalizerJson(options)
      const spaces = [
        { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' },
        { type: 'Strip', strip_left: true, strip_right: true },
      ]
      const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true }
      return {
        normalizer: { type: 'Sequence', normalizers: [...(unicode === null ? [] : [unicode]), ...spaces] },
        pre_tokenizer: metaspace,
        decoder: metaspace,
      }
    },
  },
}

/** The names of all pre-tokenizers. */
export const preTokenizerNames = Object.keys(kinds) as [PreTokenizerName, ...PreTokenizerName[]]

/** True if the pre-tokenizer includes normalization, so that `normalizer` must be `none`. */
export const hasOwnNormalizer = (name: PreTokenizerName): boolean => name === 'bert'

const normalizerJson = ({ normalizer, lowercase }: PreTokenization): object | null => {
  const parts = [
    ...(normalizer === 'none' ? [] : [{ type: normalizer.toUpperCase() }]),
    ...(lowercase ? [{ type: 'Lowercase' }] : []),
  ]
  return parts.length === 0 ? null : parts.length === 1 ? parts[0] : { type: 'Sequence', normalizers: parts }
}

/** Creates the word reader for these settings. */
export const createWordReader = (options: PreTokenization): WordReader => {
  const kind = kinds[options.preTokenizer]
  const scan = kind.scanner(options)
  const plain = options.normalizer === 'none' && !options.lowercase
  const json = kind.json(options)
  // Text beyond plain ASCII uses the same normalizer and pre-tokenizer as later encoding.
  const normalizer = json.normalizer === null ? undefined : readNormalizer(json.normalizer)
  const preTokenizer = readPreTokenizer(json.pre_tokenizer)
  const encoder = new TextEncoder()
  const addText = (text: string, words: WordTable, count: number) => {
    const bytes = encoder.encode(text)
    words.add(bytes, 0, bytes.length, count)
  }
  const prefixed = (document: Uint8Array) => {
    if (!options.addPrefixSpace || document.length === 0 || document[0] === 0x20) return document
    const longer = new Uint8Array(document.length + 1)
    longer[0] = 0x20
    longer.set(document, 1)
    return longer
  }
  return {
    byteLevel: kind.byteLevel,
    json,
    read(raw, words, postponed) {
      const document = prefixed(raw)
      if (kind.everyCharacter && plain) return scan(document, 0, document.length, words, 1)
      const end = document.length
      if (kind.unsplittable !== undefined && includes(document, kind.unsplittable))
        return postponed.add(document, 0, end, 1)
      for (let start = 0; start < end; ) {
        let seen = document[start]
        let upper = isUpper(document[start])
        let next = start + 1
        for (; next < end && !kind.isBoundary(document, next, end); next++) {
          seen |= document[next]
          upper ||= isUpper(document[next])
        }
        // ASCII is already normalized, and the character scanners lowercase it themselves.
        if (seen < 0x80 && !(upper && options.lowercase && kind.everyCharacter)) scan(document, start, next, words, 1)
        else postponed.add(document, start, next, 1)
        start = next
      }
    },
    readPostponed(piece, words, count) {
      const text = normalizer === undefined ? piece : normalizer.normalize(piece, WHOLE_SEGMENT)
      if (!kind.everyCharacter) {
        for (const { text: word } of preTokenizer.split([new PlainPiece(text, 0)])) addText(word, words, count)
        return
      }
      const bytes = encoder.encode(text)
      scan(bytes, 0, bytes.length, words, count)
    },
  }
}

const includes = (bytes: Uint8Array, pattern: Buffer): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(pattern)

const isUpper = (byte: number): boolean => byte >= 0x41 && byte <= 0x5a
