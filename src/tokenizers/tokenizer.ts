// The tokenizer: text to token ids and back, built from the parts of a tokenizer.json.
// Independent of the types of parts and of file formats.
import { ConfigError, optionCheck } from '../core/index.ts'
import { type AddedToken, AddedTokens, readAddedToken, type Segment } from './added-tokens.ts'
import { type Decoder, readDecoder } from './decoders.ts'
import { Encoding, joinEncodings, type Padding, padEncodings, type Truncation, truncate } from './encoding.ts'
import {
  createNormalizedEncoder,
  createSegmentEncoder,
  firstOriginalOffset,
  type IdArray,
  IdBuffer,
  type SegmentEncoder,
} from './fast-encoder.ts'
import { Fields, type JsonObject, throwInvalid } from './fields.ts'
import { createTokenSink, type Model, readModel } from './models/index.ts'
import { type Normalizer, readNormalizer, WHOLE_SEGMENT } from './normalizers/index.ts'
import { type PostProcessor, readPostProcessor } from './post-processors.ts'
import { type PreTokenizer, readPreTokenizer } from './pre-tokenizers/index.ts'
import { saveTokenizer } from './saving.ts'
import { NO_SPECIAL_TOKENS, type SpecialTokens } from './special-tokens.ts'
import { AlignedPiece, type Span } from './text.ts'

/** Options of `Tokenizer.encode`. */
export interface EncodeOptions {
  /** The second sequence of a pair. */
  pair?: string
  /** Add the special tokens of the post-processor, such as [CLS] and [SEP] (default: true). */
  addSpecialTokens?: boolean
  /** Truncate to a maximum length (default: no truncation). */
  truncation?: Truncation
  /** Pad to a length (default: no padding). */
  padding?: Padding
  /** Sorted ranges of the text, in UTF-16 units, in which special tokens are encoded as plain text. */
  literal?: readonly Span[]
  /** Unit of offsets: UTF-16 units as in JavaScript strings (default), or code points as in Python and Rust. */
  offsets?: 'utf16' | 'codePoints'
}

const noOptions: EncodeOptions = {}
const expectEncodeOptions = optionCheck<EncodeOptions>('encode', {
  pair: true,
  addSpecialTokens: true,
  truncation: true,
  padding: true,
  literal: true,
  offsets: true,
})

/** Options of `Tokenizer.decode`. */
export interface DecodeOptions {
  /** Leave out special tokens (default: false). */
  skipSpecialTokens?: boolean
}

/** Settings of a tokenizer that are not in tokenizer.json, but in the files beside it. */
export interface TokenizerExtras {
  /** Returns the special tokens by role, given a lookup of ids. */
  special?: (idOf: (token: string) => number | undefined) => SpecialTokens
  /** Maximum input length of the model, in tokens. */
  maxLength?: number
  /** Side that `padding` pads (default: right). */
  paddingSide?: 'left' | 'right'
  /** Side that `truncation` truncates (default: right). */
  truncationSide?: 'left' | 'right'
  /** Chat template, as Jinja source. */
  chatTemplate?: string
  /** Content of tokenizer_config.json, kept for `save`. */
  config?: JsonObject
}

/** A tokenizer: encodes text to token ids and decodes ids to text. Load one with `loadTokenizer`. */
export class Tokenizer {
  /** The tokenizer model: vocabulary and algorithm (BPE, WordPiece, Unigram or WordLevel). */
  readonly model: Model
  /** Special tokens by role, such as `special.pad?.id`. */
  readonly special: SpecialTokens
  /** Maximum input length of the model, in tokens; undefined without a limit. */
  readonly maxLength: number | undefined
  /** Side that `padding` pads. */
  readonly paddingSide: 'left' | 'right'
  /** Side that `truncation` truncates. */
  readonly truncationSide: 'left' | 'right'
  /** Chat template as Jinja source; undefined if the tokenizer has none. */
  readonly chatTemplate: string | undefined
  /** Content of tokenizer_config.json. */
  readonly config: JsonObject
  readonly #added: AddedTokens
  readonly #normalizer: Normalizer | undefined
  readonly #preTokenizer: PreTokenizer | undefined
  readonly #postProcessor: PostProcessor | undefined
  readonly #decoder: Decoder | undefined
  readonly #sections: JsonObject
  #encodeSegment: SegmentEncoder | undefined
  #encodeNormalized: SegmentEncoder | undefined
  readonly #buffer = new IdBuffer()

  /** Builds a tokenizer from the content of a tokenizer.json. Throws DataError. */
  constructor(json: unknown, extras: TokenizerExtras = {}) {
    const fields = new Fields(json, '')
    const version = fields.string('version', '1.0')
    if (version !== '1.0') throwInvalid('"1.0"', 'version', version)
    const read = <T>(key: string, reader: (value: unknown) => T): T | undefined =>
      fields.has(key) ? reader(fields.get(key)) : undefined
    this.model = readModel(fields.get('model'))
    this.#normalizer = read('normalizer', readNormalizer)
    this.#preTokenizer = read('pre_tokenizer', readPreTokenizer)
    this.#postProcessor = read('post_processor', readPostProcessor)
    this.#decoder = read('decoder', readDecoder)
    this.#added = new AddedTokens(this.model, (text) => this.#normalizer?.normalize(text, WHOLE_SEGMENT) ?? text)
    const tokens = fields.has('added_tokens') ? fields.list('added_tokens') : []
    this.#added.add(tokens.map((token, i) => readAddedToken(token, `added_tokens[${i}]`)))
    const { model: _model, added_tokens: _added, ...sections } = fields.value
    this.#sections = sections
    this.special = extras.special?.((token) => this.#added.idOf(token)) ?? NO_SPECIAL_TOKENS
    this.maxLength = extras.maxLength
    this.paddingSide = extras.paddingSide ?? 'right'
    this.truncationSide = extras.truncationSide ?? 'right'
    this.chatTemplate = extras.chatTemplate
    this.config = extras.config ?? {}
  }

  /** Number of tokens, added tokens included. */
  get vocabSize(): number {
    return this.model.size + this.#added.countBeyondModel()
  }

  /** The largest token id. A model's embedding needs at least `maxId + 1` rows. */
  get maxId(): number {
    return this.#added.maxId()
  }

  /** The added tokens, sorted by id. */
  get addedTokens(): { id: number; token: AddedToken }[] {
    return this.#added.list()
  }

  /** Types of the decoder's parts, such as ByteLevel; empty without a decoder. */
  get decoderTypes(): string[] {
    const typesOf = (value: unknown): string[] => {
      if (typeof value !== 'object' || value === null) return []
      const { type, decoders } = value as { type?: unknown; decoders?: unknown }
      return [
        ...(typeof type === 'string' ? [type] : []),
        ...(Array.isArray(decoders) ? decoders.flatMap(typesOf) : []),
      ]
    }
    return typesOf(this.#sections.decoder)
  }

  /** The id of a token, or undefined if it is not in the vocabulary. */
  tokenToId(token: string): number | undefined {
    return this.#added.idOf(token)
  }

  /** The token of an id, or undefined if the id is not in the vocabulary. */
  idToToken(id: number): string | undefined {
    return this.#added.tokenOf(id)
  }

  /**
   * Adds tokens and returns their ids. Tokens already in the vocabulary keep their ids; new ones get the next free ids.
   * Throws ConfigError for an empty token.
   */
  addTokens(tokens: readonly (string | (Partial<AddedToken> & { content: string }))[]): number[] {
    const complete = tokens.map((token) => {
      const given = typeof token === 'string' ? { content: token } : token
      const special = given.special ?? false
      return { singleWord: false, lstrip: false, rstrip: false, normalized: !special, ...given, special }
    })
    if (complete.some(({ content }) => content === '' || !content.isWellFormed()))
      throw new ConfigError('Expected non-empty tokens without lone surrogates for `tokens`, got another.')
    this.#added.add(complete)
    this.#encodeSegment = this.#encodeNormalized = undefined
    return complete.map(({ content }) => this.#added.idOf(content)!)
  }

  /**
   * Encodes a text or a pair to ids with offsets, word ids and masks. Lone surrogates are read as U+FFFD.
   * Throws ConfigError if special tokens or the stride do not fit the truncation.
   */
  encode(text: string, options: EncodeOptions = noOptions): Encoding {
    if (options !== noOptions) expectEncodeOptions(options)
    const { pair, addSpecialTokens = true, truncation, padding, literal, offsets = 'utf16' } = options
    const isPair = pair !== undefined
    let encodings = [this.#encodeSequence(text, 0, offsets, literal)]
    if (isPair) encodings.push(this.#encodeSequence(pair, 1, offsets))
    const added = addSpecialTokens ? (this.#postProcessor?.added(isPair) ?? 0) : 0
    if (truncation !== undefined) encodings = truncate(encodings, { side: this.truncationSide, ...truncation }, added)
    for (const [i, encoding] of encodings.entries()) {
      encoding.setSequence(i)
      for (const window of encoding.overflowing) window.setSequence(i)
      if (this.#postProcessor !== undefined) encoding.setTypeId(i)
    }
    const result = joinEncodings(this.#postProcessor?.process(encodings, addSpecialTokens) ?? encodings)
    if (padding !== undefined) padEncodings([result], { side: this.paddingSide, ...padding })
    return result
  }

  /** Encodes several texts or pairs; with `padding`, all to one length. */
  encodeBatch(
    texts: readonly (string | readonly [string, string])[],
    { padding, ...options }: Omit<EncodeOptions, 'pair'> = {},
  ): Encoding[] {
    const encodings = texts.map((text) =>
      typeof text === 'string' ? this.encode(text, options) : this.encode(text[0], { ...options, pair: text[1] }),
    )
    if (padding !== undefined) padEncodings(encodings, { side: this.paddingSide, ...padding })
    return encodings
  }

  #encodeSequence(
    input: string,
    typeId: number,
    unit: 'utf16' | 'codePoints',
    literal: readonly Span[] = [],
  ): Encoding {
    const text = input.toWellFormed()
    const encoding = new Encoding()
    const convert = unit === 'utf16' ? (span: [number, number]) => span : codePointConverter(text)
    let word = 0
    const pushAdded = (piece: AlignedPiece, id: number) =>
      encoding.push(id, piece.text, convert(piece.original(0, piece.text.length)), word++, typeId)
    for (const raw of this.#added.keepLiterals(this.#added.splitRaw(text), text, literal)) {
      const segment = new AlignedPiece(text.slice(raw.start, raw.end), raw.start)
      if (raw.id !== undefined) {
        pushAdded(segment, raw.id)
        continue
      }
      if (segment.text === '') continue
      this.#normalizer?.align(segment)
      for (const normalized of this.#added.splitNormalized(segment.text)) {
        const piece = segment.slice(normalized.start, normalized.end)
        const [from, to] = piece.original(0, piece.text.length)
        const isLiteral = literal.some(([start, end]) => from < end && to > start)
        if (normalized.id !== undefined && !(isLiteral && this.#added.isSpecialId(normalized.id)))
          pushAdded(piece, normalized.id)
        else if (piece.text !== '') word = this.#encodePiece(piece, encoding, word, typeId, convert)
      }
    }
    return encoding
  }

  #encodePiece(
    piece: AlignedPiece,
    encoding: Encoding,
    firstWord: number,
    typeId: number,
    convert: (span: [number, number]) => [number, number],
  ): number {
    let word = firstWord
    for (const part of this.#preTokenizer?.split([piece]) ?? [piece]) {
      if (part.text === '') continue
      const sink = createTokenSink()
      this.model.tokenize(part.text, sink)
      for (const [i, id] of sink.ids.entries()) {
        const name = sink.names.get(i) ?? this.model.idToToken(id) ?? ''
        encoding.push(id, name, convert(part.original(sink.starts[i], sink.ends[i])), word, typeId)
      }
      word++
    }
    return word
  }

  /**
   * Encodes a text to ids only, without special tokens; much faster than `encode`. Returns a Uint16Array if all ids of
   * the vocabulary fit 16 bits, else a Uint32Array.
   */
  encodeIds(text: string): Uint16Array | Uint32Array {
    this.#buffer.count = 0
    this.#fill(text, this.#buffer)
    const ids = this.#buffer.ids.subarray(0, this.#buffer.count)
    return this.maxId < 0x10000 ? Uint16Array.from(ids) : ids.slice()
  }

  /**
   * Writes the ids of a text into `buffer` from `offset` and returns their end. A text of n UTF-8 bytes rarely has more
   * than n tokens. Throws ConfigError if the ids do not fit the buffer, or an id does not fit its elements.
   */
  encodeInto(text: string, buffer: IdArray, offset = 0): number {
    if (buffer.BYTES_PER_ELEMENT === 2 && this.maxId > 0xffff)
      throw new ConfigError(
        `Expected an array of 32-bit integers for \`buffer\`, because ids go up to ${this.maxId}. Pass a Uint32Array.`,
      )
    this.#buffer.count = 0
    this.#fill(text, this.#buffer)
    const end = offset + this.#buffer.count
    if (end > buffer.length)
      throw new ConfigError(
        `Expected at least ${end} elements for \`buffer\`, got ${buffer.length}. Pass a longer array.`,
      )
    buffer.set(this.#buffer.ids.subarray(0, this.#buffer.count), offset)
    return end
  }

  #fill(input: string, out: IdBuffer): void {
    const text = input.toWellFormed()
    for (const { start, end, id } of this.#added.splitRaw(text)) {
      if (id !== undefined) out.push(id)
      else if (start < end)
        this.#fillSegment(start === 0 && end === text.length ? text : text.slice(start, end), start === 0, out)
    }
  }

  #fillSegment(text: string, atStart: boolean, out: IdBuffer): void {
    const parts = { normalizer: this.#normalizer, preTokenizer: this.#preTokenizer, model: this.model }
    this.#encodeSegment ??= createSegmentEncoder(parts)
    if (!this.#added.hasNormalized) {
      this.#encodeSegment(text, atStart, out)
      return
    }
    const normalized = this.#normalizer?.normalize(text, WHOLE_SEGMENT) ?? text
    const segments = this.#added.splitNormalized(normalized)
    if (segments.length === 1 && segments[0].id === undefined) {
      this.#encodeSegment(text, atStart, out)
      return
    }
    // With a normalizer, the segments are already normalized and must not be normalized again.
    this.#encodeNormalized ??= this.#normalizer === undefined ? this.#encodeSegment : createNormalizedEncoder(parts)
    const first = atStart && firstOriginalOffset(parts, text) === 0
    for (const segment of segments) this.#fillNormalized(normalized, segment, first, out)
  }

  #fillNormalized(text: string, { start, end, id }: Segment, atStart: boolean, out: IdBuffer): void {
    if (id !== undefined) out.push(id)
    else if (start < end) this.#encodeNormalized!(text.slice(start, end), atStart && start === 0, out)
  }

  /** Decodes ids to text. Ids outside the vocabulary are skipped. */
  decode(ids: ArrayLike<number>, { skipSpecialTokens = false }: DecodeOptions = {}): string {
    const tokens: string[] = []
    for (let i = 0; i < ids.length; i++) {
      const token = this.#added.tokenOf(ids[i])
      if (token !== undefined && !(skipSpecialTokens && this.#added.isSpecial(token))) tokens.push(token)
    }
    return this.#decoder === undefined ? tokens.join(' ') : this.#decoder(tokens).join('')
  }

  /** Decodes several lists of ids. */
  decodeBatch(batch: readonly ArrayLike<number>[], options: DecodeOptions = {}): string[] {
    return batch.map((ids) => this.decode(ids, options))
  }

  /** Writes tokenizer.json and its companion files into a folder; returns the file names. */
  save(folder: string): Promise<string[]> {
    return saveTokenizer(this, folder)
  }

  /** The content of tokenizer.json. */
  toJson(): JsonObject {
    const { version = '1.0', ...sections } = this.#sections
    return { version, ...sections, added_tokens: this.#added.toJson(), model: this.model.toJson() }
  }
}

/** Converts UTF-16 offsets of `text` to code point offsets. */
const codePointConverter = (text: string): ((span: [number, number]) => [number, number]) => {
  if (!/[\ud800-\udbff]/.test(text)) return (span) => span
  const before = new Uint32Array(text.length + 1)
  let count = 0
  for (let i = 0; i < text.length; i++) {
    before[i] = count
    const unit = text.charCodeAt(i)
    if (unit < 0xd800 || unit > 0xdbff) count++
  }
  before[text.length] = count
  return ([start, end]) => [before[start], before[end]]
}
