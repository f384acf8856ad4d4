// Appends documents of token ids to the shards of one split, and can go on from a recorded state to the byte. It knows no
// tokenizer, and not when a state is worth recording.
import { type FileHandle, open, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { invariant, sha256File } from '../core/index.ts'
import { type IdArray, idBytes, type ShardDescription, type ShardManifest, type SplitName } from './shard-manifest.ts'
import { littleEndian } from './token-source.ts'

/** Everything that is needed to go on: JSON. */
export interface SplitState {
  finished: ShardDescription[]
  /** The open shard. */
  tokens: number
  documents: number
  /** UTF-8 bytes of text in the whole split. */
  bytes: number
}

export const emptySplit = (): SplitState => ({ finished: [], tokens: 0, documents: 0, bytes: 0 })

export interface SplitWriterOptions {
  folder: string
  split: SplitName
  dtype: ShardManifest['dtype']
  maxTokens: number
  state: SplitState
}

/** Writes one split. Call `sync` before a state is recorded. */
export class SplitWriter {
  readonly #options: SplitWriterOptions
  readonly #state: SplitState
  #ids: FileHandle | undefined
  #ends: FileHandle | undefined

  private constructor(options: SplitWriterOptions) {
    this.#options = options
    this.#state = options.state
  }

  /** Opens the split where `state` says, and cuts off what was written after it. */
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

  /** Appends documents: `ids` one after another, document `i` up to `ends[i]`. One longer than a shard becomes several. */
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

  /** Makes everything appended so far durable. */
  async sync(): Promise<SplitState> {
    await this.#ids?.sync()
    await this.#ends?.sync()
    return structuredClone(this.#state)
  }

  /** Closes the last shard. */
  async finish(): Promise<SplitState> {
    await this.#finishShard()
    return structuredClone(this.#state)
  }

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
    invariant(this.#ids !== undefined && this.#ends !== undefined, 'a shard with documents has no open file.')
    await this.sync()
    await this.close()
    const [ids, ends] = this.#paths()
    const describe = async (path: string, bytes: number) => ({
      path: path.slice(this.#options.folder.length + 1),
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
