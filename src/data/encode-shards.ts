// Encodes documents into a folder of token shards, on several threads and in order, and resumes after an interruption.
// The bytes depend on the documents and options only. Independent of corpus formats.
import { createHash } from 'node:crypto'
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import {
  ConfigError,
  DataError,
  exists,
  makeFolder,
  parseConfig,
  runPool,
  sha256,
  writeFileAtomic,
} from '../core/index.ts'
import { loadTokenizer, type Tokenizer } from '../tokenizers/index.ts'
import {
  createEncoder,
  type EncodedBatch,
  type EncodeTaskSettings,
  type NearestDocuments,
  nearestOf,
} from './encode-task.ts'
import { MANIFEST, readShardManifest, type ShardManifest, type SplitName } from './shard-manifest.ts'
import { emptySplit, moveToValidation, type SplitState, SplitWriter } from './shard-writer.ts'

/** Schema of the options of `encodeShards` and `tunesmith tokenizer encode`. */
export const encodeShardsSchema = z.strictObject({
  validation: z
    .number()
    .min(0)
    .max(0.5)
    .default(0.01)
    .describe('share of validation documents, chosen by a hash of their text; at least one unless 0'),
  seed: z.string().default('tunesmith').describe('seed of the choice of validation documents'),
  begin: z.string().optional().describe('special token before every document (default: none)'),
  end: z
    .string()
    .optional()
    .describe("special token after every document, '' for none (default: the tokenizer's end token)"),
  shardTokens: z
    .number()
    .int()
    .min(1)
    .max(2 ** 31)
    .default(64 << 20)
    .describe('maximum number of tokens per file; a longer document is split'),
})

/** Options of `encodeShards`. */
export type EncodeShardsInput = z.input<typeof encodeShardsSchema>

/** Settings of `encodeShards` that do not change the shards, and the name of the source. */
export interface EncodeShardsSettings {
  /** Number of threads (default: number of cores). */
  workers?: number
  /** Source of the documents, recorded in the manifest and compared when resuming. */
  source?: string
  signal?: AbortSignal | undefined
  onProgress?: (done: { documents: number; bytes: number; tokens: number }) => void
  /** Record the progress after this many bytes of text (default: 64 MiB). */
  recordEveryBytes?: number
  /** Size of a thread's batch in characters (default: 1 MiB). */
  batchCharacters?: number
}

const PROGRESS = 'progress.json'
const BATCH_DOCUMENTS = 4096

interface EncodingProgress {
  fingerprint: string
  documents: number
  bytes: number
  /** Chained SHA-256 of all texts so far. */
  textHash: string
  splits: Record<SplitName, SplitState>
  /** Candidates for the validation split while it is empty. */
  nearest?: NearestDocuments
}

/**
 * Encodes documents with the tokenizer at `tokenizerPath` into shards in `folder`; returns their manifest. Resumes an
 * interrupted encoding of the same documents, and returns at once if it is finished. Throws ConfigError if the folder
 * holds anything else. With a validation share above 0 and at least two distinct documents, no split is empty.
 */
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
  const header = describe(tokenizer, await tokenizerHash(tokenizerPath, tokenizer), options, source)
  const fingerprint = sha256(JSON.stringify([header, options]))
  const finished = await readFinished(folder, header)
  if (finished !== undefined) return finished
  await makeFolder(folder, 'out')
  const progress = (await readProgress(folder, fingerprint)) ?? (await startNew(folder, fingerprint))
  const dtype = header.dtype
  const openSplit = (split: SplitName) =>
    SplitWriter.open({ folder, split, dtype, maxTokens: options.shardTokens, state: progress.splits[split] })
  const writers = { train: await openSplit('train'), validation: await openSplit('validation') }
  const encodeSettings: EncodeTaskSettings = {
    tokenizer: tokenizerPath,
    dtype,
    beginId: header.beginId,
    endId: header.endId,
    validation: header.validation,
  }
  try {
    const reader = new BatchReader(documents, progress, batchCharacters)
    const results = encodeBatches(reader.batches(), encodeSettings, workers, signal)
    let recorded = progress.bytes
    const tokens = { train: countTokens(progress.splits.train), validation: countTokens(progress.splits.validation) }
    let nearest = progress.nearest
    for await (const batch of results) {
      signal?.throwIfAborted()
      nearest = nearestOf(nearest, shifted(batch.nearest, tokens.train))
      for (const split of ['train', 'validation'] as const) {
        const { ids, ends, bytes } = batch[split]
        tokens[split] += ids.length
        await writers[split].append(ids, ends, bytes)
      }
      if (tokens.validation > 0) nearest = undefined
      const done = reader.done()
      onProgress?.({ documents: done.documents, bytes: done.bytes, tokens: tokens.train + tokens.validation })
      if (done.bytes - recorded >= recordEveryBytes) {
        const splits = { train: await writers.train.sync(), validation: await writers.validation.sync() }
        await writeFileAtomic(
          join(folder, PROGRESS),
          JSON.stringify({ fingerprint, ...done, splits, nearest } satisfies EncodingProgress),
        )
        recorded = done.bytes
      }
    }
    let splits = { train: await writers.train.finish(), validation: await writers.validation.finish() }
    const moved = nearest?.documents ?? []
    const movedTokens = moved.reduce((sum, { length }) => sum + length, 0)
    if (tokens.validation === 0 && movedTokens > 0 && movedTokens < tokens.train) {
      // From here on the folder cannot be resumed: an interrupted move starts again from the first document.
      await rm(join(folder, PROGRESS), { force: true })
      splits = await moveToValidation({ folder, dtype, maxTokens: options.shardTokens, train: splits.train, moved })
    }
    const manifest: ShardManifest = {
      ...header,
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

type ManifestHeader = Omit<ShardManifest, 'splits'>

const describe = (
  tokenizer: Tokenizer,
  sha256: string,
  options: z.output<typeof encodeShardsSchema>,
  source: string,
): ManifestHeader => {
  const idOf = (token: string | undefined, name: string): number | null => {
    if (token === undefined || token === '') return null
    const id = tokenizer.tokenToId(token)
    if (id === undefined) {
      throw new ConfigError(
        `Expected a token of the tokenizer for \`encode.${name}\`, got ${JSON.stringify(token)}. Name one of its tokens.`,
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

/** SHA-256 of tokenizer.json; for an older format, of the equivalent tokenizer.json. */
const tokenizerHash = async (path: string, tokenizer: Tokenizer): Promise<string> => {
  for (const file of [path, join(path, 'tokenizer.json')]) {
    if (!file.endsWith('.json')) continue
    const content = await readFile(file).catch(() => undefined)
    if (content !== undefined) return sha256(content)
  }
  return sha256(JSON.stringify(tokenizer.toJson()))
}

const readFinished = async (folder: string, header: ManifestHeader): Promise<ShardManifest | undefined> => {
  if (!(await exists(join(folder, MANIFEST)))) return undefined
  const { splits, ...old } = await readShardManifest(folder)
  if (JSON.stringify(old) === JSON.stringify(header)) return { ...old, splits }
  throw new ConfigError(
    `Expected an empty folder for \`out\`, got ${folder} with shards of other documents or options. Name another folder, or remove it.`,
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
    // No readable progress: encode from the start.
    return undefined
  }
}

const startNew = async (folder: string, fingerprint: string): Promise<EncodingProgress> => {
  const names = await readdir(folder)
  const foreign = names.filter(
    (name) =>
      !/^(train|validation|moving)-\d{5}\.(ids|ends)$|^progress\.json$|^\.verified\.json$|^\..*\.tmp$/.test(name),
  )
  if (foreign.length > 0) {
    throw new ConfigError(
      `Expected an empty folder for \`out\`, got ${folder} with ${foreign.slice(0, 3).join(', ')}. Name another folder.`,
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

/** Groups documents into batches (a pure function of the documents), and tracks how far encoding has come. */
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

  /** The end of the oldest batch that has not been returned by `done` yet. */
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
      'Expected the documents of the interrupted encoding, got others. Remove the folder of the shards and start again.',
    )
  }
}

async function* encodeBatches(
  batches: AsyncIterable<string[]>,
  settings: EncodeTaskSettings,
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

const countTokens = ({ finished, tokens }: SplitState): number =>
  finished.reduce((sum, shard) => sum + shard.tokens, tokens)

/** The documents of a batch, as ranges of the whole training split. */
const shifted = (nearest: NearestDocuments | undefined, by: number): NearestDocuments | undefined =>
  nearest && {
    rank: nearest.rank,
    documents: nearest.documents.map((document) => ({ ...document, start: document.start + by })),
  }

const summary = ({ finished, bytes }: SplitState): ShardManifest['splits']['train'] => ({
  tokens: finished.reduce((sum, { tokens }) => sum + tokens, 0),
  documents: finished.reduce((sum, { documents }) => sum + documents, 0),
  bytes,
  shards: finished,
})
