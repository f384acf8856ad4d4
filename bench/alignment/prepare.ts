// Writes what both sides of a job read: the base with its head, the adapter that they start from, and pairs or prompts as token ids, in the
// order in which they are learned.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { saveAdapter } from '../../src/adapters/index.ts'
import { promptOrder } from '../../src/alignment/rollouts/rollout.ts'
import { loadModelWithReport, loadTokenizer, saveModel } from '../../src/checkpoint/index.ts'
import { createRandom } from '../../src/core/index.ts'
import {
  type CompletionEncoder,
  createCompletionEncoder,
  type PromptText,
  preferenceSchema,
  readPreferences,
} from '../../src/tasks/index.ts'
import { bundledLines } from '../book-lines.ts'
import { prepareSmoke } from '../sft/prepare.ts'
import { type Job, startingAdapter } from './jobs.ts'

/** A prompt with two answers, of which the first is better. */
export interface PairRow {
  prompt: number[]
  chosen: number[]
  rejected: number[]
}
interface PromptRow {
  ids: number[]
  text: string
}
export interface Rows {
  pairs: PairRow[]
  /** In the order of the data, and as rollouts visit them. */
  prompts: PromptRow[]
  visited: PromptRow[]
}

export interface Prepared {
  parameters: number
  trained: number
  rows: number
  /** Tokens of a step, and the share of a padded batch of both answers that they fill. */
  tokens: number
  fill: number
}

type Comparison = Record<'prompt' | 'chosen' | 'rejected', PromptText>

const publishedPairs = async (data: string): Promise<Comparison[]> => {
  const settings = preferenceSchema.parse({ onFault: 'skip', maxSkipped: 1 })
  const path = join(data, 'hh-rlhf', 'harmless-base', 'test.first1600.jsonl.gz')
  return (await readPreferences(path, settings)).records
}

const publishedPrompts = (data: string): PromptText[] =>
  readFileSync(join(data, 'self-instruct', 'seed_tasks.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => [{ role: 'user', content: (JSON.parse(line) as { instruction: string }).instruction }])

/** Thirds of bundled lines. */
const inventedPairs = async (): Promise<Comparison[]> =>
  (await bundledLines(24, [80, 400])).map((line) => ({
    prompt: line.slice(0, 24),
    chosen: line.slice(24, 48),
    rejected: line.slice(48, 72),
  }))

/** A comparison as token ids; undefined where an answer is dropped. */
export const pairRowOf = (
  encoder: CompletionEncoder,
  { prompt, chosen, rejected }: Comparison,
): PairRow | undefined => {
  const [better, worse] = [chosen, rejected].map((one) => encoder.completion(prompt, one))
  if (better === undefined || worse === undefined) return undefined
  const completion = ({ ids, promptTokens }: typeof better) => Array.from(ids.subarray(promptTokens))
  return {
    prompt: Array.from(better.ids.subarray(0, better.promptTokens)),
    chosen: completion(better),
    rejected: completion(worse),
  }
}

const fillOf = (rows: readonly PairRow[], batch: number) => {
  let [real, padded, steps] = [0, 0, 0]
  for (let at = 0; at + batch <= rows.length; at += batch, steps++) {
    const lengths = rows
      .slice(at, at + batch)
      .flatMap(({ prompt, chosen, rejected }) => [chosen, rejected].map(({ length }) => prompt.length + length))
    real += lengths.reduce((sum, length) => sum + length, 0)
    padded += Math.max(...lengths) * lengths.length
  }
  return { tokens: Math.round(real / Math.max(1, steps)), fill: real / padded }
}

/** Fills `folder`. @param base undefined for a small invented one */
export const prepare = async (job: Job, data: string, base: string | undefined, folder: string): Promise<Prepared> => {
  mkdirSync(folder, { recursive: true })
  const source = base ?? (await prepareSmoke(join(folder, 'invented')))
  const { model } = await loadModelWithReport(source, { head: job.head, dtype: 'float32', seed: 1 })
  await saveModel(model, join(folder, 'model'), { tokenizer: source })
  const parameters = model.parameterCount
  const tokenizer = await loadTokenizer(source)
  const encoder = createCompletionEncoder(tokenizer, { maxLength: job.length, tooLong: 'drop' })
  const records = base === undefined ? await inventedPairs() : await publishedPairs(data)
  const pairs = job.data === 'pairs' ? records.flatMap((record) => pairRowOf(encoder, record) ?? []) : []
  createRandom('bench/pairs').shuffle(pairs)
  const texts = base === undefined ? records.map(({ prompt }) => prompt) : publishedPrompts(data)
  const prompts = texts.flatMap((text): PromptRow[] => {
    const ids = encoder.prompt(text)
    return ids === undefined ? [] : [{ ids, text: tokenizer.decode(ids, { skipSpecialTokens: false }) }]
  })
  const order = promptOrder(prompts.length, 0)
  const visited = prompts.map((_, cursor) => prompts[order.at(cursor)])
  const rows: Rows = { pairs, prompts, visited }
  writeFileSync(join(folder, 'rows.json'), JSON.stringify(rows))
  const applied = startingAdapter(model)
  await saveAdapter(applied, join(folder, 'adapter'), { base: join(folder, 'model') })
  const facts = { parameters, trained: applied.parameterCount }
  if (job.data === 'pairs') return { ...facts, rows: pairs.length, ...fillOf(pairs, job.batch) }
  const read = prompts.reduce((sum, { ids }) => sum + ids.length, 0) / prompts.length
  const tokens = Math.round(job.batch * job.answers * (read + job.newTokens))
  return { ...facts, rows: prompts.length, tokens, fill: 1 }
}
