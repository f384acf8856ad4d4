// The pairs of a comparison on real data: rows that `align` and `finetune` read, the same as token ids for the peer, and what is said of the
// differences of scores that a model gives to validation pairs.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadTokenizer } from '../../src/checkpoint/index.ts'
import { createRandom } from '../../src/core/index.ts'
import { createCompletionEncoder, preferenceSchema, readPreferences } from '../../src/tasks/index.ts'
import { type PairRow, pairRowOf } from '../alignment/prepare.ts'

export interface PairSizes {
  train: number
  validation: number
  /** Maximum tokens of a prompt with its answer; longer ones are truncated, as the recipes do. */
  maxLength: number
  template: string | undefined
}

/** Prompts may take three quarters of a sequence. */
export const promptLength = ({ maxLength }: Pick<PairSizes, 'maxLength'>): number => Math.floor((3 * maxLength) / 4)

/**
 * Writes train.jsonl and validation.jsonl, their ratings for KTO (each pair as a good and a bad answer), and rows.json with token ids.
 * @param messages columns with messages
 */
export const writePairs = async (source: string, base: string, folder: string, sizes: PairSizes): Promise<void> => {
  const { train, validation, maxLength, template } = sizes
  const columns = { messages: ['conversations', 'messages', 'prompt'], onFault: 'skip', maxSkipped: 1, texts: 'turns' }
  const { records } = await readPreferences(source, preferenceSchema.parse(columns))
  createRandom('bench/preferences').shuffle(records)
  if (records.length < train + validation)
    throw new Error(`Expected ${train + validation} pairs in ${source}, got ${records.length}.`)
  const tokenizer = await loadTokenizer(base)
  const encoder = createCompletionEncoder(tokenizer, {
    template,
    maxLength,
    maxPromptLength: promptLength(sizes),
    tooLong: 'truncate',
  })
  mkdirSync(folder, { recursive: true })
  const rows: Record<string, PairRow[]> = {}
  for (const [name, part] of Object.entries({
    train: records.slice(0, train),
    validation: records.slice(train, train + validation),
  })) {
    const write = (file: string, lines: readonly object[]) =>
      writeFileSync(join(folder, file), `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`)
    write(
      `${name}.jsonl`,
      part.map(({ prompt, chosen, rejected }) => ({ prompt, chosen, rejected })),
    )
    write(
      `${name}-ratings.jsonl`,
      part.flatMap(({ prompt, chosen, rejected }) => [
        { prompt, completion: chosen, label: true },
        { prompt, completion: rejected, label: false },
      ]),
    )
    rows[name] = part.map((record) => {
      const row = pairRowOf(encoder, record)
      if (row === undefined) throw new Error('Expected answers that fit, got one that was dropped.')
      return row
    })
  }
  writeFileSync(join(folder, 'rows.json'), JSON.stringify(rows))
}

/** Scores of a run: of each validation pair that of the chosen answer less that of the rejected one. */
export interface Outcome {
  differences: number[]
  cpuSeconds: number
}

const meanOf = (values: readonly number[]) => values.reduce((sum, one) => sum + one, 0) / values.length
const right = (difference: number) => (difference > 0 ? 1 : difference < 0 ? 0 : 0.5)

/** The mean over pairs with its 95 % interval by bootstrap over pairs. */
export const withInterval = (values: readonly number[]): { mean: number; low: number; high: number } => {
  const random = createRandom('bench/preferences/interval')
  const means = Array.from({ length: 2000 }, () => meanOf(values.map(() => values[random.integer(values.length)])))
  means.sort((a, b) => a - b)
  return { mean: meanOf(values), low: means[50], high: means[1949] }
}

/** Of each pair the mean over runs with different seeds. */
const overSeeds = (runs: readonly Outcome[], of: (difference: number) => number): number[] =>
  runs[0].differences.map((_, i) => meanOf(runs.map(({ differences }) => of(differences[i]))))

export const accuracies = (runs: readonly Outcome[]): number[] => overSeeds(runs, right)
export const margins = (runs: readonly Outcome[]): number[] => overSeeds(runs, (difference) => difference)
