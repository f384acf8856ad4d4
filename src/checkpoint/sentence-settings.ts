// Settings of sentence-transformers beside a model: pooling, normalisation, maximum length.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CheckpointError, exists } from '../core/index.ts'
import type { HeadOptions } from '../models/index.ts'
import { readJsonFile } from './weights.ts'

type Pooling = NonNullable<HeadOptions['pooling']>
/** Newer files name the pooling; older ones have a flag for each kind. */
const poolings: Record<string, Pooling> = { cls: 'first', mean: 'mean', lasttoken: 'last' }
const flags: Record<string, Pooling> = {
  pooling_mode_cls_token: 'first',
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_lasttoken: 'last',
}

/** Class names of the modules. */
const stepsOf = async (folder: string): Promise<string[]> => {
  const path = join(folder, 'modules.json')
  if (!(await exists(path))) return []
  let parsed: unknown
  try {
    parsed = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw new CheckpointError(`${path}: Expected JSON, got something else (${(error as Error).message}).`)
  }
  const types = Array.isArray(parsed) ? parsed.map((step) => (step as { type?: unknown } | null)?.type) : []
  return types.filter((type) => typeof type === 'string').map((type) => type.slice(type.lastIndexOf('.') + 1))
}

/**
 * Head options from the files; none if the folder is not of sentence-transformers.
 * @throws CheckpointError for modules that are not supported
 */
export const sentenceOptions = async (folder: string | undefined): Promise<Partial<HeadOptions>> => {
  if (folder === undefined) return {}
  const path = join(folder, '1_Pooling', 'config.json')
  if (!(await exists(path))) return {}
  const fields = await readJsonFile(path)
  const named = typeof fields.pooling_mode === 'string' ? [fields.pooling_mode] : []
  const chosen = [
    ...named.map((way) => (Object.hasOwn(poolings, way) ? poolings[way] : undefined)),
    ...Object.entries(fields)
      .filter(([flag, on]) => flag.startsWith('pooling_mode_') && on === true)
      .map(([flag]) => (Object.hasOwn(flags, flag) ? flags[flag] : undefined)),
  ]
  const [pooling] = chosen
  const steps = await stepsOf(folder)
  const strange = steps.find((step) => !['Transformer', 'Pooling', 'Normalize'].includes(step))
  if (pooling === undefined || chosen.length > 1 || strange !== undefined)
    throw new CheckpointError(
      `${path}: Expected pooling by the first, the last or the mean token, and at most a normalisation after it, got ${strange ?? 'something else'}. Choose another head or model.`,
    )
  const lengths = join(folder, 'sentence_bert_config.json')
  const { max_seq_length: longest } = (await exists(lengths)) ? await readJsonFile(lengths) : {}
  return {
    pooling,
    normalize: steps.includes('Normalize'),
    ...(Number.isInteger(longest) && (longest as number) > 0 ? { maxTokens: longest as number } : {}),
  }
}
