// Encodes one batch of documents; runs in worker threads, or in the calling thread if there is only one. A hash of its text assigns each
// document to the training or the validation split.
import { sha256 } from '../core/index.ts'
import { loadTokenizer, type Tokenizer } from '../tokenizers/index.ts'
import type { IdArray, ShardManifest } from './shard-manifest.ts'

/** The `workerData` of an encoding thread. */
export interface EncodeTaskSettings {
  /** Tokenizer folder or file. */
  tokenizer: string
  dtype: ShardManifest['dtype']
  beginId: number | null
  endId: number | null
  validation: ValidationSplit
}

/** The encoded documents of one split of a batch. */
interface EncodedSplit {
  ids: IdArray
  /** End of each document in `ids`. */
  ends: Uint32Array
  /** UTF-8 bytes of the documents. */
  bytes: number
}

/** An encoded batch by split. */
export interface EncodedBatch {
  train: EncodedSplit
  validation: EncodedSplit
  /** The training documents closest to the validation split; undefined without a validation share. */
  nearest: NearestDocuments | undefined
}

/** The training documents of the lowest `validationRank`, several if their texts are equal. */
export interface NearestDocuments {
  rank: number
  /** Token ranges of the training split, with the UTF-8 bytes of each text. */
  documents: { start: number; length: number; bytes: number }[]
}

/** The documents of the lower rank, or of both if the ranks are equal. */
export const nearestOf = (
  a: NearestDocuments | undefined,
  b: NearestDocuments | undefined,
): NearestDocuments | undefined => {
  if (a === undefined || b === undefined) return a ?? b
  if (a.rank !== b.rank) return a.rank < b.rank ? a : b
  return { rank: a.rank, documents: [...a.documents, ...b.documents] }
}

/** Loads the tokenizer once and returns a function that encodes a batch. */
export const createEncoder = async (
  settings: EncodeTaskSettings,
): Promise<(texts: readonly string[]) => EncodedBatch> => {
  const tokenizer = await loadTokenizer(settings.tokenizer)
  const buffer = { ids: settings.dtype === 'uint16' ? new Uint16Array(1 << 20) : new Uint32Array(1 << 20) }
  const { share, seed } = settings.validation
  return (texts) => {
    const train: RankedText[] = []
    const validation: RankedText[] = []
    for (const text of texts) {
      const rank = share > 0 ? validationRank(text, seed) : 1
      ;(rank < share ? validation : train).push({ text, rank })
    }
    const encoded = encodeSplit(train, tokenizer, settings, buffer)
    return {
      train: encoded.split,
      validation: encodeSplit(validation, tokenizer, settings, buffer).split,
      nearest: share > 0 ? encoded.nearest : undefined,
    }
  }
}

interface RankedText {
  text: string
  rank: number
}

const encodeSplit = (
  texts: readonly RankedText[],
  tokenizer: Tokenizer,
  { beginId, endId }: EncodeTaskSettings,
  buffer: { ids: IdArray },
): { split: EncodedSplit; nearest: NearestDocuments | undefined } => {
  const ends: number[] = []
  let used = 0
  let bytes = 0
  let nearest: NearestDocuments | undefined
  for (const { text, rank } of texts) {
    const textBytes = Buffer.byteLength(text)
    bytes += textBytes
    const ids = tokenizer.encodeIds(text)
    // Skip documents without tokens.
    if (ids.length === 0) continue
    if (used + ids.length + 2 > buffer.ids.length) {
      const longer = Math.max(buffer.ids.length * 2, used + ids.length + 2)
      const grown = buffer.ids.BYTES_PER_ELEMENT === 2 ? new Uint16Array(longer) : new Uint32Array(longer)
      grown.set(buffer.ids.subarray(0, used))
      buffer.ids = grown
    }
    const start = used
    if (beginId !== null) buffer.ids[used++] = beginId
    buffer.ids.set(ids, used)
    used += ids.length
    if (endId !== null) buffer.ids[used++] = endId
    ends.push(used)
    if (nearest === undefined || rank <= nearest.rank)
      nearest = nearestOf(nearest, { rank, documents: [{ start, length: used - start, bytes: textBytes }] })
  }
  return { split: { ids: buffer.ids.slice(0, used), ends: Uint32Array.from(ends), bytes }, nearest }
}

/** Settings of the split into training and validation documents. */
export interface ValidationSplit {
  /** Share of validation documents, 0 to 1. */
  share: number
  /** Random seed of the choice. */
  seed: string
}

/**
 * The position of a document in the order of the validation split, 0 to 1: documents below the share are validation
 * documents. Texts that differ only in case, white space or Unicode normalization form have the same rank, so that no
 * copy of a training document is in validation.
 */
export const validationRank = (text: string, seed: string): number =>
  Number.parseInt(sha256(`${seed}\0${sha256(foldText(text))}`).slice(0, 12), 16) / 2 ** 48

/** Whether a document is a validation document; see `validationRank`. */
export const isValidationDocument = (text: string, { share, seed }: ValidationSplit): boolean => {
  if (share <= 0) return false
  return validationRank(text, seed) < share
}

const SPACE = 0x20
let lowerCase: Uint16Array | undefined

/** Each UTF-16 unit in lower case, and every kind of white space as a space. */
const lowerCaseTable = (): Uint16Array => {
  const table = new Uint16Array(0x10000)
  for (let unit = 0; unit < table.length; unit++) {
    const character = String.fromCharCode(unit)
    const lower = character.toLowerCase()
    table[unit] = /\s/.test(character) ? SPACE : lower.length === 1 ? lower.charCodeAt(0) : unit
  }
  return table
}

/**
 * The text without differences that the split ignores. Unit by unit, because regular expressions are slower than
 * encoding.
 */
const foldText = (text: string): Uint8Array => {
  lowerCase ??= lowerCaseTable()
  const table = lowerCase
  const normal = text.normalize('NFKC')
  const units = new Uint16Array(normal.length)
  let length = 0
  for (let i = 0; i < normal.length; i++) {
    const unit = table[normal.charCodeAt(i)]
    if (unit === SPACE && (length === 0 || units[length - 1] === SPACE)) continue
    units[length++] = unit
  }
  if (length > 0 && units[length - 1] === SPACE) length--
  return new Uint8Array(units.buffer, 0, length * 2)
}
