// The decoders of tokenizer.json, by type: from byte tokens and word pieces to text.
import { fromByteLevel } from './byte-level.ts'
import { type ComponentType, componentReader, readParts } from './components.ts'
import { checkExpansion, readPattern, replaceInTokens } from './pattern.ts'
import { PREPEND_SCHEMES } from './pre-tokenizers/index.ts'

/** Turns token strings into strings of text, to be joined without a separator. */
export type Decoder = (tokens: string[]) => string[]

/** Decodes byte-level tokens as UTF-8. */
const byteLevelDecoder: ComponentType<Decoder> = () => (tokens) => {
  const bytes: number[] = []
  for (const token of tokens) for (const byte of fromByteLevel(token) ?? Buffer.from(token, 'utf8')) bytes.push(byte)
  return [Buffer.from(bytes).toString('utf8')]
}

const BYTE_TOKEN = /^<0x([0-9a-fA-F]{2})>$/
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const decodeRun = (bytes: readonly number[]): string[] => {
  try {
    return [strict.decode(Uint8Array.from(bytes))]
  } catch {
    return bytes.map(() => '\ufffd')
  }
}

/** Decodes runs of byte-fallback tokens as UTF-8; each byte of an invalid run becomes U+FFFD. */
const byteFallback: ComponentType<Decoder> = () => (tokens) => {
  const result: string[] = []
  let run: number[] = []
  for (const token of tokens) {
    const match = BYTE_TOKEN.exec(token)
    if (match !== null) run.push(Number.parseInt(match[1], 16))
    else {
      if (run.length > 0) result.push(...decodeRun(run))
      run = []
      result.push(token)
    }
  }
  if (run.length > 0) result.push(...decodeRun(run))
  return result
}

const CLEAN_UPS: readonly (readonly [string, string])[] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [' do not', " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
]

const cleanUp = (text: string): string => CLEAN_UPS.reduce((done, [from, to]) => done.replaceAll(from, to), text)

/** Joins word pieces (prefix `##`) and separates words by spaces. */
const wordPieceDecoder: ComponentType<Decoder> = (fields) => {
  const prefix = fields.string('prefix')
  const cleans = fields.boolean('cleanup')
  return (tokens) =>
    tokens.map((token, i) => {
      const text = i === 0 ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`
      return cleans ? cleanUp(text) : text
    })
}

/** Replaces the end-of-word suffix by a space. */
const bpeDecoder: ComponentType<Decoder> = (fields) => {
  const suffix = fields.string('suffix')
  return (tokens) =>
    tokens.map((token, i) => (suffix === '' ? token : token.replaceAll(suffix, i === tokens.length - 1 ? '' : ' ')))
}

/** Replaces `▁` by a space. */
const metaspaceDecoder: ComponentType<Decoder> = (fields) => {
  const replacement = fields.character('replacement')
  const scheme = fields.oneOf('prepend_scheme', PREPEND_SCHEMES, 'always')
  const prepended = scheme !== 'never' && fields.get('add_prefix_space') !== false
  return (tokens) => tokens.map((token, i) => token.replaceAll(replacement, i === 0 && prepended ? '' : ' '))
}

/** Decodes the output of connectionist temporal classification: merges repeats and drops padding. */
const ctc: ComponentType<Decoder> = (fields) => {
  const pad = fields.string('pad_token')
  const delimiter = fields.string('word_delimiter_token')
  const cleans = fields.boolean('cleanup')
  return (tokens) =>
    tokens
      .filter((token, i) => token !== tokens[i - 1])
      .map((token) => {
        const text = pad === '' ? token : token.replaceAll(pad, '')
        return cleans ? cleanUp(text).replaceAll(delimiter, ' ') : text
      })
      .filter((text) => text !== '')
}

/** Removes up to a number of characters from both ends of each token. */
const stripDecoder: ComponentType<Decoder> = (fields) => {
  const content = fields.character('content')
  const start = fields.integer('start')
  const stop = fields.integer('stop')
  return (tokens) =>
    tokens.map((token) => {
      const characters = [...token]
      let from = 0
      while (from < start && characters[from] === content) from++
      let to = characters.length
      while (characters.length - to < stop && to > from && characters[to - 1] === content) to--
      return characters.slice(from, to).join('')
    })
}

/** Replaces matches of a pattern in each token. */
const replaceDecoder: ComponentType<Decoder> = (fields) => {
  const pattern = readPattern(fields, 'pattern')
  const content = fields.string('content')
  return (tokens) => replaceInTokens(pattern, tokens, content)
}

const totalLength = (tokens: readonly string[]): number => tokens.reduce((sum, token) => sum + token.length, 0)

/** Applies several decoders in order. */
const decoderSequence: ComponentType<Decoder> = (fields, nested) => {
  const where = fields.at('decoders')
  const parts = readParts(fields, 'decoders', nested)
  return (tokens) => {
    const length = totalLength(tokens)
    let decoded = tokens
    for (const [i, part] of parts.entries()) {
      decoded = part(decoded)
      checkExpansion(length, totalLength(decoded), `${where}[${i}]`)
    }
    return decoded
  }
}

/** Builds a decoder from its JSON form in tokenizer.json. Throws DataError. */
export const readDecoder = componentReader<Decoder>('decoder', {
  BPEDecoder: bpeDecoder,
  ByteFallback: byteFallback,
  ByteLevel: byteLevelDecoder,
  CTC: ctc,
  Sequence: decoderSequence,
  Fuse: () => (tokens) => [tokens.join('')],
  Metaspace: metaspaceDecoder,
  Replace: replaceDecoder,
  Strip: stripDecoder,
  WordPiece: wordPieceDecoder,
})
