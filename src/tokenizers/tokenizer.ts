// A tokenizer: text to token ids and back. Built from the parts that a tokenizer.json describes. It knows no part by
// name and no file format.
import { ConfigError } from '../core/index.ts'
import { type AddedToken, AddedTokens, readAddedToken, type Stretch } from './added-tokens.ts'
import { type Decoder, readDecoder } from './decoders/index.ts'
import { Encoding, joinEncodings, type Padding, padEncodings } from './encoding.ts'
import {
  createNormalizedEncoder,
  createStretchEncoder,
  firstPlace,
  type IdArray,
  IdBuffer,
  type StretchEncoder,
} from './fast-encoder.ts'
import { Fields, type JsonObject, refuse } from './fields.ts'
import { createSink, type Model, readModel } from './models/index.ts'
import { type Normalizer, readNormalizer, WHOLE } from './normalizers/index.ts'
import { type PostProcessor, readPostProcessor } from './post-processors/index.ts'
import { type PreTokenizer, readPreTokenizer } from './pre-tokenizers/index.ts'
import { saveTokenizer } from './saving.ts'
import { NO_SPECIAL_TOKENS, type SpecialTokens } from './special-tokens.ts'
import { AlignedPiece, type Span } from './text.ts'
import { type Truncation, truncate } from './truncation.ts'
import { isWellFormed, wellFormed } from './unicode.ts'

export interface EncodeOptions {
  /** A second sequence. */
  pair?: string
  /** Whether the post-processor adds its special tokens. */
  addSpecialTokens?: boolean
  truncation?: Truncation
  padding?: Padding
  /** Stretches of the text, in UTF-16 units and in order, in which a special token's name is text like any other. */
  literal?: readonly Span[]
  /** What offsets count: UTF-16 units, as JavaScript strings do, or code points, as Python and Rust do. */
  offsets?: 'utf16' | 'codePoints'
}

export interface DecodeOptions {
  /** Leaves out special tokens. */
  skipSpecialTokens?: boolean
}

/** What lies beside tokenizer.json in a folder. */
export interface TokenizerExtras {
  /** Says which tokens have a role, given their ids. */
  special?: (idOf: (token: string) => number | undefined) => SpecialTokens
  /** The longest input that the model takes, in tokens. */
  maxLength?: number
  paddingSide?: 'left' | 'right'
  truncationSide?: 'left' | 'right'
  /** Jinja source. */
  chatTemplate?: string
  /** tokenizer_config.json as it was, for `save`. */
  config?: JsonObject
}

export class Tokenizer {
  readonly model: Model
  readonly special: SpecialTokens
  readonly maxLength: number | undefined
  readonly paddingSide: 'left' | 'right'
  readonly truncationSide: 'left' | 'right'
  readonly chatTemplate: string | undefined
  readonly config: JsonObject
  readonly #added: AddedTokens
  readonly #normalizer: Normalizer | undefined
  readonly #preTokenizer: PreTokenizer | undefined
  readonly #postProcessor: PostProcessor | undefined
  readonly #decoder: Decoder | undefined
  readonly #sections: JsonObject
  #encodeStretch: StretchEncoder | undefined
  #encodeNormalized: StretchEncoder | undefined
  readonly #buffer = new IdBuffer(1 << 16)

  /** Builds a tokenizer from the content of a tokenizer.json. Throws DataError. */
  constructor(json: unknown, extras: TokenizerExtras = {}) {
    const fields = new Fields(json, '')
    const version = fields.string('version', '1.0')
    if (version !== '1.0') refuse('"1.0"', 'version', version)
    const read = <T>(key: string, reader: (value: unknown) => T): T | undefined =>
      fields.has(key) ? reader(fields.get(key)) : undefined
    this.model = readModel(fields.get('model'))
    this.#normalizer = read('normalizer', (value) => readNormalizer(value))
    this.#preTokenizer = read('pre_tokenizer', (value) => readPreTokenizer(value))
    this.#postProcessor = read('post_processor', (value) => readPostProcessor(value))
    this.#decoder = read('decoder', (value) => readDecoder(value))
    this.#added = new AddedTokens(this.model, (text) => this.#normalizer?.normalize(text, WHOLE) ?? text)
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

  /** The size of the vocabulary, added tokens included. */
  get vocabSize(): number {
    return this.model.size + this.#added.countBeyondModel()
  }

  /** The largest id that can come out, which a model's embedding must hold. */
  get maxId(): number {
    return this.#added.maxId()
  }

  /** The tokens added to the model's vocabulary, by id. */
  get addedTokens(): { id: number; token: AddedToken }[] {
    return this.#added.list()
  }

  tokenToId(token: string): number | undefined {
    return this.#added.idOf(token)
  }

  idToToken(id: number): string | undefined {
    return this.#added.tokenOf(id)
  }

  /** Adds tokens after the others; those that the vocabulary knows keep their ids. Returns the ids. */
  addTokens(tokens: readonly (string | (Partial<AddedToken> & { content: string }))[]): number[] {
    const complete = tokens.map((token) => {
      const given = typeof token === 'string' ? { content: token } : token
      const special = given.special ?? false
      return { singleWord: false, lstrip: false, rstrip: false, normalized: !special, ...given, special }
    })
    if (complete.some(({ content }) => content === '' || !isWellFormed(content)))
      throw new ConfigError('Expected tokens with text for `tokens`, got an empty or broken one.')
    this.#added.add(complete)
    this.#encodeStretch = this.#encodeNormalized = undefined
    return complete.map(({ content }) => this.#added.idOf(content)!)
  }

  /** Encodes a text or a pair with everything known about each token. Lone surrogates are read as U+FFFD. */
  encode(text: string, options: EncodeOptions = {}): Encoding {
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

  /** Encodes several texts (or pairs); padding is to one length. */
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
    const text = wellFormed(input)
    const encoding = new Encoding()
    const place = unit === 'utf16' ? (span: [number, number]) => span : codePointConverter(text)
    let word = 0
    const pushAdded = (piece: AlignedPiece, id: number) =>
      encoding.push(id, piece.text, place(piece.original(0, piece.text.length)), word++, typeId)
    for (const raw of this.#added.asText(this.#added.splitRaw(text), text, literal)) {
      const stretch = new AlignedPiece(text.slice(raw.start, raw.end), raw.start)
      if (raw.id !== undefined) {
        pushAdded(stretch, raw.id)
        continue
      }
      if (stretch.text === '') continue
      this.#normalizer?.align(stretch)
      for (const normalized of this.#added.splitNormalized(stretch.text)) {
        const piece = stretch.slice(normalized.start, normalized.end)
        const [from, to] = piece.original(0, piece.text.length)
        const said = literal.some(([start, end]) => from < end && to > start)
        if (normalized.id !== undefined && !(said && this.#added.isSpecialId(normalized.id)))
          pushAdded(piece, normalized.id)
        else if (piece.text !== '') word = this.#encodePiece(piece, encoding, word, typeId, place)
      }
    }
    return encoding
  }

  #encodePiece(
    piece: AlignedPiece,
    encoding: Encoding,
    firstWord: number,
    typeId: number,
    place: (span: [number, number]) => [number, number],
  ): number {
    let word = firstWord
    for (const part of this.#preTokenizer?.split([piece]) ?? [piece]) {
      if (part.text === '') continue
      const sink = createSink()
      this.model.tokenize(part.text, sink)
      for (const [i, id] of sink.ids.entries()) {
        const name = sink.names.get(i) ?? this.model.idToToken(id) ?? ''
        encoding.push(id, name, place(part.original(sink.starts[i], sink.ends[i])), word, typeId)
      }
      word++
    }
    return word
  }

  /**
   * The ids of a text alone, without special tokens, by a much faster road: for training data. An array of 16-bit
   * numbers when every id of the vocabulary fits.
   */
  encodeIds(text: string): Uint16Array | Uint32Array {
    this.#buffer.count = 0
    this.#fill(text, this.#buffer)
    const ids = this.#buffer.ids.subarray(0, this.#buffer.count)
    return this.maxId < 0x10000 ? Uint16Array.from(ids) : ids.slice()
  }

  /**
   * Writes the ids of a text into `buffer` from `offset` on and returns where they end. Text of n UTF-8 bytes seldom has
   * more than n tokens. Throws ConfigError when they do not fit, or when an id does not fit an element.
   */
  encodeInto(text: string, buffer: IdArray, offset = 0): number {
    if (buffer.BYTES_PER_ELEMENT === 2 && this.maxId > 0xffff)
      throw new ConfigError(`Expected an array of 32-bit numbers for \`buffer\`, as ids go up to ${this.maxId}.`)
    this.#buffer.count = 0
    this.#fill(text, this.#buffer)
    const end = offset + this.#buffer.count
    if (end > buffer.length)
      throw new ConfigError(`Expected room for ${end} ids for \`buffer\`, got ${buffer.length}. Pass a longer array.`)
    buffer.set(this.#buffer.ids.subarray(0, this.#buffer.count), offset)
    return end
  }

  #fill(input: string, out: IdBuffer): void {
    const text = isWellFormed(input) ? input : wellFormed(input)
    for (const { start, end, id } of this.#added.splitRaw(text)) {
      if (id !== undefined) out.push(id)
      else if (start < end)
        this.#fillStretch(start === 0 && end === text.length ? text : text.slice(start, end), start === 0, out)
    }
  }

  #fillStretch(text: string, atStart: boolean, out: IdBuffer): void {
    const parts = { normalizer: this.#normalizer, preTokenizer: this.#preTokenizer, model: this.model }
    this.#encodeStretch ??= createStretchEncoder(parts)
    if (!this.#added.hasNormalized) {
      this.#encodeStretch(text, atStart, out)
      return
    }
    const normalized = this.#normalizer?.normalize(text, WHOLE) ?? text
    const stretches = this.#added.splitNormalized(normalized)
    if (stretches.length === 1 && stretches[0].id === undefined) {
      this.#encodeStretch(text, atStart, out)
      return
    }
    // Without a normalizer a stretch is as good as a whole text; with one it must not be normalized again.
    this.#encodeNormalized ??= this.#normalizer === undefined ? this.#encodeStretch : createNormalizedEncoder(parts)
    const first = atStart && firstPlace(parts, text) === 0
    for (const stretch of stretches) this.#fillNormalized(normalized, stretch, first, out)
  }

  #fillNormalized(text: string, { start, end, id }: Stretch, atStart: boolean, out: IdBuffer): void {
    if (id !== undefined) out.push(id)
    else if (start < end) this.#encodeNormalized!(text.slice(start, end), atStart && start === 0, out)
  }

  /** The text of ids. Ids outside the vocabulary are passed over. */
  decode(ids: ArrayLike<number>, { skipSpecialTokens = false }: DecodeOptions = {}): string {
    const tokens: string[] = []
    for (let i = 0; i < ids.length; i++) {
      const token = this.#added.tokenOf(ids[i])
      if (token !== undefined && !(skipSpecialTokens && this.#added.isSpecial(token))) tokens.push(token)
    }
    return this.#decoder === undefined ? tokens.join(' ') : this.#decoder(tokens).join('')
  }

  decodeBatch(batch: readonly ArrayLike<number>[], options: DecodeOptions = {}): string[] {
    return batch.map((ids) => this.decode(ids, options))
  }

  /** Writes tokenizer.json and the files around it into a folder; returns their names. */
  save(folder: string): Promise<string[]> {
    return saveTokenizer(this, folder)
  }

  /** The content of tokenizer.json. */
  toJson(): JsonObject {
    const { version = '1.0', ...sections } = this.#sections
    return { version, ...sections, added_tokens: this.#added.toJson(), model: this.model.toJson() }
  }
}

/** Turns UTF-16 offsets into `text` into code point offsets. */
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
