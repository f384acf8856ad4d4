// Browses the answers that a run sampled while it learned from rewards: filters them, and turns them into training data. Runs no model.
import { join } from 'node:path'
import { z } from 'zod'
import { type RolloutRow, readRollout, rolloutFiles } from '../../../alignment/index.ts'
import { ConfigError, DataError, parseConfig, writeFileAtomic } from '../../../core/index.ts'
import { runFiles } from '../../../tracking/index.ts'

/** Filters of `browseRollouts`. */
export const rolloutQuerySchema = z.strictObject({
  rollout: z.int().positive().optional().describe('number of the rollout (default: all)'),
  from: z.int().positive().optional().describe('first rollout'),
  id: z.string().optional().describe('id of the record of the prompt'),
  minReward: z.number().optional().describe('least reward'),
  maxReward: z.number().optional().describe('largest reward'),
  finishReason: z.enum(['eos', 'stop', 'length', 'aborted']).optional().describe('why answers ended'),
  search: z.string().optional().describe('text that the answer or the prompt contains, in any case'),
  sort: z
    .enum(['order', 'reward', 'kl', 'tokens', 'advantage'])
    .default('order')
    .describe('order of the answers; all but `order` have the largest first'),
})

/** Filters as a caller writes them. */
export type RolloutQuery = z.input<typeof rolloutQuerySchema>

const sortKeys: Record<string, (row: RolloutRow) => number> = {
  reward: ({ reward }) => reward ?? Number.NEGATIVE_INFINITY,
  kl: ({ kl }) => kl ?? Number.NEGATIVE_INFINITY,
  tokens: ({ completionIds }) => completionIds.length,
  advantage: ({ advantage }) => advantage ?? Number.NEGATIVE_INFINITY,
}

const matches = (row: RolloutRow, query: z.output<typeof rolloutQuerySchema>): boolean => {
  const { id, minReward, maxReward, finishReason, search } = query
  const text = search?.toLowerCase()
  return (
    (id === undefined || row.id === id) &&
    (minReward === undefined || (row.reward !== null && row.reward >= minReward)) &&
    (maxReward === undefined || (row.reward !== null && row.reward <= maxReward)) &&
    (finishReason === undefined || row.finishReason === finishReason) &&
    (text === undefined || `${row.prompt}\n${row.completion}`.toLowerCase().includes(text))
  )
}

/**
 * The answers of a run that fit the filters.
 * @throws DataError for a folder without rollouts, or a damaged file
 */
export const browseRollouts = async (run: string, query: RolloutQuery = {}): Promise<RolloutRow[]> => {
  const checked = parseConfig(rolloutQuerySchema, query, 'rollouts')
  const { rollout, from = 1, sort } = checked
  const files = await rolloutFiles(join(run, runFiles.rollouts))
  if (files.length === 0)
    throw new DataError(
      `${run}: Expected the folder of a run that learned from rewards, with ${runFiles.rollouts}/, found no rollout. Runs with \`rollout.keep\` false write none.`,
    )
  const rows: RolloutRow[] = []
  for (const file of files)
    for (const row of await readRollout(file)) {
      if (row.rollout < from || (rollout !== undefined && row.rollout !== rollout)) break
      if (matches(row, checked)) rows.push(row)
    }
  const key = sortKeys[sort]
  return key === undefined ? rows : rows.sort((a, b) => key(b) - key(a))
}

/** Forms of training data. */
export const rolloutForms = ['rows', 'sft', 'pairs'] as const

const groupsOf = (rows: readonly RolloutRow[]): RolloutRow[][] => {
  const groups = new Map<string, RolloutRow[]>()
  for (const row of rows) {
    const key = `${row.rollout}/${row.group}`
    groups.set(key, [...(groups.get(key) ?? []), row])
  }
  return [...groups.values()]
}

const byReward = (rows: readonly RolloutRow[]): RolloutRow[] =>
  rows.filter(({ reward }) => reward !== null).sort((a, b) => (b.reward ?? 0) - (a.reward ?? 0))

const makers: Record<(typeof rolloutForms)[number], (rows: readonly RolloutRow[]) => object[]> = {
  rows: (rows) => [...rows],
  // The best answer to each prompt of each rollout.
  sft: (rows) =>
    groupsOf(rows).flatMap((group) =>
      byReward(group)
        .slice(0, 1)
        .map(({ prompt, completion, reward }) => ({ prompt, completion, reward })),
    ),
  // The best and the worst answer, where their rewards differ.
  pairs: (rows) =>
    groupsOf(rows).flatMap((group) => {
      const sorted = byReward(group)
      const [best, worst] = [sorted[0], sorted.at(-1)]
      if (best === undefined || worst === undefined || best.reward === worst.reward) return []
      return [
        {
          prompt: best.prompt,
          chosen: best.completion,
          rejected: worst.completion,
          margin: (best.reward ?? 0) - (worst.reward ?? 0),
        },
      ]
    }),
}

/**
 * Writes answers as JSON lines: all of them with everything that is known (`rows`), the best to each prompt to fine-tune on (`sft`), or the
 * best with the worst as preferences (`pairs`). Prompts are raw text, special tokens of the chat template included.
 * @returns the number of lines
 * @throws ConfigError for a form that takes the best answers of some without rewards
 */
export const writeRollouts = async (
  path: string,
  rows: readonly RolloutRow[],
  form: (typeof rolloutForms)[number],
): Promise<number> => {
  if (form !== 'rows' && rows.length > 0 && rows.every(({ reward }) => reward === null))
    throw new ConfigError(
      `Expected answers with rewards for the form ${form}, which takes the best of them, but none of the ${rows.length} has one. Choose the form rows, or score them with \`--reward\`.`,
    )
  const lines = makers[form](rows)
  await writeFileAtomic(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  return lines.length
}
