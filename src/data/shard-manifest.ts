// The manifest of a folder of token shards (manifest.json): the content and the SHA-256 of each file, and checks of the files: of their size on
// every opening, of their SHA-256 once per change of a file.
import { closeSync, fstatSync, openSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { ConfigError, DataError, parseConfig, programCall, sha256File, writeFileAtomic } from '../core/index.ts'

const count = z.number().int().nonnegative()
const hash = z.string().regex(/^[0-9a-f]{64}$/)
// File names without separators, so that paths stay inside the folder.
const fileName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/)

const shardFileSchema = z.strictObject({
  path: fileName.describe('file name in the folder of the manifest'),
  bytes: count,
  sha256: hash,
})

const shardSchema = z.strictObject({
  tokens: count,
  documents: count,
  ids: shardFileSchema.describe('concatenated token ids, little-endian'),
  ends: shardFileSchema.describe('end of each document, in tokens from the start of the shard, uint32 little-endian'),
})

const splitSchema = z.strictObject({
  tokens: count,
  documents: count,
  bytes: count.describe('UTF-8 bytes of the text'),
  shards: z.array(shardSchema),
})

/** Schema of manifest.json. */
const shardManifestSchema = z.strictObject({
  format: z.literal('tunesmith-shards'),
  version: z.literal(1),
  dtype: z.enum(['uint16', 'uint32']),
  tokenizer: z.strictObject({
    sha256: hash.describe('SHA-256 of tokenizer.json'),
    vocabSize: count,
    maxId: count,
  }),
  beginId: count.nullable().describe('id of the token before every document'),
  endId: count.nullable().describe('id of the token after every document'),
  validation: z.strictObject({ share: z.number().min(0).max(1), seed: z.string() }),
  source: z.string().describe('source of the documents'),
  splits: z.strictObject({ train: splitSchema, validation: splitSchema }),
})

/** The content of manifest.json. */
export type ShardManifest = z.output<typeof shardManifestSchema>
/** One shard: a file of ids and a file of document ends. */
export type ShardDescription = z.output<typeof shardSchema>
/** Name of a split: `train` or `validation`. */
export type SplitName = keyof ShardManifest['splits']
/** An array of token ids. */
export type IdArray = Uint16Array | Uint32Array

/** File name of the manifest. */
export const MANIFEST = 'manifest.json'

/** A file of a shard with its size and SHA-256. */
export type ShardFile = z.output<typeof shardFileSchema>

/** All files of some shards. */
export const filesOf = (shards: readonly ShardDescription[]): ShardFile[] =>
  shards.flatMap(({ ids, ends }) => [ids, ends])

/** Bytes per token id. */
export const idBytes = (dtype: ShardManifest['dtype']): number => (dtype === 'uint16' ? 2 : 4)

/** Reads and checks the manifest of a folder. Throws DataError if it is missing or inconsistent. */
export const readShardManifest = async (folder: string): Promise<ShardManifest> => {
  const path = join(folder, MANIFEST)
  let value: unknown
  try {
    value = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new DataError(
        `Expected a folder of token shards, got one without manifest.json. Run \`${programCall('tokenizer encode')}\` first.`,
        folder,
      )
    }
    throw new DataError(`Expected JSON, got ${(error as Error).message}. Encode again.`, path)
  }
  let manifest: ShardManifest
  try {
    manifest = parseConfig(shardManifestSchema, value, MANIFEST)
  } catch (error) {
    if (error instanceof ConfigError) throw new DataError(error.message, path)
    throw error
  }
  const width = idBytes(manifest.dtype)
  for (const [name, split] of Object.entries(manifest.splits)) {
    const tokens = split.shards.reduce((sum, shard) => sum + shard.tokens, 0)
    const documents = split.shards.reduce((sum, shard) => sum + shard.documents, 0)
    const sizes = split.shards.every(
      (shard) => shard.ids.bytes === shard.tokens * width && shard.ends.bytes === shard.documents * 4,
    )
    if (tokens !== split.tokens || documents !== split.documents || !sizes) {
      throw new DataError(`Expected consistent counts for the split ${name}, got others. Encode again.`, path)
    }
  }
  return manifest
}

// Below this number of documents, the validation loss depends mostly on which documents were chosen.
const FEW_DOCUMENTS = 3

/** Warnings about a validation split that is empty or too small to measure training; none for a share of 0. */
export const splitWarnings = ({ validation, splits }: ShardManifest): string[] => {
  const { documents, tokens } = splits.validation
  if (validation.share === 0 || documents >= FEW_DOCUMENTS) return []
  if (documents === 0)
    return [
      'The validation split is empty, because there is only one distinct document: training will not be evaluated.',
    ]
  const count = documents === 1 ? '1 document' : `${documents} documents`
  const noisy = `The validation split has only ${count} (${tokens} tokens), so its loss is noisy`
  // A larger share of two books is one book all the same.
  if (documents + splits.train.documents < 10 * FEW_DOCUMENTS)
    return [
      `${noisy}: split the text into more documents, as \`corpus build --source books,document=chapter:FILE\` does, or raise \`--validation\`.`,
    ]
  return [`${noisy}: raise \`--validation\`.`]
}

// Records the verified state of each file, so that reopening large shards does not hash them again.
const VERIFIED = '.verified.json'

/** Opens a file of `bytes` bytes for reading; returns its descriptor. Throws DataError for another size. */
export const openChecked = (path: string, bytes: number): number => {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (error) {
    throw new DataError(`Expected a token shard, got ${(error as NodeJS.ErrnoException).code}. Encode again.`, path)
  }
  const { size } = fstatSync(file)
  if (size === bytes) return file
  closeSync(file)
  throw new DataError(`Expected ${bytes} bytes, got ${size}. The file is truncated or was changed: encode again.`, path)
}

/** Compares a file's size and SHA-256 with the manifest. Throws DataError. */
export const verifyFile = async (folder: string, file: ShardFile): Promise<void> => {
  const path = join(folder, file.path)
  closeSync(openChecked(path, file.bytes))
  const sha256 = await sha256File(path)
  if (sha256 !== file.sha256)
    throw new DataError(
      `Expected the SHA-256 ${file.sha256}, got ${sha256}. The file was changed after encoding: encode again.`,
      path,
    )
}

/** Verifies files, except those that have not changed since they were last verified. Throws DataError. */
export const verifyFiles = async (folder: string, files: readonly ShardFile[]): Promise<void> => {
  const verified = await readVerified(folder)
  let changed = false
  for (const file of files) {
    closeSync(openChecked(join(folder, file.path), file.bytes))
    const state = await stateOf(folder, file)
    if (verified[file.path] === state) continue
    await verifyFile(folder, file)
    verified[file.path] = state
    changed = true
  }
  // A folder without write permission is verified again at the next opening.
  if (changed) await writeFileAtomic(join(folder, VERIFIED), `${JSON.stringify(verified, null, 2)}\n`).catch(() => {})
}

/** Changes whenever the file's content or the manifest's hash may have changed. */
const stateOf = async (folder: string, { path, sha256 }: ShardFile): Promise<string> => {
  const { size, mtimeMs, ctimeMs } = await stat(join(folder, path))
  return [sha256, size, mtimeMs, ctimeMs].join(' ')
}

const readVerified = async (folder: string): Promise<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(await readFile(join(folder, VERIFIED), 'utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
  } catch {
    return {}
  }
}
