// Turns documents into a folder of token shards: encodes them on several threads, appends them in order, and goes on where
// it stopped when it is started again. The bytes depend on the documents and options only. It knows no corpus.
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { ConfigError, DataError, exists, parseConfig, runPool, sha256, writeFileAtomic } from '../core/index.ts'
import { loadTokenizer, type Tokenizer } from '../tokenizers/index.ts'
import { createEncoder, type EncodedBatch, type EncodeSettings } from './encode-task.ts'
import { MANIFEST, readShardManifest, type ShardManifest, type SplitName } from './shard-manifest.ts'
import { emptySplit, type SplitState, SplitWriter } from './shard-writer.ts'

export const encodeShardsSchema = z.strictObject({
  validation: z
    .number()
    .min(0)
    .max(0.5)
    .default(0.01)
    .describe('share of the documents set aside, by the hash of their text'),
  seed: z.string().default('tunesmith').describe('another seed sets other documents aside'),
  begin: z.string().optional().describe('special token put before every document; none unless named'),
  end: z
    .string()
    .optional()
    .describe("special token put after every document; the tokenizer's eos unless named, '' for none"),
  shardTokens: z
    .number()
    .int()
    .min(1)
    .max(2 ** 31)
    .default(64 << 20)
    .describe('most tokens in one file; a longer document is cut'),
})

export type EncodeShardsInput = z.input<typeof encodeShardsSchema>

export interface EncodeShardsSettings {
  /** Threads; the default is the number of cores. */
  workers?: number
  /** What the documents are, for the manifest, and to notice that they changed between two starts. */
  source?: string
  signal?: AbortSignal
  onProgress?: (done: { documents: number; bytes: number; tokens: number }) => void
  /** A state is recorded after this many bytes of text. */
  recordEveryBytes?: number
  /** Text handed to a thread at a time. */
  batchCharacters?: number
}

const PROGRESS = 'progress.json'
const BATCH_DOCUMENTS = 4096

interface EncodingProgress {
  fingerprint: string
  documents: number
  bytes: number
  /** Over the texts of all documents so far. */
  textHash: string
  splits: Record<SplitName, SplitState>
}

/** Encodes `documents` with the tokenizer in `tokenizerPath` into shards in `folder`, and returns their manifest. */
export const encodeShards = async (
  documents: AsyncIterable<string> | Iterable<string>,
  tokenizerPath: string,
  folder: string,
  input: EncodeShardsInput = {},
  settings: EncodeShardsSettings = {},
): Promise<ShardManifest> => {
  const options = parseConfig(encodeShardsSchema, input, 'encode')
  const { workers = availableParallelism(), source = '', signal, onProgress, recordEveryBytes = 64 << 20 } = settings
  const { batchCharacters = 1 << 20 } = settings
  const tokenizer = await loadTokenizer(tokenizerPath)
  const head = describe(tokenizer, await tokenizerHash(tokenizerPath, tokenizer), options, source)
  const fingerprint = sha256(JSON.stringify([head, options]))
  const finished = await finishedBefore(folder, head)
  if (finished !== undefined) return finished
  await mkdir(folder, { recursive: true })
  const progress = (await readProgress(folder, fingerprint)) ?? (await startAnew(folder, fingerprint))
  const dtype = head.dtype
  const openSplit = (split: SplitName) =>
    SplitWriter.open({ folder, split, dtype, maxTokens: options.shardTokens, state: progress.splits[split] })
  const writers = { train: await openSplit('train'), validation: await openSplit('validation') }
  const encodeSettings: EncodeSettings = {
    tokenizer: tokenizerPath,
    dtype,
    beginId: head.beginId,
    endId: head.endId,
    validation: head.validation,
  }
  try {
    const reader = new BatchReader(documents, progress, batchCharacters)
    const results = encodeBatches(reader.batches(), encodeSettings, workers, signal)
    let recorded = progress.bytes
    let tokens = sumTokens(progress.splits)
    for await (const batch of results) {
      signal?.throwIfAborted()
      for (const split of ['train', 'validation'] as const) {
        const { ids, ends, bytes } = batch[split]
        // Counted first: writing turns the ids into the byte order of the file.
        tokens += ids.length
        await writers[split].append(ids, ends, bytes)
      }
      const done = reader.done()
      onProgress?.({ documents: done.documents, bytes: done.bytes, tokens })
      if (done.bytes - recorded >= recordEveryBytes) {
        const splits = { train: await writers.train.sync(), validation: await writers.validation.sync() }
        await writeFileAtomic(
          join(folder, PROGRESS),
          JSON.stringify({ fingerprint, ...done, splits } satisfies EncodingProgress),
        )
        recorded = done.bytes
      }
    }
    const splits = { train: await writers.train.finish(), validation: await writers.validation.finish() }
    const manifest: ShardManifest = {
      ...head,
      splits: { train: summary(splits.train), validation: summary(splits.validation) },
    }
    await writeFileAtomic(join(folder, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`)
    await rm(join(folder, PROGRESS), { force: true })
    return manifest
  } finally {
    await writers.train.close()
    await writers.validation.close()
  }
}

type Head = Omit<ShardManifest, 'splits'>

const describe = (
  tokenizer: Tokenizer,
  sha256: string,
  options: z.output<typeof encodeShardsSchema>,
  source: string,
): Head => {
  const idOf = (token: string | undefined, name: string): number | null => {
    if (token === undefined || token === '') return null
    const id = tokenizer.tokenToId(token)
    if (id === undefined) {
      throw new ConfigError(
        `Expected a token of the tokenizer for \`encode.${name}\`, got ${JSON.stringify(token)}. Name one that it has.`,
      )
    }
    return id
  }
  return {
    format: 'tunesmith-shards',
    version: 1,
    dtype: tokenizer.maxId <= 0xffff ? 'uint16' : 'uint32',
    tokenizer: { sha256, vocabSize: tokenizer.vocabSize, maxId: tokenizer.maxId },
    beginId: idOf(options.begin, 'begin'),
    endId: idOf(options.end ?? tokenizer.special.eos?.token, 'end'),
    validation: { share: options.validation, seed: options.seed },
    source,
  }
}

/** SHA-256 of tokenizer.json; of an older format, of the tokenizer.json that it comes to. */
const tokenizerHash = async (path: string, tokenizer: Tokenizer): Promise<string> => {
  for (const file of [path, join(path, 'tokenizer.json')]) {
    if (!file.endsWith('.json')) continue
    const content = await readFile(file).catch(() => undefined)
    if (content !== undefined) return sha256(content)
  }
  return sha256(JSON.stringify(tokenizer.toJson()))
}

const finishedBefore = async (folder: string, head: Head): Promise<ShardManifest | undefined> => {
  if (!(await exists(join(folder, MANIFEST)))) return undefined
  const { splits, ...old } = await readShardManifest(folder)
  if (JSON.stringify(old) === JSON.stringify(head)) return { ...old, splits }
  throw new ConfigError(
    `Expected an empty folder for \`out\`, got ${folder} with other shards. Name another, or remove it.`,
  )
}

const readProgress = async (folder: string, fingerprint: string): Promise<EncodingProgress | undefined> => {
  try {
    const progress = JSON.parse(await readFile(join(folder, PROGRESS), 'utf8')) as EncodingProgress
    if (progress.fingerprint !== fingerprint) return undefined
    for (const { finished } of Object.values(progress.splits)) {
      for (const file of finished.flatMap(({ ids, ends }) => [ids, ends])) {
        if ((await stat(join(folder, file.path))).size !== file.bytes) return undefined
      }
    }
    return progress
  } catch {
    // None, or not readable: everything is encoded from the start.
    return undefined
  }
}

const startAnew = async (folder: string, fingerprint: string): Promise<EncodingProgress> => {
  const names = await readdir(folder)
  const foreign = names.filter(
    (name) => !/^(train|validation)-\d{5}\.(ids|ends)$|^progress\.json$|^\..*\.tmp$/.test(name),
  )
  if (foreign.length > 0) {
    throw new ConfigError(
      `Expected an empty folder for \`out\`, got ${folder} with ${foreign.slice(0, 3).join(', ')}. Name another.`,
    )
  }
  for (const name of names) await rm(join(folder, name))
  return {
    fingerprint,
    documents: 0,
    bytes: 0,
    textHash: sha256(''),
    splits: { train: emptySplit(), validation: emptySplit() },
  }
}

/** Cuts the documents into batches in a way that depends on them alone, and knows what has been encoded so far. */
class BatchReader {
  readonly #marks: { documents: number; bytes: number; textHash: string }[] = []
  readonly #documents: AsyncIterable<string> | Iterable<string>
  readonly #start: EncodingProgress
  readonly #batchCharacters: number

  constructor(documents: AsyncIterable<string> | Iterable<string>, start: EncodingProgress, batchCharacters: number) {
    this.#documents = documents
    this.#start = start
    this.#batchCharacters = batchCharacters
  }

  /** Where the oldest batch that was not asked about ends. */
  done(): { documents: number; bytes: number; textHash: string } {
    return this.#marks.shift() ?? this.#start
  }

  async *batches(): AsyncGenerator<string[]> {
    let seen = 0
    let bytes = 0
    let textHash = sha256('')
    let batch: string[] = []
    let characters = 0
    for await (const document of this.#documents) {
      const skipping = seen < this.#start.documents
      seen++
      bytes += Buffer.byteLength(document)
      textHash = createHash('sha256').update(textHash).update(document).digest('hex')
      if (skipping) {
        if (seen === this.#start.documents) this.#checkSame(textHash)
        continue
      }
      batch.push(document)
      characters += document.length
      if (characters >= this.#batchCharacters || batch.length >= BATCH_DOCUMENTS) {
        this.#marks.push({ documents: seen, bytes, textHash })
        yield batch
        batch = []
        characters = 0
      }
    }
    if (seen < this.#start.documents) this.#checkSame('')
    if (batch.length === 0) return
    this.#marks.push({ documents: seen, bytes, textHash })
    yield batch
  }

  #checkSame(textHash: string): void {
    if (textHash === this.#start.textHash) return
    throw new DataError(
      'Expected the documents that the earlier start had read, got others. Remove the folder of the shards and start again.',
    )
  }
}

async function* encodeBatches(
  batches: AsyncIterable<string[]>,
  settings: EncodeSettings,
  workers: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<EncodedBatch> {
  if (workers > 1) {
    const url = new URL('./encode-worker.ts', import.meta.url)
    yield* runPool<string[], EncodedBatch>({ url, size: workers, tasks: batches, signal, workerData: settings })
    return
  }
  const encode = await createEncoder(settings)
  for await (const batch of batches) yield encode(batch)
}

const sumTokens = (splits: EncodingProgress['splits']): number =>
  Object.values(splits).reduce(
    (sum, { finished, tokens }) => sum + tokens + finished.reduce((total, shard) => total + shard.tokens, 0),
    0,
  )

const summary = ({ finished, bytes }: SplitState): ShardManifest['splits']['train'] => ({
  tokens: finished.reduce((sum, { tokens }) => sum + tokens, 0),
  documents: finished.reduce((sum, { documents }) => sum + documents, 0),
  bytes,
  shards: finished,
})
