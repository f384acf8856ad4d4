// Opens an adapter's folder, PEFT's or ours, onto a base that is in memory or that the folder names. Knows no method.
import { readFile } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { z } from 'zod'
import {
  expandRules,
  fromHfKeys,
  type LoadModelOptions,
  loadModelWithReport,
  openSafetensors,
  resolveModel,
} from '../checkpoint/index.ts'
import { CheckpointError, exists, parseConfig, show } from '../core/index.ts'
import {
  expectFinite,
  type HeadOptions,
  type HeadType,
  headEntry,
  headOptionsSchema,
  headTypes,
  Model,
  modelKeys,
  withHead,
} from '../models/index.ts'
import { Generator, noGrad, type Tensor } from '../tensor/index.ts'
import type { AnyConfig } from './adapter.ts'
import { AppliedAdapter } from './apply.ts'
import { type AnyAdapter, adaptersOf } from './bank.ts'
import { type FoundAdapter, PeftFile } from './peft/format.ts'
import { headOfTask, savedKeys } from './peft/names.ts'
import { CONFIG_FILE, EXTRA_FILE, keyPrefix, ownType, WEIGHTS_FILE } from './save-adapter.ts'
import { TABLE_PATH, TIED_PATH, tiedLayer } from './tied-head.ts'

export interface LoadAdapterOptions extends Omit<LoadModelOptions, 'newHead' | 'config' | 'head'> {
  /** What the model predicts; what the adapter's files say unless given. */
  head?: HeadType
  /** The base: a model in memory, or a folder or Hub id in place of the one that the adapter names. */
  base?: Model | string
  /** Name of the adapter on this base; `default` unless given. */
  name?: string
  /** Go on training it; frozen unless given. */
  trained?: boolean
}

export interface LoadedAdapter {
  /** The base with the adapter active and the head that goes with it. */
  model: Model
  applied: AppliedAdapter
  /** Folder of the base's files, where it was read from one. */
  baseFolder?: string
}

const jsonObject = async (path: string): Promise<Record<string, unknown> | undefined> => {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    throw new CheckpointError(`${path}: Expected JSON, got something else.`)
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new CheckpointError(`${path}: Expected a JSON object, got ${show(parsed)}.`)
  return parsed as Record<string, unknown>
}

const extraSchema = z.strictObject({
  type: z.string(),
  config: z.record(z.string(), z.unknown()),
  head: z.enum(headTypes),
  headOptions: headOptionsSchema.partial(),
  fresh: z.int().optional(),
})

/** Fields of every PEFT file, and defaults of others that say nothing of the values. */
const commonFields = [
  'peft_type',
  'peft_version',
  'task_type',
  'base_model_name_or_path',
  'revision',
  'inference_mode',
  'modules_to_save',
  'auto_mapping',
  'tunesmith',
  'megatron_core',
  'qalora_group_size',
  'runtime_config',
  'ensure_weight_tying',
]

const definitionFor = (registry: readonly AnyAdapter[], type: unknown, where: string): AnyAdapter => {
  const names = new Map(registry.map((entry) => [entry.peft?.type ?? ownType(entry.type), entry]))
  const found = names.get(type as string)
  if (found !== undefined) return found
  throw new CheckpointError(
    `${where}: Expected a \`peft_type\` of ${[...names.keys()].join(', ')}, got ${show(type)}. Convert the adapter, or merge it into its base in PEFT.`,
  )
}

/** Whether a folder (or a Hub id's snapshot) holds an adapter and not a whole model. */
export const isAdapterFolder = async (folder: string): Promise<boolean> => exists(join(folder, CONFIG_FILE))

/** Labels by the size of the classifier that the file brings, where nobody names them. */
const labelsIn = (
  model: Model,
  head: HeadType,
  shapeOf: (key: string) => readonly number[] | undefined,
): string[] | undefined => {
  const { definition, config } = model
  const keys = [
    'head.classifier.weight',
    ...expandRules(headEntry(definition, config, head).keys, 0)
      .filter(({ ours }) => ours[0] === 'head.classifier.weight')
      .map(({ theirs }) => theirs),
  ]
  const shape = keys.map(shapeOf).find((found) => found !== undefined)
  return shape === undefined ? undefined : Array.from({ length: shape[0] }, (_, i) => `LABEL_${i}`)
}

/** Ours, by the paths of our modules. */
const readOwn = (file: PeftFile, definition: AnyAdapter, model: Model): FoundAdapter<AnyConfig> => {
  const config = parseConfig(definition.config, file.fields.tunesmith, `${file.path}: tunesmith`) as AnyConfig
  return {
    config,
    plan: (context) => definition.plan(model, config, context),
    fill: ({ placements }) =>
      noGrad(() => {
        for (const { path, adapter } of placements)
          for (const [leaf, tensor] of adapter.parameters()) {
            const given = file.take(`${path}.adapter.${leaf}`, tensor.shape)
            if (given !== undefined) tensor.copy_(given)
          }
      }),
  }
}

const textsIn = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : []

/** Values of the model's own parameters that the file brings: its head, biases, layers. */
const copiesIn = (file: PeftFile, model: Model, own: boolean): Map<string, Tensor> => {
  const { definition, config, headType } = model
  const { numLayers } = definition.facts(config)
  const layer = tiedLayer(model)
  const parameters = new Map([
    ...model.parameters(),
    ...(layer === undefined ? [] : ([[TIED_PATH, layer.weight]] as const)),
  ])
  const rest = new Map([...file.rest()].filter(([key]) => !(own && /\.adapter\./.test(key))))
  const state = own
    ? new Map([...rest].map(([key, read]) => [key, read()]))
    : fromHfKeys(rest, modelKeys(definition, config, headType), numLayers).state
  const keyOf = (path: string) => {
    if (own) return path
    const rule = expandRules(modelKeys(definition, config, headType), numLayers).find(({ ours }) => ours.includes(path))
    return rule?.theirs ?? path
  }
  // PEFT leaves the matrix that scores words as it was where it has a table of its own.
  const table = state.has(TABLE_PATH) && !state.has(TIED_PATH) ? layer?.weight : undefined
  if (!own && table !== undefined) state.set(TIED_PATH, table)
  const fitting = [...state].filter(([path]) => parameters.has(path))
  return new Map(
    fitting.filter(([path, tensor]) => {
      file.accept(keyOf(path), tensor, parameters.get(path)!.shape)
      return tensor.shape.join() === parameters.get(path)!.shape.join()
    }),
  )
}

const openBase = async (
  folder: string,
  fields: Record<string, unknown>,
  options: LoadAdapterOptions,
  head: HeadType | undefined,
  headOptions: (model: Model) => Partial<HeadOptions>,
): Promise<{ model: Model; baseFolder?: string }> => {
  const { base, name: _, trained: __, ...opening } = options
  if (base instanceof Model) {
    // The bank's own model is the one that was there first.
    adaptersOf(base)
    const wanted = head ?? base.headType
    const asked = headOptions(base)
    if (wanted === base.headType && sameLabels(asked, base)) return { model: base }
    const model = withHead(base, wanted, { ...asked, ...options.headOptions })
    model.head.initialize({ std: base.facts.initializerRange, generator: new Generator(options.seed ?? 0) })
    const { dtype, device } = base.body.embedTokens
    model.head.to({ dtype, device })
    return { model }
  }
  const named = base ?? fields.base_model_name_or_path
  if (typeof named !== 'string' || named === '')
    throw new CheckpointError(
      `${folder}: Expected \`base_model_name_or_path\` to name the base, got ${show(named)}. Pass \`base\`.`,
    )
  const beside = join(folder, named)
  const relative = !isAbsolute(named) && /^\.\.?(\/|$)/.test(named) && (await exists(beside))
  const where = relative ? beside : named
  // The head's size is known once the base's kind is.
  const opened = await loadModelWithReport(where, { ...opening, head })
  const asked = { ...headOptions(opened.model), ...options.headOptions }
  if (sameLabels(asked, opened.model)) return { model: opened.model, baseFolder: opened.folder }
  // The base's own head is of another size: the adapter brings one.
  const newHead = asked.labels !== undefined && asked.labels.length !== opened.model.headOptions.labels.length
  const again = await loadModelWithReport(where, {
    ...opening,
    head: opened.model.headType,
    headOptions: asked,
    newHead,
  })
  return { model: again.model, baseFolder: again.folder }
}

/** Names count, not only their number: they are what predictions say. */
const sameLabels = ({ labels }: Partial<HeadOptions>, { headOptions }: Model): boolean =>
  labels === undefined || labels.join('\0') === headOptions.labels.join('\0')

/** @throws CheckpointError that lists every tensor and field that does not fit */
export const loadAdapterWith = async (
  registry: readonly AnyAdapter[],
  source: string,
  options: LoadAdapterOptions = {},
): Promise<LoadedAdapter> => {
  const folder = await resolveModel(source, options)
  const fields = await jsonObject(join(folder, CONFIG_FILE))
  if (fields === undefined) throw new CheckpointError(`${folder}: Expected an adapter with ${CONFIG_FILE}, found none.`)
  const definition = definitionFor(registry, fields.peft_type, join(folder, CONFIG_FILE))
  const prefix = definition.peft?.prefix ?? keyPrefix
  const given = await jsonObject(join(folder, EXTRA_FILE))
  const extra = given === undefined ? undefined : parseConfig(extraSchema, given, join(folder, EXTRA_FILE))
  const fresh = extra?.fresh
  if (fresh !== undefined && options.base instanceof Model)
    throw new CheckpointError(
      `${folder}: Expected a base of random weights, which the adapter was trained on, got the base in memory. Open this adapter by itself.`,
    )
  const weights = await openSafetensors(join(folder, WEIGHTS_FILE))
  const { model, baseFolder } = await openBase(
    folder,
    fields,
    // Random weights are those that the run drew only where they are drawn as it did.
    fresh === undefined ? options : { ...options, dtype: 'float32', device: undefined },
    options.head ?? extra?.head ?? headOfTask(fields.task_type),
    (base) => {
      if (extra !== undefined) return extra.headOptions
      const labels = labelsIn(
        base,
        options.head ?? headOfTask(fields.task_type) ?? base.headType,
        (key) => (weights.tensors.get(key) ?? weights.tensors.get(prefix + key))?.shape,
      )
      return labels === undefined ? {} : { labels }
    },
  )
  if (fresh !== undefined) {
    const { dtype, device } = options
    model.initialize({ std: model.facts.initializerRange, generator: new Generator(fresh) })
    if (dtype !== undefined || device !== undefined) model.to({ dtype, device })
  }
  const own = definition.peft === undefined
  const tensors = new Map(
    [...weights.tensors.keys()].map((key) => [
      own || !key.startsWith(prefix) ? key : key.slice(prefix.length),
      () => weights.tensor(key),
    ]),
  )
  const file = new PeftFile(folder, fields, tensors)
  file.refuseOthers(new Set([...commonFields, ...(definition.peft?.fields ?? [])]))
  const found: FoundAdapter<AnyConfig> = definition.peft?.read(file, model) ?? readOwn(file, definition, model)
  const copies = copiesIn(file, model, own)
  if (!own) {
    file.expect(savedKeys(model, textsIn(fields.modules_to_save)))
    file.settle()
  }
  const { name = 'default', trained = false } = options
  const bank = adaptersOf(model)
  if (trained) model.requireGrad(false)
  // What PEFT's fields cannot say stands beside them.
  const config = extra?.type === definition.type ? { ...found.config, ...extra.config } : found.config
  const entry = bank.add(definition, config, {
    name,
    seed: 0,
    model,
    trained,
    plan: found.plan,
    copied: [...copies.keys()],
  })
  try {
    found.fill(entry.attachment)
    file.settle()
    noGrad(() => {
      for (const [path, tensor] of copies) entry.copies.get(path)?.copy_(tensor)
    })
    expectFinite(bank.tensorsOf(name), folder)
  } catch (error) {
    bank.remove(name)
    throw error
  }
  return { model: bank.use(name), applied: new AppliedAdapter(bank, name), baseFolder }
}
