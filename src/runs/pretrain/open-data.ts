// Opens the token shards of a pretraining run: one sampler over all folders, for training or validation.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError, sha256File } from '../../core/index.ts'
import {
  mixture,
  type OpenTokensOptions,
  openTokens,
  packedRows,
  readShardManifest,
  type Sampler,
  type SplitName,
  type TokenSource,
} from '../../data/index.ts'
import type { Objective } from '../../objectives/index.ts'
import type { PretrainRecipe } from './recipe.ts'

/** A mixture has no end; its validation rows are bounded by this. */
const maxValidationRows = 4096

export interface OpenedData {
  /** Undefined if no folder has a whole row. */
  sampler: Sampler | undefined
  sources: TokenSource[]
  close(): void
}

/** @throws ConfigError for folders without enough training text, or weights that do not match the folders */
export const openData = async (
  { data, dataWeights, seed }: PretrainRecipe,
  split: SplitName,
  { rows: { length, overlap } }: Objective,
  options: OpenTokensOptions = {},
): Promise<OpenedData> => {
  if (dataWeights !== undefined && dataWeights.length !== data.length)
    throw new ConfigError(
      `Expected a weight for each of ${data.length} folders for \`dataWeights\`, got ${dataWeights.length}.`,
    )
  const sources: TokenSource[] = []
  const samplers: Sampler[] = []
  for (const folder of data) {
    const source = await openTokens(folder, split, options)
    sources.push(source)
    if (source.tokens >= length)
      samplers.push(packedRows(source, { seed, length, overlap, shuffle: split === 'train' ? 'rows' : 'none' }))
    else if (split === 'train')
      throw new ConfigError(
        `Expected at least ${length} tokens in ${folder}, got ${source.tokens}. Encode more text, or lower maxLength.`,
      )
  }
  const close = () => {
    for (const source of sources) source.close()
  }
  if (samplers.length < 2) return { sampler: samplers[0], sources, close }
  const rows = samplers.reduce((sum, one) => sum + one.rowsPerEpoch, 0)
  const sampler = mixture(
    samplers.map((one, i) => ({ sampler: one, weight: dataWeights?.[i] ?? one.rowsPerEpoch })),
    { seed, ...(split === 'validation' ? { rows: Math.min(maxValidationRows, rows) } : {}) },
  )
  return { sampler, sources, close }
}

/** SHA-256 of tokenizer and shards. @throws ConfigError for shards of another tokenizer */
export const checkTokenizer = async ({ tokenizer, data }: PretrainRecipe): Promise<Record<string, string>> => {
  const isFolder = (await stat(tokenizer).catch(() => undefined))?.isDirectory() ?? false
  const file = isFolder ? join(tokenizer, 'tokenizer.json') : tokenizer
  const own = await sha256File(file).catch(() => undefined)
  const hashes: Record<string, string> = own === undefined ? {} : { tokenizer: own }
  for (const folder of data) {
    const manifest = await readShardManifest(folder)
    if (own !== undefined && manifest.tokenizer.sha256 !== own)
      throw new ConfigError(
        `Expected shards of the tokenizer ${tokenizer} in ${folder}, got those of another one. Encode the corpus with this tokenizer.`,
      )
    hashes[folder] = await sha256File(join(folder, 'manifest.json'))
  }
  return hashes
}
