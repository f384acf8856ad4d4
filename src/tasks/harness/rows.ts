// The rows of a benchmark: which files they are in, made columns, and few-shot examples as lm-eval chooses them.
import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'
import { DataError, invariant } from '../../core/index.ts'
import { formatOfName, openRows } from '../records/read-rows.ts'
import { FaultCounter, type Fields } from '../records/row.ts'
import type { PromptedRow } from './kinds/kind.ts'
import { PythonRandom } from './python-random.ts'
import type { HarnessTask } from './task-file.ts'
import type { TemplateRow } from './template.ts'

/** A row with the group that it belongs to. */
export interface HarnessRow extends TemplateRow {
  group: string | undefined
}

/** In place of a folder: each benchmark's own data set of the Hugging Face Hub. */
export const hubBenchmarks = 'hub:'

/** Where the rows of benchmarks are. */
export interface HarnessSource {
  /** Folder with a folder or a file for each benchmark, or `hub:`. */
  folder: string | undefined
  /** The local path of a split of a data set of the Hub, such as `hub:owner/name:subset/test`. It is needed for `hub:`. */
  resolve?(path: string): Promise<string>
  signal?: AbortSignal | undefined
}

/** Numbers of Parquet files and JSON as templates can take them. */
const plain = (value: unknown): unknown => {
  if (typeof value === 'bigint') return Number(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]))
}

const withColumns = ({ columns }: HarnessTask, row: TemplateRow): TemplateRow => {
  const values: Fields = { ...row.values }
  for (const { name, value, list, steps } of columns) {
    const change = (text: string) => steps.reduce((changed, step) => step(changed), text)
    const made = { ...row, values }
    values[name] = list ? value.list(made).map(change) : change(value.text(made))
  }
  return { ...row, values }
}

/** The folder or file that holds the rows of a task; undefined for those of the Hub. @throws DataError that says where it was looked for */
const locate = (task: HarnessTask, { folder }: HarnessSource): string | undefined => {
  const { name, data, folder: own } = task
  if (data.path !== undefined) return isAbsolute(data.path) || own === undefined ? data.path : join(own, data.path)
  if (folder === hubBenchmarks) {
    if (data.hub !== undefined) return undefined
    throw new DataError(
      `The task ${name} names no data set of the Hub: add \`data.hub\` to its file, or give a folder.`,
    )
  }
  const hint = data.hub === undefined ? '' : ` The Hugging Face Hub has it as ${data.hub}.`
  if (folder === undefined)
    throw new DataError(
      `The task ${name} needs data: give a folder that has ${name}/ with --data, or --data ${hubBenchmarks} to download it.${hint}`,
    )
  if (!existsSync(folder)) throw new DataError('Expected a folder with a folder for each task, found nothing.', folder)
  if (existsSync(join(folder, name))) return join(folder, name)
  const entries = statSync(folder).isDirectory() ? readdirSync(folder) : []
  const file = entries.find((entry) => entry.replace(/\..*$/, '') === name && formatOfName(entry) !== undefined)
  if (file !== undefined) return join(folder, file)
  throw new DataError(
    `Expected ${name}/ or a file such as ${name}.jsonl in the folder, got ${entries.slice(0, 12).join(', ') || 'nothing'}.${hint}`,
    folder,
  )
}

/** All rows of a split. @throws DataError for a split without files or rows */
const readSplit = async (
  task: HarnessTask,
  path: string,
  split: string,
  signal: AbortSignal | undefined,
): Promise<HarnessRow[]> => {
  // A list of files is one split, and a path of one file has the split that it is given for.
  const isFolder = existsSync(path) && statSync(path).isDirectory()
  const settings = { format: 'auto', header: true, quotes: 'auto', ...(isFolder ? { split } : {}) } as const
  const source = await openRows(path, settings)
  const rows: HarnessRow[] = []
  for await (const { values, file, line } of source.rows(new FaultCounter('error'), signal)) {
    const row = withColumns(task, { values: plain(values) as Fields, file, line })
    rows.push({ ...row, group: task.group?.text(row) })
  }
  if (rows.length > 0) return rows
  throw new DataError(`Expected rows in the split ${split}, got none.`, path)
}

/** Rows of a benchmark, and those that few-shot examples are chosen from. */
export interface HarnessRows {
  rows: HarnessRow[]
  pool: HarnessRow[]
}

/** A split of the data set of the Hub that a task names, as a path of data: its subset comes before the split. */
const hubSplit = ({ name, data: { hub = '' } }: HarnessTask, split: string): string => {
  const [owner, set, ...subset] = hub.split('/')
  if (set !== undefined) return `hub:${owner}/${set}:${[...subset, split].join('/')}`
  throw new DataError(`Expected owner/name or owner/name/subset for \`data.hub\` of the task ${name}, got ${hub}.`)
}

/**
 * Reads a benchmark.
 * @param shots few-shot examples of each row
 * @throws DataError for data that is not there or cannot be read
 */
export const readTask = async (
  task: HarnessTask,
  source: HarnessSource,
  { limit, shots }: { limit: number | undefined; shots: number },
): Promise<HarnessRows> => {
  const path = locate(task, source)
  const { resolve, signal } = source
  invariant(path !== undefined || resolve !== undefined, 'benchmarks of the Hub need `resolve`.')
  const read = async (split: string) =>
    readSplit(task, path ?? (await resolve?.(hubSplit(task, split))) ?? '', split, signal)
  const all = await read(task.data.split)
  const rows = limit === undefined ? all : firstOfGroups(all, limit)
  if (shots === 0) return { rows, pool: [] }
  if (task.fewShot.split === task.data.split) return { rows, pool: all }
  if (path !== undefined && statSync(path).isFile())
    throw new DataError(
      `Few-shot examples of ${task.name} come from the split ${task.fewShot.split}: put it beside the file in a folder ${task.name}/, or set --few-shot 0.`,
      dirname(path),
    )
  return { rows, pool: await read(task.fewShot.split) }
}

/** The first rows, of each group where there are groups: lm-eval limits each subject of MMLU. */
const firstOfGroups = (rows: readonly HarnessRow[], limit: number): HarnessRow[] => {
  const taken = new Map<string | undefined, number>()
  return rows.filter(({ group }) => {
    const count = (taken.get(group) ?? 0) + 1
    taken.set(group, count)
    return count <= limit
  })
}

/** Chooses the few-shot examples of rows, one row after another. */
const chooser = (
  pool: readonly HarnessRow[],
  { choice, excludeRow }: Pick<HarnessTask['fewShot'], 'choice' | 'excludeRow'>,
  seed: number,
): ((row: HarnessRow, count: number) => HarnessRow[]) => {
  const random = new PythonRandom(seed)
  const contents = pool.map(({ values }) => JSON.stringify(values))
  return (row, count) => {
    if (choice === 'first') return pool.slice(0, count)
    const pick = (indices: readonly number[], many: number) =>
      random.sample(indices.length, many).map((i) => indices[i])
    const all = pool.map((_, i) => i)
    if (!excludeRow) return pick(all, count).map((i) => pool[i])
    const content = JSON.stringify(row.values)
    const others = (indices: readonly number[]) => indices.filter((i) => contents[i] !== content)
    const some = others(pick(all, count + 1)).slice(0, count)
    return (some.length < count ? pick(others(all), count) : some).map((i) => pool[i])
  }
}

/** The prompts of rows: description, few-shot examples and question. @throws DataError for too few examples */
export const promptRows = (
  task: HarnessTask,
  { rows, pool }: HarnessRows,
  { shots, seed }: { shots: number; seed: number },
): PromptedRow[] => {
  const { fewShot, delimiter } = task
  const choosers = new Map<string | undefined, ReturnType<typeof chooser>>()
  const written = new Map<HarnessRow, string>()
  const exampleText = (row: HarnessRow): string => {
    const known = written.get(row)
    if (known !== undefined) return known
    const { prompt, answer } = task.question(row)
    const text = `${prompt}${answer === '' ? '' : delimiter}${answer}${answer === '' ? '' : fewShot.separator}`
    written.set(row, text)
    return text
  }
  return rows.map((row) => {
    let examples: HarnessRow[] = []
    if (shots > 0) {
      let choose = choosers.get(row.group)
      if (choose === undefined) {
        const own = pool.filter(({ group }) => group === row.group)
        const needed = shots + Number(fewShot.excludeRow && fewShot.choice === 'random')
        if (own.length < needed)
          throw new DataError(
            `Expected at least ${needed} rows in the split ${fewShot.split}${row.group === undefined ? '' : ` with the group ${row.group}`} for ${shots} few-shot examples, got ${own.length}. Lower --few-shot.`,
            row.file,
          )
        choosers.set(row.group, (choose = chooser(own, fewShot, seed)))
      }
      examples = choose(row, shots)
    }
    const before = task.description.text(row) + examples.map(exampleText).join('')
    return { row, prompts: task.question(row).prompts.map((prompt) => before + prompt) }
  })
}
