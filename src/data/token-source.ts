// Random access to token ids with document boundaries, in shards on disk or in memory.
// Independent of sampling order and batches.
import { closeSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { DataError } from '../core/index.ts'
import {
  filesOf,
  type IdArray,
  idBytes,
  openChecked,
  readShardManifest,
  type ShardDescription,
  type ShardManifest,
  type SplitName,
  verifyFile,
  verifyFiles,
} from './shard-manifest.ts'

/** A sequence of token ids with document boundaries. */
export interface TokenSource {
  /** Number of tokens. */
  readonly tokens: number
  /** Number of documents. */
  readonly documents: number
  /** Folder of the shards, for messages; undefined for tokens in memory. */
  readonly folder?: string
  /** Reads the tokens [start, start + length). Throws RangeError outside of the source. */
  readTokens(start: number, length: number): IdArray
  /** Position of a document's first token. */
  documentStart(document: number): number
  /** Position after a document's last token. */
  documentEnd(document: number): number
  /** The document of the token at `position`. */
  documentAt(position: number): number
  /** Closes the files. */
  close(): void
}

/** A token source in memory; document `i` ends at `ends[i]`. Throws DataError if the last end is not the length. */
export const tokensInMemory = (ids: IdArray, ends: ArrayLike<number>): TokenSource => {
  const last = ends.length === 0 ? 0 : ends[ends.length - 1]
  if (last !== ids.length) {
    throw new DataError(
      `Expected the last document to end at ${ids.length}, got ${last}. Pass the end of every document.`,
    )
  }
  return {
    tokens: ids.length,
    documents: ends.length,
    readTokens(start, length) {
      checkRange(start, length, ids.length)
      return ids.slice(start, start + length)
    },
    documentStart: (document) => (document === 0 ? 0 : ends[document - 1]),
    documentEnd: (document) => ends[document],
    documentAt: (position) => firstAbove(ends, ends.length, position),
    close() {},
  }
}

interface OpenShard {
  path: string
  file: number
  /** Number of tokens and of documents in earlier shards. */
  firstToken: number
  firstDocument: number
  tokens: number
  documents: number
  endsPath: string
  ends: Uint32Array | undefined
}

/** Options of `openTokens`. */
export interface OpenTokensOptions {
  /** Compare the SHA-256 of each file with the manifest, once per change of a file (default: true). */
  verify?: boolean
}

/**
 * Opens one split of a folder of shards. Reads are positional; only the document ends are loaded into memory, on
 * demand. Throws DataError for a missing or changed file.
 */
export const openTokens = async (
  folder: string,
  split: SplitName = 'train',
  { verify = true }: OpenTokensOptions = {},
): Promise<TokenSource> => {
  const { dtype, splits } = await readShardManifest(folder)
  const { shards } = splits[split]
  if (verify) await verifyFiles(folder, filesOf(shards))
  return openShards(folder, dtype, shards)
}

/** Opens shards without verification of their hashes. */
export const openShards = (
  folder: string,
  dtype: ShardManifest['dtype'],
  descriptions: readonly ShardDescription[],
): TokenSource => {
  const width = idBytes(dtype)
  const shards: OpenShard[] = []
  const close = () => {
    for (const { file } of shards.splice(0)) closeSync(file)
  }
  let tokens = 0
  let documents = 0
  try {
    for (const shard of descriptions) {
      const path = join(folder, shard.ids.path)
      shards.push({
        path,
        file: openChecked(path, shard.ids.bytes),
        firstToken: tokens,
        firstDocument: documents,
        tokens: shard.tokens,
        documents: shard.documents,
        endsPath: join(folder, shard.ends.path),
        ends: undefined,
      })
      closeSync(openChecked(join(folder, shard.ends.path), shard.ends.bytes))
      tokens += shard.tokens
      documents += shard.documents
    }
  } catch (error) {
    close()
    throw error
  }
  const shardOfToken = (position: number) => shards[lastAtMost(shards, (shard) => shard.firstToken, position)]
  const shardOfDocument = (document: number) => shards[lastAtMost(shards, (shard) => shard.firstDocument, document)]
  return {
    tokens,
    documents,
    folder,
    readTokens(start, length) {
      checkRange(start, length, tokens)
      const ids = dtype === 'uint16' ? new Uint16Array(length) : new Uint32Array(length)
      let done = 0
      while (done < length) {
        const shard = shardOfToken(start + done)
        const within = start + done - shard.firstToken
        const part = Math.min(length - done, shard.tokens - within)
        readFully(shard, new Uint8Array(ids.buffer, done * width, part * width), within * width)
        done += part
      }
      return littleEndian(ids)
    },
    documentStart(document) {
      checkRange(document, 1, documents)
      const shard = shardOfDocument(document)
      const within = document - shard.firstDocument
      return shard.firstToken + (within === 0 ? 0 : endsOf(shard)[within - 1])
    },
    documentEnd(document) {
      checkRange(document, 1, documents)
      const shard = shardOfDocument(document)
      return shard.firstToken + endsOf(shard)[document - shard.firstDocument]
    },
    documentAt(position) {
      checkRange(position, 1, tokens)
      const shard = shardOfToken(position)
      return shard.firstDocument + firstAbove(endsOf(shard), shard.documents, position - shard.firstToken)
    },
    close,
  }
}

/** Checks the size and SHA-256 of every file of a folder of shards; returns one message per fault. */
export const verifyShards = async (folder: string): Promise<{ manifest: ShardManifest; faults: string[] }> => {
  const manifest = await readShardManifest(folder)
  const faults: string[] = []
  for (const { shards } of Object.values(manifest.splits)) {
    for (const file of filesOf(shards)) {
      try {
        await verifyFile(folder, file)
      } catch (error) {
        faults.push((error as Error).message)
      }
    }
  }
  return { manifest, faults }
}

const readFully = (shard: Pick<OpenShard, 'file' | 'path'>, target: Uint8Array, position: number): void => {
  for (let done = 0; done < target.length; ) {
    const read = readSync(shard.file, target, done, target.length - done, position + done)
    if (read === 0) {
      throw new DataError(
        `Expected ${target.length} bytes at ${position}, got ${done}. The file was truncated: encode again.`,
        shard.path,
      )
    }
    done += read
  }
}

const endsOf = (shard: OpenShard): Uint32Array => {
  if (shard.ends === undefined) {
    const ends = new Uint32Array(shard.documents)
    const file = openChecked(shard.endsPath, shard.documents * 4)
    try {
      readFully({ file, path: shard.endsPath }, new Uint8Array(ends.buffer), 0)
    } finally {
      closeSync(file)
    }
    littleEndian(ends)
    for (let i = 0; i < ends.length; i++) {
      if (ends[i] > shard.tokens || (i > 0 && ends[i] < ends[i - 1])) {
        throw new DataError(
          `Expected ascending document ends up to ${shard.tokens}, got ${ends[i]}. Encode again.`,
          shard.endsPath,
        )
      }
    }
    shard.ends = ends
  }
  return shard.ends
}

const MACHINE_IS_LITTLE = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

/** Converts ids between little-endian and the byte order of this machine, in place. */
export const littleEndian = <A extends IdArray>(ids: A): A => {
  if (!MACHINE_IS_LITTLE) {
    const bytes = Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength)
    if (ids.BYTES_PER_ELEMENT === 2) bytes.swap16()
    else bytes.swap32()
  }
  return ids
}

const checkRange = (start: number, length: number, size: number): void => {
  if (
    !(
      Number.isSafeInteger(start) &&
      Number.isSafeInteger(length) &&
      start >= 0 &&
      length >= 0 &&
      start + length <= size
    )
  ) {
    throw new RangeError(`Expected a range within 0..${size}, got ${length} from ${start}.`)
  }
}

/** The first index whose value is above `value`. */
export const firstAbove = (values: ArrayLike<number>, size: number, value: number): number => {
  let low = 0
  let high = size
  while (low < high) {
    const middle = (low + high) >>> 1
    if (values[middle] > value) high = middle
    else low = middle + 1
  }
  return low
}

/** The last item whose key is at most `value`; the last of equal keys, so that empty shards are skipped. */
const lastAtMost = <Item>(items: readonly Item[], key: (item: Item) => number, value: number): number => {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (key(items[middle]) > value) high = middle
    else low = middle + 1
  }
  return low - 1
}
