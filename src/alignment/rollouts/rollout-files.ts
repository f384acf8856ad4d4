// Every answer of a rollout as a row of a Parquet file in the folder of the run, to browse, filter and train on. Reads those files again.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { asyncBufferFromFile } from 'hyparquet'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { z } from 'zod'
import { DataError, makeFolder, writeFileAtomic } from '../../core/index.ts'
import { type ParquetRange, readParquetMetadata, readParquetRows } from '../../files/index.ts'

/** An answer of a rollout as it is stored. */
export interface RolloutRow {
  rollout: number
  /** Optimizer steps before the rollout. */
  step: number
  group: number
  member: number
  /** Id of the prompt's record. */
  id: string
  prompt: string
  completion: string
  /** The right answer, where the data has one. */
  reference: string | null
  finishReason: string
  /** How an episode with an environment ended; null for answers of one turn. */
  end: string | null
  /** Turns of the model. */
  turns: number
  /** All turns of an episode as JSON, those of its prompt included; null for answers of one turn. */
  messages: string | null
  /** Whether it was trained on: groups without variance may be left out. */
  trained: boolean
  /** Weighted sum of the rewards. */
  reward: number | null
  /** By reward function. */
  rewards: { [name: string]: number | null }
  /** Factor of each reward function in the sum, by its name; 1 in files of earlier versions, which do not have it. */
  rewardWeights: { [name: string]: number }
  /** Mean of the advantages of its tokens; null where it was not trained on. */
  advantage: number | null
  /** Sum of log-probability minus that under the reference; null without a reference model. */
  kl: number | null
  promptIds: number[]
  completionIds: number[]
  /** 1 for tokens of the answer that the policy wrote, 0 for those of an environment. */
  mask: number[]
  logProbs: number[]
  /** Log-probabilities under the reference; empty without one. */
  referenceLogProbs: number[]
  /** Coefficient of the KL divergence in the reward, with which the advantages were estimated; null where it is not in the reward. */
  klCoefficient: number | null
  /** The critic's value of the text before each token of the answer, and of the whole text; empty without a critic. */
  values: number[]
}

const scalar = (name: string, type: string, more: object = {}) => ({ name, type, repetition_type: 'REQUIRED', ...more })
const text = (name: string, repetition_type = 'REQUIRED') => ({
  name,
  type: 'BYTE_ARRAY',
  converted_type: 'UTF8',
  repetition_type,
})
const list = (name: string, type: string) => [
  { name, repetition_type: 'REQUIRED', converted_type: 'LIST', num_children: 1 },
  { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
  { name: 'element', type, repetition_type: 'REQUIRED' },
]

const rewardPrefix = 'reward.'
const weightPrefix = 'rewardWeight.'

/** Columns in their order: name, elements of the schema, and the value of a row. */
const columnsOf = (names: readonly string[]): { name: string; schema: object[]; value(row: RolloutRow): unknown }[] => [
  ...(['rollout', 'step', 'group', 'member', 'turns'] as const).map((name) => ({
    name,
    schema: [scalar(name, 'INT32')],
    value: (row: RolloutRow) => row[name],
  })),
  ...(['id', 'prompt', 'completion', 'finishReason'] as const).map((name) => ({
    name,
    schema: [text(name)],
    value: (row: RolloutRow) => row[name],
  })),
  ...(['reference', 'end', 'messages'] as const).map((name) => ({
    name,
    schema: [text(name, 'OPTIONAL')],
    value: (row: RolloutRow) => row[name],
  })),
  { name: 'trained', schema: [scalar('trained', 'BOOLEAN')], value: (row) => row.trained },
  ...(['reward', 'advantage', 'kl', 'klCoefficient'] as const).map((name) => ({
    name,
    schema: [scalar(name, 'DOUBLE', { repetition_type: 'OPTIONAL' })],
    value: (row: RolloutRow) => row[name],
  })),
  ...names.map((name) => ({
    name: rewardPrefix + name,
    schema: [scalar(rewardPrefix + name, 'DOUBLE', { repetition_type: 'OPTIONAL' })],
    value: (row: RolloutRow) => row.rewards[name] ?? null,
  })),
  ...names.map((name) => ({
    name: weightPrefix + name,
    schema: [scalar(weightPrefix + name, 'DOUBLE')],
    value: (row: RolloutRow) => row.rewardWeights[name],
  })),
  ...(['promptIds', 'completionIds', 'mask'] as const).map((name) => ({
    name,
    schema: list(name, 'INT32'),
    value: (row: RolloutRow) => row[name],
  })),
  ...(['logProbs', 'referenceLogProbs', 'values'] as const).map((name) => ({
    name,
    schema: list(name, 'FLOAT'),
    value: (row: RolloutRow) => row[name],
  })),
]

/** Name of the file of a rollout, such as `rollout-00000012.parquet`. */
export const rolloutFile = (rollout: number): string => `rollout-${String(rollout).padStart(8, '0')}.parquet`

/** Writes the rows of one rollout. @param rewards names of the reward functions, each the columns `reward.NAME` and `rewardWeight.NAME` */
export const writeRollout = async (
  folder: string,
  rollout: number,
  rows: readonly RolloutRow[],
  rewards: readonly string[],
): Promise<string> => {
  const columns = columnsOf(rewards)
  const bytes = parquetWriteBuffer({
    columnData: columns.map(({ name, value }) => ({ name, data: rows.map(value) })),
    schema: [{ name: 'root', num_children: columns.length }, ...columns.flatMap(({ schema }) => schema)] as never,
  })
  await makeFolder(folder, 'out')
  const path = join(folder, rolloutFile(rollout))
  await writeFileAtomic(path, new Uint8Array(bytes))
  return path
}

const nullable = z.number().nullable().default(null)
const rowSchema = z.looseObject({
  rollout: z.number(),
  step: z.number(),
  group: z.number(),
  member: z.number(),
  id: z.string(),
  prompt: z.string(),
  completion: z.string(),
  finishReason: z.string(),
  reference: z.string().nullable().default(null),
  end: z.string().nullable().default(null),
  turns: z.number().default(1),
  messages: z.string().nullable().default(null),
  trained: z.boolean(),
  reward: nullable,
  advantage: nullable,
  kl: nullable,
  promptIds: z.array(z.number()),
  completionIds: z.array(z.number()),
  mask: z.array(z.number()).optional(),
  logProbs: z.array(z.number()),
  referenceLogProbs: z.array(z.number()),
  // Files of earlier versions have neither.
  klCoefficient: nullable,
  values: z.array(z.number()).default([]),
})

const checked = <Row>(schema: z.ZodType<Row>, fields: unknown, path: string): Row => {
  const parsed = schema.safeParse(fields)
  if (parsed.success) return parsed.data
  throw new DataError(
    'Expected the columns of a rollout, got others. The file is damaged, or of another program.',
    path,
  )
}

const rowOf = (fields: unknown, path: string): RolloutRow => {
  const rewards: RolloutRow['rewards'] = {}
  const weights: RolloutRow['rewardWeights'] = {}
  const known: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(checked(rowSchema, fields, path)))
    if (name.startsWith(rewardPrefix))
      rewards[name.slice(rewardPrefix.length)] = typeof value === 'number' ? value : null
    else if (!name.startsWith(weightPrefix)) known[name] = value
    else if (typeof value === 'number') weights[name.slice(weightPrefix.length)] = value
  const rewardWeights = Object.fromEntries(Object.keys(rewards).map((name) => [name, weights[name] ?? 1]))
  // The schema has checked the fields; the loop above has only renamed those of rewards.
  const row = known as unknown as RolloutRow
  // Files of earlier versions have no mask: the policy wrote every token.
  return { ...row, mask: row.mask ?? row.completionIds.map(() => 1), rewards, rewardWeights }
}

/** The files of a run's rollouts, in their order. */
export const rolloutFiles = async (folder: string): Promise<string[]> => {
  const names = await readdir(folder).catch(() => [] as string[])
  return names
    .filter((name) => /^rollout-\d{8,}\.parquet$/.test(name))
    .sort((a, b) => Number.parseInt(a.slice(8), 10) - Number.parseInt(b.slice(8), 10))
    .map((name) => join(folder, name))
}

/** Opens a file for `read`. @throws DataError for a damaged file */
const withParquet = async <Result>(
  path: string,
  read: (file: Pick<ParquetRange, 'file' | 'metadata'>, count: number) => Promise<Result>,
): Promise<Result> => {
  try {
    const file = await asyncBufferFromFile(path)
    const metadata = await readParquetMetadata(file)
    return await read({ file, metadata }, Number(metadata.num_rows))
  } catch (error) {
    if (error instanceof DataError) throw error
    throw new DataError(`Expected a Parquet file, got one with a fault: ${(error as Error).message}.`, path)
  }
}

/** Some rows of one file. @param from first row @param to row after the last one @throws DataError for a damaged file */
export const readRolloutRange = (path: string, from: number, to: number): Promise<RolloutRow[]> =>
  withParquet(path, async (parquet, count) => {
    const rowEnd = Math.min(to, count)
    const rowStart = Math.min(from, rowEnd)
    const rows = rowStart === rowEnd ? [] : await readParquetRows({ ...parquet, rowStart, rowEnd })
    return rows.map((row) => rowOf(row, path))
  })

/** The rows of one file. @throws DataError for a damaged file */
export const readRollout = (path: string): Promise<RolloutRow[]> => readRolloutRange(path, 0, Number.POSITIVE_INFINITY)

const outlineSchema = rowSchema.pick({
  step: true,
  group: true,
  trained: true,
  reward: true,
  advantage: true,
  kl: true,
})

/** What is known of an answer without its texts and tokens. */
export type RolloutOutline = Pick<RolloutRow, 'step' | 'group' | 'trained' | 'reward' | 'advantage' | 'kl'>

/** The outline of every row of one file, in their order. @throws DataError for a damaged file */
export const readRolloutOutline = (path: string): Promise<RolloutOutline[]> =>
  withParquet(path, async (parquet, rowEnd) => {
    const columns = Object.keys(outlineSchema.shape)
    const rows = rowEnd === 0 ? [] : await readParquetRows({ ...parquet, rowStart: 0, rowEnd, columns })
    return rows.map((row) => checked(outlineSchema, row, path))
  })
