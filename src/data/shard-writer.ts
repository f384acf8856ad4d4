// Appends documents of token ids to the shards of one split, and resumes from a recorded state to the byte.
// Independent of the tokenizer and of when states are recorded.
import { type FileHandle, open, rename, rm, truncate } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { invariant, sha256File } from '../core/index.ts'
import type { NearestDocuments } from './encode-task.ts'
import { type IdArray, idBytes, type ShardDescription, type ShardManifest, type SplitName } from './shard-manifest.ts'
import { littleEndian, openShards } from './token-source.ts'

/** The state that resuming needs, as JSON. */
export interface SplitState {
  finished: ShardDescription[]
  /** Tokens in the open shard. */
  tokens: number
  /** Documents in the open shard. */
  documents: number
  /** UTF-8 bytes of text in the whole split. */
  bytes: number
}

/** The state of a split without documents. */
export const emptySplit = (): SplitState => ({ finished: [], tokens: 0, documents: 0, bytes: 0 })

/** Options of `SplitWriter.open`. */
export interface SplitWriterOptions {
  folder: string
  split: SplitName
  dtype: ShardManifest['dtype']
  maxTokens: number
  state: SplitState
}

/** Writes the shards of one split. Call `sync` before recording a state. */
export class SplitWriter {
  readonly #options: SplitWriterOptions
  readonly #state: SplitState
  #ids: FileHandle | undefined
  #ends: FileHandle | undefined

  private constructor(options: SplitWriterOptions) {
    this.#options = options
    this.#state = options.state
  }

  /** Opens a split at `state` and truncates what was written after it. */
  static async open(options: SplitWriterOptions): Promise<SplitWriter> {
    const writer = new SplitWriter(options)
    if (writer.#state.documents > 0) {
      const [ids, ends] = writer.#paths()
      await truncate(ids, writer.#state.tokens * idBytes(options.dtype))
      await truncate(ends, writer.#state.documents * 4)
      writer.#ids = await open(ids, 'r+')
      writer.#ends = await open(ends, 'r+')
    }
    return writer
  }

  /** Appends concatenated documents; document `i` ends at `ends[i]`. A document longer than a shard is split. */
  async append(ids: IdArray, ends: ArrayLike<number>, textBytes: number): Promise<void> {
    const { maxTokens } = this.#options
    let from = 0
    let document = 0
    let start = 0
    let batch: number[] = []
    const flush = async (to: number) => {
      if (batch.length > 0) await this.#write(ids.subarray(from, to), batch)
      from = to
      batch = []
    }
    for (; document < ends.length; document++) {
      while (start < ends[document]) {
        const length = Math.min(maxTokens, ends[document] - start)
        if (this.#state.tokens + (start - from) + length > maxTokens) {
          await flush(start)
          await this.#finishShard()
        }
        start += length
        batch.push(this.#state.tokens + start - from)
      }
    }
    await flush(start)
    this.#state.bytes += textBytes
  }

  /** Flushes everything appended so far to disk; returns the state. */
  async sync(): Promise<SplitState> {
    await this.#ids?.sync()
    await this.#ends?.sync()
    return structuredClone(this.#state)
  }

  /** Completes the last shard; returns the state. */
  async finish(): Promise<SplitState> {
    await this.#finishShard()
    return structuredClone(this.#state)
  }

  /** Closes the open files. */
  async close(): Promise<void> {
    await this.#ids?.close()
    await this.#ends?.close()
    this.#ids = undefined
    this.#ends = undefined
  }

  #paths(): [ids: string, ends: string] {
    const name = `${this.#options.split}-${String(this.#state.finished.length).padStart(5, '0')}`
    return [join(this.#options.folder, `${name}.ids`), join(this.#options.folder, `${name}.ends`)]
  }

  async #write(ids: IdArray, ends: number[]): Promise<void> {
    if (this.#ids === undefined || this.#ends === undefined) {
      const [idsPath, endsPath] = this.#paths()
      this.#ids = await open(idsPath, 'w')
      this.#ends = await open(endsPath, 'w')
    }
    const little = littleEndian(ids)
    await writeAll(this.#ids, little, this.#state.tokens * ids.BYTES_PER_ELEMENT)
    await writeAll(this.#ends, littleEndian(Uint32Array.from(ends)), this.#state.documents * 4)
    this.#state.tokens += ids.length
    this.#state.documents += ends.length
  }

  async #finishShard(): Promise<void> {
    const { tokens, documents } = this.#state
    if (documents === 0) return
    invariant(this.#ids !== undefined && this.#ends !== undefined, 'A shard with documents has no open file.')
    await this.sync()
    await this.close()
    const [ids, ends] = this.#paths()
    const describe = async (path: string, bytes: number) => ({
      path: basename(path),
      bytes,
      sha256: await sha256File(path),
    })
    this.#state.finished.push({
      tokens,
      documents,
      ids: await describe(ids, tokens * idBytes(this.#options.dtype)),
      ends: await describe(ends, documents * 4),
    })
    this.#state.tokens = 0
    this.#state.documents = 0
  }
}

const writeAll = async (file: FileHandle, data: IdArray, position: number): Promise<void> => {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}

const BATCH_TOKENS = 1 << 20

/**
 * Rewrites the finished training shards without the documents `moved`, and writes those as the validation split, which is empty: small corpora,
 * where no document falls below the validation share, still get one validation document.
 */
export const moveToValidation = async ({
  folder,
  dtype,
  maxTokens,
  train,
  moved,
}: {
  folder: string
  dtype: ShardManifest['dtype']
  maxTokens: number
  train: SplitState
  moved: NearestDocuments['documents']
}): Promise<Record<SplitName, SplitState>> => {
  const shards = []
  for (const { ids, ends, ...counts } of train.finished) {
    const [movingIds, movingEnds] = [ids, ends].map((file) => ({ ...file, path: file.path.replace('train', 'moving') }))
    await rename(join(folder, ids.path), join(folder, movingIds.path))
    await rename(join(folder, ends.path), join(folder, movingEnds.path))
    shards.push({ ids: movingIds, ends: movingEnds, ...counts })
  }
  const source = openShards(folder, dtype, shards)
  const open = (split: SplitName) => SplitWriter.open({ folder, split, dtype, maxTokens, state: emptySplit() })
  const writers = { train: await open('train'), validation: await open('validation') }
  const movedBytes = moved.reduce((sum, { bytes }) => sum + bytes, 0)
  const splitOf = (document: number): SplitName => {
    const position = source.documentStart(document)
    const isMoved = moved.some(({ start, length }) => position >= start && position < start + length)
    return isMoved ? 'validation' : 'train'
  }
  try {
    for (let document = 0; document < source.documents; ) {
      const split = splitOf(document)
      const start = source.documentStart(document)
      const ends: number[] = []
      do ends.push(source.documentEnd(document++) - start)
      while (document < source.documents && ends[ends.length - 1] < BATCH_TOKENS && splitOf(document) === split)
      await writers[split].append(source.readTokens(start, ends[ends.length - 1]), ends, 0)
    }
    const splits = { train: await writers.train.finish(), validation: await writers.validation.finish() }
    splits.train.bytes = train.bytes - movedBytes
    splits.validation.bytes = movedBytes
    return splits
  } finally {
    source.close()
    await writers.train.close()
    await writers.validation.close()
    for (const { ids, ends } of shards)
      for (const { path } of [ids, ends]) await rm(join(folder, path), { force: true })
  }
}
