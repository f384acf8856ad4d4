// The data sets of a run: how recipes and the command line declare them, and their names. Reads no file.
import { existsSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { z } from 'zod'
import { ConfigError, didYouMean, parseConfig, show } from '../../core/index.ts'

export const dataSetSchema = z.strictObject({
  path: z.string().min(1).describe('file or folder with training data'),
  name: z
    .string()
    .refine((name) => /^[\w.-]+$/.test(name), {
      message: 'Expected letters, digits, ".", "_" and "-" in the name of a data set. Rename it.',
    })
    .optional()
    .describe('name in scores, such as accuracy/NAME (default: that of the file)'),
  weight: z.number().positive().optional().describe('relative share of the examples (default: by size)'),
  maxExamples: z.int().positive().optional().describe('maximum number of examples, chosen at random by the seed'),
  maxEpochs: z
    .number()
    .positive()
    .optional()
    .describe('maximum number of epochs over the set in the whole run, after which the others share its part'),
  validation: z.string().min(1).optional().describe('its validation data (default: a share of it)'),
  validationShare: z.number().gt(0).lt(1).optional().describe('share of it to validate on, if it has no `validation`'),
  dataset: z.string().optional().describe('known data set of the task, whose columns need not be named'),
  settings: z
    .record(z.string(), z.unknown())
    .optional()
    .describe('settings of reading it, such as columns, over those of the task'),
})
type DataSetInput = z.output<typeof dataSetSchema>

export interface DataSet extends DataSetInput {
  name: string
}

/** Data of a recipe: a path, or data sets that are mixed. Texts may have a weight and settings: `a.jsonl=0.7,maxExamples=1000`. */
export const dataField = z
  .union([z.string(), z.array(z.union([z.string(), dataSetSchema])).min(1)])
  .describe(
    'file or folder with training data, or several that are mixed: a.jsonl=0.7 b.csv=0.3 (weights, default: by size), each with settings such as a.jsonl,validation=dev.jsonl,maxExamples=1000',
  )
  .meta({ placeholder: 'text[=weight]', commas: false })

export type DeclaredData = z.output<typeof dataField>

/** Fields that a text may assign after its first part, such as those of a data set. */
export interface AssignedFields {
  /** What the text describes. */
  noun: string
  names: readonly string[]
  /** Those of them that hold fields: `settings.text=review`. */
  nested: readonly string[]
}

const setFields: AssignedFields = {
  noun: 'data set',
  names: Object.keys(dataSetSchema.shape).filter((name) => name !== 'path'),
  nested: ['settings'],
}
const plain = (text: string): string | number =>
  /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : text

/** `a.jsonl=0.7,maxExamples=1000` at those commas that an assignment follows. */
export const splitAssignments = (text: string): [first: string, ...assignments: string[]] => {
  const [first, ...rest] = text.split(/,(?=[A-Za-z][^,=/]*=)/)
  return [first, ...rest]
}

/** Sets a field by `validation=dev.csv`, or puts `settings.labelMap.neg=0` and the like where it belongs. */
export const assignField = (
  into: { [name: string]: unknown },
  assignment: string,
  text: string,
  { noun, names, nested }: AssignedFields,
): void => {
  const at = assignment.indexOf('=')
  const [key, value] = [assignment.slice(0, at), assignment.slice(at + 1)]
  const [field, name, ...rest] = key.split('.')
  if (!names.includes(field) || nested.includes(field) !== (name !== undefined))
    throw new ConfigError(
      `Expected one of ${names.map((one) => (nested.includes(one) ? `${one}.NAME` : one)).join(', ')} after the comma in the ${noun} ${JSON.stringify(text)}, got "${key}".${didYouMean(key, names)}`,
    )
  if (name === undefined) {
    if (Object.hasOwn(into, field))
      throw new ConfigError(`Expected \`${field}\` once in the ${noun} ${JSON.stringify(text)}.`)
    into[field] = plain(value)
    return
  }
  const settings = (into[field] ??= {}) as { [name: string]: unknown }
  if (rest.length === 0) settings[name] = value
  else settings[name] = { ...(settings[name] as object | undefined), [rest.join('.')]: value }
}

const weighted = (text: string, whole: string): { path: string; weight?: number } => {
  const at = text.lastIndexOf('=')
  const after = text.slice(at + 1)
  // Folders such as lang=en, patterns and whatever exists under the whole name are paths.
  const path = text.slice(0, at)
  const weight = plain(after)
  const isWeight = typeof weight === 'number' || existsSync(path) || path.startsWith('hub:')
  if (at < 1 || /[/*?{]/.test(after) || existsSync(text) || !isWeight) return { path: text }
  if (typeof weight === 'number' && weight > 0 && Number.isFinite(weight)) return { path, weight }
  throw new ConfigError(
    `Expected a weight above 0 after = in the data set ${JSON.stringify(whole)}, got ${JSON.stringify(after)}. To leave the set out, remove it.`,
  )
}

/** `a.jsonl=0.7,maxExamples=1000,settings.text=review` as an object. */
const readDataSet = (text: string): DataSetInput => {
  if (existsSync(text)) return { path: text }
  const [first, ...assignments] = splitAssignments(text)
  const set: { [name: string]: unknown } = weighted(first, text)
  for (const assignment of assignments) assignField(set, assignment, text, setFields)
  return parseConfig(dataSetSchema, set, `data ${text}`)
}

/** The name of a path: that of its file without its endings, or that of a data set of the Hub with its split. */
const nameOf = (path: string): string => {
  const [, hub, split] = /^hub:(?:[^/@:]+\/)?([^/@:]+)(?:@[^:]+)?(?::(.+))?$/.exec(path) ?? []
  const own = hub === undefined ? basename(path) : split === undefined ? hub : `${hub}-${split}`
  const bare = own.replace(/\.(gz|bz2|zst)$/i, '').replace(/\.[A-Za-z]\w*$/, '')
  return bare.replace(/[^\w.-]+/g, '-') || 'data'
}

const nameWithFolder = (path: string, name: string): string => {
  const folder = basename(dirname(path))
  return folder === '.' || folder === '..' ? name : nameOf(`${folder}-${name}`)
}

/** Data sets with distinct names: given ones, those of their files, or those with the folders of the files. */
const namedSets = (sets: readonly DataSetInput[]): DataSet[] => {
  const given = sets.flatMap(({ name }) => name ?? [])
  const twice = given.find((name, i) => given.indexOf(name) !== i)
  if (twice !== undefined)
    throw new ConfigError(`Expected distinct names of data sets, got "${twice}" twice. Rename one.`)
  const short = sets.map(({ name, path }) => name ?? nameOf(path))
  const isClear = (name: string) => short.indexOf(name) === short.lastIndexOf(name)
  const names: string[] = []
  for (const [i, { name, path }] of sets.entries()) {
    const own = name ?? (isClear(short[i]) ? short[i] : nameWithFolder(path, short[i]))
    let free = own
    for (let n = 2; names.includes(free) || (free !== name && given.includes(free)); n++) free = `${own}-${n}`
    names.push(free)
  }
  return sets.map((set, i) => ({ ...set, name: names[i] }))
}

/** @throws ConfigError for weights of some sets only, or beside a temperature that gives weights */
const expectWeights = (sets: readonly DataSetInput[], temperature: number | undefined): void => {
  const without = sets.filter(({ weight }) => weight === undefined)
  if (without.length > 0 && without.length < sets.length)
    throw new ConfigError(
      `Expected a weight for each data set or for none, got none for ${without.map(({ path }) => path).join(', ')}. Add the weights that are missing.`,
    )
  if (temperature !== undefined && without.length === 0)
    throw new ConfigError(`Expected weights or \`dataTemperature\`, which gives weights by size, got both. Remove one.`)
}

/**
 * Data of a recipe with every text read: a path, or a list of data sets with their names.
 * @throws ConfigError for a weight that is none, unknown settings, or settings without effect
 */
export const readDataSets = (data: DeclaredData, dataTemperature?: number): string | DataSet[] => {
  const sets = [data].flat().map((one) => (typeof one === 'string' ? readDataSet(one) : one))
  expectWeights(sets, dataTemperature)
  if (sets.length > 1) return namedSets(sets)
  const [{ path, ...rest }] = sets
  const { weight, maxEpochs } = rest
  for (const [name, value] of Object.entries({ weight, maxEpochs, dataTemperature }))
    if (value !== undefined)
      throw new ConfigError(
        `Expected no \`${name}\` for a single data set, got ${show(value)}. It would have no effect: remove it, or add another data set.`,
      )
  return Object.keys(rest).every((name) => name === 'name') ? path : namedSets(sets)
}

/** The data sets of a recipe whose data was read: a text is a path. */
export const dataSetsOf = (data: DeclaredData): DataSet[] =>
  namedSets([data].flat().map((set) => (typeof set === 'string' ? { path: set } : set)))

/** The data of a recipe in a few words, for tables. */
export const describeData = (data: DeclaredData): string =>
  [data]
    .flat()
    .map((one) => (typeof one === 'string' ? one : one.path))
    .join(' + ')
