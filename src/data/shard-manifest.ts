// The description of a folder of token shards, manifest.json: what the files hold and how to prove it. It opens no shard.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { ConfigError, DataError, parseConfig } from '../core/index.ts'

const count = z.number().int().nonnegative()
const hash = z.string().regex(/^[0-9a-f]{64}$/)
/** Names stay inside the folder. */
const fileName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/)

const shardFileSchema = z.strictObject({
  path: fileName.describe('file beside the manifest'),
  bytes: count,
  sha256: hash,
})

const shardSchema = z.strictObject({
  tokens: count,
  documents: count,
  ids: shardFileSchema.describe('token ids, one after another, little-endian'),
  ends: shardFileSchema.describe(
    'where each document ends, in tokens from the start of the shard, uint32 little-endian',
  ),
})

const splitSchema = z.strictObject({
  tokens: count,
  documents: count,
  bytes: count.describe('UTF-8 bytes of the text'),
  shards: z.array(shardSchema),
})

export const shardManifestSchema = z.strictObject({
  format: z.literal('tunesmith-shards'),
  version: z.literal(1),
  dtype: z.enum(['uint16', 'uint32']),
  tokenizer: z.strictObject({
    sha256: hash.describe('of tokenizer.json'),
    vocabSize: count,
    maxId: count,
  }),
  beginId: count.nullable().describe('put before every document'),
  endId: count.nullable().describe('put after every document'),
  validation: z.strictObject({ share: z.number().min(0).max(1), seed: z.string() }),
  source: z.string().describe('what the documents came from'),
  splits: z.strictObject({ train: splitSchema, validation: splitSchema }),
})

export type ShardManifest = z.output<typeof shardManifestSchema>
export type ShardDescription = z.output<typeof shardSchema>
export type SplitName = keyof ShardManifest['splits']
export type IdArray = Uint16Array | Uint32Array

export const MANIFEST = 'manifest.json'

/** Bytes of one token id. */
export const idBytes = (dtype: ShardManifest['dtype']): number => (dtype === 'uint16' ? 2 : 4)

/** Reads and checks the manifest of a folder; throws a DataError when there is none or it contradicts itself. */
export const readShardManifest = async (folder: string): Promise<ShardManifest> => {
  const path = join(folder, MANIFEST)
  let value: unknown
  try {
    value = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new DataError(
        'Expected a folder of finished shards, got no manifest.json. Run `tokenizer encode` first.',
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
      throw new DataError(`Expected counts that add up for the split ${name}, got others. Encode again.`, path)
    }
  }
  return manifest
}
