// The fields of config.json that do not belong to the architecture: class, labels, dtype. Python tells 1.0 from 1 and transformers refuses
// one for the other, so the names of fields with a decimal point are remembered, and written with one. Independent of architectures.
import { CheckpointError, didYouMean } from '../core/index.ts'
import {
  type HeadEntry,
  type HeadOptions,
  type HeadType,
  headsOf,
  type Model,
  type ModelDefinition,
  models,
} from '../models/index.ts'
import type { Dtype } from '../tensor/index.ts'

const numberField = /"((?:[^"\\]|\\.)*)"(?:(\s*:\s*)(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?))?/g

/** Names of the fields with floating point numbers in a JSON text. */
export const floatsOf = (text: string): Set<string> => {
  const names = new Set<string>()
  for (const [, name, , value] of text.matchAll(numberField))
    if (value !== undefined && /[.eE]/.test(value)) names.add(name)
  return names
}

/** JSON text in which whole numbers of the fields in `floats` have a decimal point. */
export const stringifyConfig = (fields: unknown, floats: ReadonlySet<string>): string =>
  `${JSON.stringify(fields, null, 2)}\n`.replace(numberField, (all, name: string, between?: string, value?: string) =>
    value !== undefined && floats.has(name) && /^-?\d+$/.test(value) ? `"${name}"${between}${value}.0` : all,
  )

/** Fields of config.json. */
export type HfFields = Record<string, unknown>

/** The architecture of `model_type`. @throws CheckpointError for an unknown one */
export const definitionOf = (fields: HfFields, where: string): ModelDefinition => {
  const type = fields.model_type
  const definitions: readonly ModelDefinition[] = Object.values(models as object)
  const known = definitions.map((definition) => definition.hfType ?? definition.type)
  const found = typeof type === 'string' ? definitions[known.indexOf(type)] : undefined
  if (found !== undefined) return found
  throw new CheckpointError(
    `${where}: Expected a \`model_type\` of ${known.join(', ')}, got ${JSON.stringify(type)?.slice(0, 80)}.${typeof type === 'string' ? didYouMean(type, known) : ''}`,
  )
}

/** The model class in `architectures`, if any. */
export const architectureOf = (fields: HfFields): string | undefined =>
  Array.isArray(fields.architectures) && typeof fields.architectures[0] === 'string'
    ? fields.architectures[0]
    : undefined

/**
 * The head of a model class. A classifier with one label is a reward model if that label is "reward"; of other names, only
 * the caller can tell.
 */
export const headOfClass = (
  definition: ModelDefinition,
  config: object,
  hfClass: string | undefined,
  labels: readonly string[] = [],
): HeadType | undefined => {
  if (hfClass === undefined) return undefined
  const entries = Object.entries(headsOf(definition, config)) as [HeadType, HeadEntry][]
  const fitting = entries.filter(([, entry]) => entry.hfClass === hfClass)
  const labelled = fitting.find(([, { onRequest }]) => labels.length === 1 && onRequest?.label === labels[0])
  return (labelled ?? fitting.find(([, { onRequest }]) => onRequest === undefined))?.[0]
}

const problems: Record<string, HeadOptions['problemType']> = {
  single_label_classification: 'single-label',
  multi_label_classification: 'multi-label',
  regression: 'regression',
}

/** Options of the head from config.json. @throws CheckpointError for labels that are not numbered from 0 */
export const headOptionsOf = (fields: HfFields): Partial<HeadOptions> => {
  const options: Partial<HeadOptions> = {}
  const { id2label, num_labels: count, problem_type: problem, classifier_dropout: dropout } = fields
  if (typeof id2label === 'object' && id2label !== null) {
    const entries = Object.entries(id2label as Record<string, unknown>).sort(([a], [b]) => Number(a) - Number(b))
    if (entries.some(([key, label], i) => Number(key) !== i || typeof label !== 'string'))
      throw new CheckpointError(
        `Expected \`id2label\` in config.json to name the labels 0, 1, 2 …, got ${JSON.stringify(id2label).slice(0, 200)}.`,
      )
    options.labels = entries.map(([, label]) => label as string)
  } else if (typeof count === 'number' && Number.isInteger(count) && count > 0 && count <= 1_000_000)
    options.labels = Array.from({ length: count }, (_, i) => `LABEL_${i}`)
  if (typeof problem === 'string' && problem in problems) options.problemType = problems[problem]
  if (typeof dropout === 'number') options.dropout = dropout
  const { reward_mean: mean, reward_std: deviation } = fields
  if (typeof mean === 'number' && typeof deviation === 'number' && deviation > 0)
    options.rewardScale = { mean, deviation }
  return options
}

const hfDtypes: Partial<Record<Dtype, string>> = {
  float32: 'float32',
  float64: 'float64',
  float16: 'float16',
  bfloat16: 'bfloat16',
}

/** config.json of a model: its original fields, overwritten by what it is now. */
export const fieldsOf = (model: Model, original: HfFields, dtype: Dtype): HfFields => {
  const { definition, config, headType, headOptions } = model
  const entry = headsOf(definition, config)[headType]
  const { torch_dtype: older, dtype: newer, ...others } = original
  const { architectures: _, id2label: __, label2id: ___, reward_mean: ____, reward_std: _____, ...kept } = others
  const fields: HfFields = {
    ...kept,
    ...definition.toHf(config),
    architectures: entry?.hfClass === undefined ? [] : [entry.hfClass],
  }
  if (entry?.encoderOnly) fields.is_encoder_decoder = false
  const labels = entry?.labels?.(headOptions)
  if (labels !== undefined) {
    fields.id2label = Object.fromEntries(labels.map((label, i) => [String(i), label]))
    fields.label2id = Object.fromEntries(labels.map((label, i) => [label, i]))
    const problem = Object.entries(problems).find(([, ours]) => ours === headOptions.problemType)
    if (entry?.statesProblem && problem !== undefined) fields.problem_type = problem[0]
    if (headOptions.dropout !== undefined) fields.classifier_dropout = headOptions.dropout
  }
  const { rewardScale } = headOptions
  if (rewardScale !== undefined)
    Object.assign(fields, { reward_mean: rewardScale.mean, reward_std: rewardScale.deviation })
  // Keep the name that the file had; transformers 5 writes `dtype` and reads both.
  fields[older !== undefined && newer === undefined ? 'torch_dtype' : 'dtype'] = hfDtypes[dtype]
  return fields
}
