// Encodes one batch of documents: what a worker thread does, and what the calling thread does when it is alone.
import { loadTokenizer, type Tokenizer } from '../tokenizers/index.ts'
import { isForValidation, type ValidationSplit } from './document-split.ts'
import type { IdArray, ShardManifest } from './shard-manifest.ts'

export interface EncodeSettings {
  tokenizer: string
  dtype: ShardManifest['dtype']
  beginId: number | null
  endId: number | null
  validation: ValidationSplit
}

export interface EncodedSide {
  ids: IdArray
  /** Where each document ends in `ids`. */
  ends: Uint32Array
  /** UTF-8 bytes of the documents. */
  bytes: number
}

export type EncodedBatch = Record<'train' | 'validation', EncodedSide>

/** Makes the function that encodes a batch; the tokenizer is loaded once. */
export const createEncoder = async (settings: EncodeSettings): Promise<(texts: readonly string[]) => EncodedBatch> => {
  const tokenizer = await loadTokenizer(settings.tokenizer)
  const room = { ids: settings.dtype === 'uint16' ? new Uint16Array(1 << 20) : new Uint32Array(1 << 20) }
  return (texts) => {
    const train: string[] = []
    const validation: string[] = []
    for (const text of texts) (isForValidation(text, settings.validation) ? validation : train).push(text)
    return {
      train: encodeSide(train, tokenizer, settings, room),
      validation: encodeSide(validation, tokenizer, settings, room),
    }
  }
}

const encodeSide = (
  texts: readonly string[],
  tokenizer: Tokenizer,
  { beginId, endId }: EncodeSettings,
  room: { ids: IdArray },
): EncodedSide => {
  const ends: number[] = []
  let used = 0
  let bytes = 0
  for (const text of texts) {
    bytes += Buffer.byteLength(text)
    const ids = tokenizer.encodeIds(text)
    // A document without tokens would be a boundary around nothing.
    if (ids.length === 0) continue
    if (used + ids.length + 2 > room.ids.length) {
      const longer = Math.max(room.ids.length * 2, used + ids.length + 2)
      const grown = room.ids.BYTES_PER_ELEMENT === 2 ? new Uint16Array(longer) : new Uint32Array(longer)
      grown.set(room.ids.subarray(0, used))
      room.ids = grown
    }
    if (beginId !== null) room.ids[used++] = beginId
    room.ids.set(ids, used)
    used += ids.length
    if (endId !== null) room.ids[used++] = endId
    ends.push(used)
  }
  return { ids: room.ids.slice(0, used), ends: Uint32Array.from(ends), bytes }
}
