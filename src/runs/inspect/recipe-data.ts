// The data that a recipe names, and how its records are read: by the task, or by the kind of alignment data.
import { ConfigError, programCall } from '../../core/index.ts'
import { findTask, type ReadReport, readPrompts, type TaskRecord, taskConfig, taskTypes } from '../../tasks/index.ts'
import { alignmentData } from '../align/data.ts'
import { alignObjectives, columnsOf, type DataKind } from '../align/objectives.ts'
import { streamRecords } from '../examples/survey-records.ts'
import { type DataInspection, type InspectDataInput, type InspectionHooks, inspectData } from './inspect-data.ts'

/** How records are read. Plain data, for other processes. */
export type RecordReading =
  | { kind: 'records'; task: string; dataset?: string; settings: { [setting: string]: unknown } }
  | { kind: DataKind; columns: { [setting: string]: unknown } }

/** Data that a recipe names. */
export interface RecipeData {
  role: 'training' | 'validation'
  path: string
  /** Undefined for folders of token shards. */
  reading: RecordReading | undefined
}

type Fields = { [name: string]: unknown }

const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {}

const readingOf = ({ task, dataset, settings, objective, columns }: Fields): RecordReading | undefined => {
  if (typeof task === 'string')
    return {
      kind: 'records',
      task,
      ...(typeof dataset === 'string' ? { dataset } : {}),
      settings: fieldsOf(settings),
    }
  const kind = alignObjectives().find(({ type }) => type === objective)?.data
  return kind === undefined ? undefined : { kind, columns: fieldsOf(columns) }
}

/** As a data set of several is read: with the settings of the recipe under its own. */
const readingOfSet = (recipe: Fields, { dataset = recipe.dataset, settings }: Fields): RecordReading | undefined =>
  readingOf({ ...recipe, dataset, settings: { ...fieldsOf(recipe.settings), ...fieldsOf(settings) } })

/** How the records of a task are read. */
export type TaskReading = Extract<RecordReading, { kind: 'records' }>

/** The data of a run's recipe, as run.json has it. Of a foreign or damaged recipe, nothing. */
export const dataOfRecipe = (recipe: Fields): RecipeData[] => {
  const { data, validation } = recipe
  const reading = readingOf(recipe)
  if (reading === undefined) {
    const folders = (Array.isArray(data) ? data : [data]).filter((one): one is string => typeof one === 'string')
    return folders.map((path) => ({ role: 'training', path, reading: undefined }))
  }
  const sets = typeof data === 'string' ? [{ path: data }] : Array.isArray(data) ? data.map(fieldsOf) : []
  return sets.flatMap((set: Fields): RecipeData[] => {
    const { path } = set
    if (typeof path !== 'string') return []
    const own = set.dataset === undefined && set.settings === undefined ? reading : readingOfSet(recipe, set)
    const held = set.validation ?? validation
    return [
      { role: 'training', path, reading: own },
      ...(typeof held === 'string' ? [{ role: 'validation' as const, path: held, reading: own }] : []),
    ]
  })
}

/** Settings of a task that skip and count unusable records, where the task can. */
const tolerantSettings = (task: string, settings: Fields, dataset?: string): Fields => {
  const tolerant = { ...settings, onFault: 'skip' }
  try {
    taskConfig(findTask(task), tolerant, dataset)
    return tolerant
  } catch (error) {
    if (error instanceof ConfigError) return settings
    throw error
  }
}

/** @throws ConfigError for a task that a module of the recipe registers, since modules are run by runs only */
const expectKnownTask = (task: string): void => {
  if (!taskTypes().includes(task))
    throw new ConfigError(
      `The task ${task} comes from a module of the recipe, which is not run here. Use \`${programCall('inspect')}\` with \`use\`.`,
    )
}

/**
 * Calls `onRecord` with every usable record, and counts the others by reason.
 * @throws DataError for a path without a usable record
 */
export const readRecipeRecords = async (
  path: string,
  reading: RecordReading,
  onRecord: (record: TaskRecord) => void | Promise<void>,
): Promise<ReadReport> => {
  if (reading.kind === 'records') {
    expectKnownTask(reading.task)
    const task = findTask(reading.task)
    const settings = tolerantSettings(reading.task, reading.settings, reading.dataset)
    return streamRecords(task, path, taskConfig(task, settings, reading.dataset), onRecord)
  }
  // However many ties and contradictions there are, they are counted.
  const columns = { ...reading.columns, onFault: 'skip', maxSkipped: 1 }
  const { records, report } =
    reading.kind === 'prompts'
      ? await readPrompts(path, columnsOf('prompts', columns))
      : await alignmentData[reading.kind].read(path, columns)
  for (const record of records) await onRecord(record)
  return report
}

/** Examples of each finding. */
const shownExamples = 50

/** Looks at the records of a task as `inspectData` does; unusable records are counted. @throws as `inspectData` */
export const inspectRecipeRecords = async (
  path: string,
  validation: string | undefined,
  { task, dataset, settings }: TaskReading,
  hooks: InspectionHooks,
): Promise<DataInspection> => {
  expectKnownTask(task)
  const tolerant = tolerantSettings(task, settings, dataset)
  const input = { task, dataset, settings: tolerant, validation, examples: shownExamples }
  return inspectData(path, input as InspectDataInput, hooks)
}
