// Settings of sentence-transformers beside a model, read and written: pooling, normalisation, maximum length. Settings that change vectors
// and are not followed here are refused.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CheckpointError, exists } from '../core/index.ts'
import { EmbeddingHead, type HeadOptions, type Model } from '../models/index.ts'
import { loadTokenizer } from '../tokenizers/index.ts'
import { readJsonFile } from './weights.ts'

type Pooling = NonNullable<HeadOptions['pooling']>
/** Newer files name the pooling; older ones have a flag for each kind. */
const poolings: Record<string, Pooling> = { cls: 'first', mean: 'mean', lasttoken: 'last' }
const flags: Record<string, Pooling> = {
  pooling_mode_cls_token: 'first',
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_lasttoken: 'last',
}

/** A module: its class without the package, and its folder. */
interface Step {
  type: string
  path: string
}

/** The modules in order; none without modules.json. */
const stepsOf = async (folder: string): Promise<Step[]> => {
  const path = join(folder, 'modules.json')
  if (!(await exists(path))) return []
  let parsed: unknown
  try {
    parsed = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw new CheckpointError(`${path}: Expected JSON, got something else (${(error as Error).message}).`)
  }
  const given = (Array.isArray(parsed) ? parsed : []) as ({ type?: unknown; path?: unknown } | null)[]
  return given.flatMap((step) =>
    typeof step?.type !== 'string'
      ? []
      : [{ type: step.type.slice(step.type.lastIndexOf('.') + 1), path: String(step.path ?? '') }],
  )
}

const readSettings = async (folder: string, name: string): Promise<Record<string, unknown>> => {
  const path = join(folder, name)
  return (await exists(path)) ? readJsonFile(path) : {}
}

/** @throws CheckpointError where the library would write another text to the model than it is given */
const expectPlainTexts = async (folder: string, lowers: unknown): Promise<void> => {
  const name = 'config_sentence_transformers.json'
  const { default_prompt_name: prompt, prompts } = await readSettings(folder, name)
  const text = typeof prompt === 'string' ? (prompts as Record<string, unknown> | null)?.[prompt] : undefined
  if (text !== undefined && text !== '')
    throw new CheckpointError(
      `${join(folder, name)}: Expected no \`default_prompt_name\`, got "${prompt}", which is not put before texts here. Set it to null, and begin each text with ${JSON.stringify(text)}.`,
    )
  if (lowers !== true) return
  const tokenizer = await loadTokenizer(folder)
  const [capital, small] = ['ÀBC', 'àbc'].map((letters) => tokenizer.encode(letters).ids.join())
  if (capital !== small)
    throw new CheckpointError(
      `${join(folder, lengthsFile)}: Expected \`do_lower_case\` false for a tokenizer that tells capitals from small letters, got true, which is not followed here. Set it to false, and write texts in small letters.`,
    )
}

const lengthsFile = 'sentence_bert_config.json'

/**
 * Head options from the files; none if the folder is not of sentence-transformers.
 * @throws CheckpointError for modules and settings that are not supported
 */
export const sentenceOptions = async (folder: string | undefined): Promise<Partial<HeadOptions>> => {
  if (folder === undefined) return {}
  const steps = await stepsOf(folder)
  const place = steps.find(({ type }) => type === 'Pooling')?.path || '1_Pooling'
  const path = join(folder, place, 'config.json')
  if (!(await exists(path))) {
    if (!steps.some(({ type }) => type === 'Pooling')) return {}
    throw new CheckpointError(`${path}: Expected the settings of the pooling that modules.json names, got no file.`)
  }
  const fields = await readJsonFile(path)
  const named = typeof fields.pooling_mode === 'string' ? [fields.pooling_mode] : []
  const chosen = [
    ...named.map((way) => (Object.hasOwn(poolings, way) ? poolings[way] : undefined)),
    ...Object.entries(fields)
      .filter(([flag, on]) => flag.startsWith('pooling_mode_') && on === true)
      .map(([flag]) => (Object.hasOwn(flags, flag) ? flags[flag] : undefined)),
  ]
  const [pooling] = chosen
  const strange = steps.find(({ type }) => !['Transformer', 'Pooling', 'Normalize'].includes(type))?.type
  if (pooling === undefined || chosen.length > 1 || strange !== undefined)
    throw new CheckpointError(
      `${path}: Expected pooling by the first, the last or the mean token, and at most a normalisation after it, got ${strange ?? 'something else'}. Choose another head or model.`,
    )
  const { max_seq_length: longest, do_lower_case: lowers } = await readSettings(folder, lengthsFile)
  await expectPlainTexts(folder, lowers)
  return {
    pooling,
    normalize: steps.some(({ type }) => type === 'Normalize'),
    ...(Number.isInteger(longest) && (longest as number) > 0 ? { maxTokens: longest as number } : {}),
  }
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

/**
 * Writes what sentence-transformers needs beside a model whose head gives a vector for each text, so that it computes the same vectors;
 * nothing for another head. Its own settings in the folder, such as prompts, stay.
 * @param maxTokens maximum tokens of a text (default: as the model was loaded, else that of the tokenizer)
 */
export const writeSentenceSettings = async (
  folder: string,
  { head, headOptions, facts }: Pick<Model, 'head' | 'headOptions' | 'facts'>,
  maxTokens = headOptions.maxTokens,
): Promise<void> => {
  if (!(head instanceof EmbeddingHead)) return
  const { pooling, normalize } = head.settings
  const types = ['Transformer', 'Pooling', ...(normalize ? ['Normalize'] : [])]
  const steps = types.map((type, idx) => ({
    idx,
    name: String(idx),
    path: idx === 0 ? '' : `${idx}_${type}`,
    type: `sentence_transformers.models.${type}`,
  }))
  await writeFile(join(folder, 'modules.json'), json(steps))
  for (const { path } of steps.slice(1)) await mkdir(join(folder, path), { recursive: true })
  const chosen = Object.entries(flags).map(([flag, kind]) => [flag, kind === pooling])
  await writeFile(
    join(folder, '1_Pooling', 'config.json'),
    json({ word_embedding_dimension: facts.hiddenSize, ...Object.fromEntries(chosen), include_prompt: true }),
  )
  if (maxTokens !== undefined) {
    const before = await readSettings(folder, lengthsFile)
    await writeFile(join(folder, lengthsFile), json({ do_lower_case: false, ...before, max_seq_length: maxTokens }))
  }
}
