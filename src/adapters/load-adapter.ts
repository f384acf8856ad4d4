// Loads an adapter folder, PEFT's or ours, or a stack of them, onto a base that is in memory or that the folder names.
// Independent of methods.
import { readFile } from 'node:fs/promises'
import { basename, isAbsolute, join } from 'node:path'
import { z } from 'zod'
import {
  expandRules,
  expectBaseAt,
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
  withHead,
} from '../models/index.ts'
import { quantizations } from '../nn/index.ts'
import { expectPlacement, Generator, noGrad, type Tensor } from '../tensor/index.ts'
import type { AnyConfig } from './adapter.ts'
import { AppliedAdapter } from './apply.ts'
import { type AnyAdapter, adaptersOf } from './bank.ts'
import { type FoundAdapter, PeftFile } from './peft/format.ts'
import { headOfTask, rulesOf, savedKeys } from './peft/names.ts'
import { CONFIG_FILE, EXTRA_FILE, keyPrefix, ownType, stackSchema, stackType, WEIGHTS_FILE } from './save-adapter.ts'
import { TABLE_PATH, TIED_PATH, tiedLayer } from './targets.ts'

/** Options of `loadAdapter`. */
export interface LoadAdapterOptions extends Omit<LoadModelOptions, 'newHead' | 'config' | 'head'> {
  /** Head of the model (default: as in the adapter's files). */
  head?: HeadType
  /** The base: a model in memory, or a folder or Hub id instead of the one that the adapter names. */
  base?: Model | string
  /** Name of the adapter on this base (default: `default`). */
  name?: string
  /** Names of adapters that `base` has in memory to put it on, lowest first. */
  below?: readonly string[]
  /** Compute gradients, to train it further (default: false). */
  trainable?: boolean
}

/** An adapter on its base. */
export interface LoadedAdapter {
  /** The base with the active adapter and its head. */
  model: Model
  applied: AppliedAdapter
  /** Folder of the base, if it was loaded from one. */
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
  baseSeed: z.int().optional(),
  baseQuantization: z.enum(quantizations).optional(),
})

/** Fields of every PEFT file, and others that do not affect the values. */
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
    `${where}: Expected a \`peft_type\` of ${[...names.keys()].join(', ')}, got ${show(type)}. Convert the adapter, or merge it into its base with PEFT.`,
  )
}

/** Whether a folder, or the snapshot of a Hub model, contains an adapter instead of a model. */
export const isAdapterFolder = async (folder: string): Promise<boolean> => exists(join(folder, CONFIG_FILE))

/** Default label names for the size of the classifier in the file. */
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

/** An adapter in our own format, by the paths of our modules. */
const readOwn = (file: PeftFile, definition: AnyAdapter, model: Model): FoundAdapter<AnyConfig> => {
  const config = parseConfig(definition.config, file.fields.tunesmith, `${file.path}: tunesmith`) as AnyConfig
  return {
    config,
    plan: (context) => definition.plan(model, config, context),
    fill: ({ placements }) =>
      noGrad(() => {
        for (const { path, adapter } of placements)
          for (const [leaf, tensor] of adapter.ownParameters()) {
            const given = file.take(`${path}.adapter.${leaf}`, tensor.shape)
            if (given !== undefined) tensor.copy_(given)
          }
      }),
  }
}

const textsIn = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : []

/** Values of the model's own parameters in the file: its head, biases, layers. */
const copiesIn = (file: PeftFile, model: Model, own: boolean): Map<string, Tensor> => {
  const { rules, numLayers } = rulesOf(model)
  const layer = tiedLayer(model)
  const parameters = new Map([
    ...model.parameters(),
    ...(layer === undefined ? [] : ([[TIED_PATH, layer.weight]] as const)),
  ])
  const rest = new Map([...file.rest()].filter(([key]) => !(own && /\.adapter\./.test(key))))
  const state = own ? new Map([...rest].map(([key, read]) => [key, read()])) : fromHfKeys(rest, rules, numLayers).state
  const keyOf = (path: string) => {
    if (own) return path
    const rule = expandRules(rules, numLayers).find(({ ours }) => ours.includes(path))
    return rule?.theirs ?? path
  }
  // With its own token embeddings, PEFT leaves the tied output matrix as it was.
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

/** The base that the files of an adapter name: a folder or a Hub id. @throws CheckpointError where they name none */
const baseIn = async (folder: string, { base_model_name_or_path: named }: Record<string, unknown>): Promise<string> => {
  if (typeof named !== 'string' || named === '')
    throw new CheckpointError(
      `${folder}: Expected \`base_model_name_or_path\` to name the base, got ${show(named)}. Pass \`base\`.`,
    )
  const beside = join(folder, named)
  const relative = !isAbsolute(named) && /^\.\.?(\/|$)/.test(named) && (await exists(beside))
  return relative ? beside : named
}

/**
 * The base of an adapter's folder: a folder or a Hub id.
 * @throws CheckpointError for a folder without an adapter, or one whose files name no base
 */
export const baseOfAdapter = async (folder: string): Promise<string> => {
  return baseIn(folder, await adapterFields(folder))
}

const adapterFields = async (folder: string): Promise<Record<string, unknown>> => {
  const fields = await jsonObject(join(folder, CONFIG_FILE))
  if (fields === undefined) throw new CheckpointError(`${folder}: Expected an adapter with ${CONFIG_FILE}, found none.`)
  return fields
}

/**
 * The folders of the adapters in a folder, lowest first: those of a stack, or the folder itself.
 * @throws CheckpointError for a folder without an adapter, or a stack without its parts
 */
export const adapterFolders = async (folder: string): Promise<string[]> => {
  const fields = await adapterFields(folder)
  if (fields.peft_type !== ownType(stackType)) return [folder]
  const { adapters } = parseConfig(stackSchema, fields.tunesmith, `${join(folder, CONFIG_FILE)}: tunesmith`)
  const parts = await Promise.all(adapters.map((name) => adapterFolders(join(folder, name))))
  return parts.flat()
}

/** A name for an adapter by its folder, or by that of its run. */
export const adapterName = (path: string): string => {
  const parts = path.split(/[\\/]+/).filter((part) => part !== '')
  const last = (parts.at(-1) === 'model' ? parts.at(-2) : parts.at(-1)) ?? ''
  const name = last.replace(/[^\w-]+/g, '-')
  return /^[A-Za-z]/.test(name) ? name : `adapter-${name}`
}

/** The files with the weights of an adapter, or of all adapters of a stack. */
export const adapterWeightFiles = async (folder: string): Promise<string[]> =>
  (await adapterFolders(folder)).map((one) => join(one, WEIGHTS_FILE))

const loadBase = async (
  folder: string,
  fields: Record<string, unknown>,
  options: LoadAdapterOptions,
  head: HeadType | undefined,
  headOptions: (model: Model) => Partial<HeadOptions>,
): Promise<{ model: Model; baseFolder?: string }> => {
  const { base, name: _, trainable: __, below: ___, ...loading } = options
  if (base instanceof Model) {
    // The first model of a body is the bank's own: make the bank before another head is put on the body.
    adaptersOf(base)
    const wanted = head ?? base.headType
    const given = headOptions(base)
    if (wanted === base.headType && sameOptions(given, base)) return { model: base }
    const model = withHead(base, wanted, { ...given, ...options.headOptions })
    model.head.initialize({ std: base.facts.initializerRange, generator: new Generator(options.seed ?? 0) })
    const { dtype, device } = base.body.embedTokens
    model.head.to({ dtype, device })
    return { model }
  }
  const where = base ?? (await baseIn(folder, fields))
  if (base === undefined)
    await expectBaseAt(where, { of: 'the adapter', folder, file: CONFIG_FILE, field: 'base_model_name_or_path' })
  // The size of the head is only known once the architecture of the base is.
  const loaded = await loadModelWithReport(where, { ...loading, head })
  const given = { ...headOptions(loaded.model), ...options.headOptions }
  if (sameOptions(given, loaded.model)) return { model: loaded.model, baseFolder: loaded.folder }
  // The base's own head has another size: the adapter's files contain the head.
  const newHead = given.labels !== undefined && given.labels.length !== loaded.model.headOptions.labels.length
  const again = await loadModelWithReport(where, {
    ...loading,
    head: loaded.model.headType,
    headOptions: given,
    newHead,
  })
  return { model: again.model, baseFolder: again.folder }
}

/** Whether the label names are equal, not only their number: predictions are label names. */
const sameOptions = (
  { labels, rewardScale, pooling, normalize }: Partial<HeadOptions>,
  { headOptions }: Model,
): boolean =>
  (pooling === undefined || pooling === headOptions.pooling) &&
  (normalize === undefined || normalize === headOptions.normalize) &&
  (labels === undefined || labels.join('\0') === headOptions.labels.join('\0')) &&
  rewardScale?.mean === headOptions.rewardScale?.mean &&
  rewardScale?.deviation === headOptions.rewardScale?.deviation

/** The files of one adapter. */
interface AdapterFiles {
  folder: string
  fields: Record<string, unknown>
  definition: AnyAdapter
  extra?: z.output<typeof extraSchema>
  weights: Awaited<ReturnType<typeof openSafetensors>>
}

const readFiles = async (registry: readonly AnyAdapter[], folder: string): Promise<AdapterFiles> => {
  const fields = await adapterFields(folder)
  const definition = definitionFor(registry, fields.peft_type, join(folder, CONFIG_FILE))
  const given = await jsonObject(join(folder, EXTRA_FILE))
  const extra = given === undefined ? undefined : parseConfig(extraSchema, given, join(folder, EXTRA_FILE))
  return { folder, fields, definition, extra, weights: await openSafetensors(join(folder, WEIGHTS_FILE)) }
}

const prefixOf = ({ peft }: AnyAdapter): string => peft?.prefix ?? keyPrefix

/** The model that an adapter was trained on: the one in memory, or one that is loaded. */
const openBase = async (
  { folder, fields, definition, extra, weights }: AdapterFiles,
  options: LoadAdapterOptions,
): Promise<{ model: Model; baseFolder?: string }> => {
  const baseSeed = extra?.baseSeed
  if (baseSeed !== undefined && options.base instanceof Model)
    throw new CheckpointError(
      `${folder}: Expected a randomly initialised base, which the adapter was trained on, got a base in memory. Load this adapter without \`base\`.`,
    )
  const opened = await loadBase(
    folder,
    fields,
    // The same random weights as in the run need the same dtype and device as in the run.
    baseSeed === undefined ? options : { ...options, dtype: 'float32', device: undefined },
    options.head ?? extra?.head ?? headOfTask(fields.task_type),
    (base) => {
      if (extra !== undefined) return extra.headOptions
      const labels = labelsIn(
        base,
        options.head ?? headOfTask(fields.task_type) ?? base.headType,
        (key) => (weights.tensors.get(key) ?? weights.tensors.get(prefixOf(definition) + key))?.shape,
      )
      return labels === undefined ? {} : { labels }
    },
  )
  if (baseSeed !== undefined) {
    const { model } = opened
    const { dtype, device } = options
    model.initialize({ std: model.facts.initializerRange, generator: new Generator(baseSeed) })
    if (dtype !== undefined || device !== undefined) model.to({ dtype, device })
  }
  return opened
}

/** Puts the adapter of files on a model, without activating it. */
const addFromFiles = (
  { folder, fields, definition, extra, weights }: AdapterFiles,
  model: Model,
  options: { name: string; trainable?: boolean; below?: readonly string[]; part?: string },
): void => {
  const prefix = prefixOf(definition)
  const own = definition.peft === undefined
  const tensors = new Map(
    [...weights.tensors.keys()].map((key) => [
      own || !key.startsWith(prefix) ? key : key.slice(prefix.length),
      () => weights.tensor(key),
    ]),
  )
  const file = new PeftFile(folder, fields, tensors)
  file.refuseUnknownFields(new Set([...commonFields, ...(definition.peft?.fields ?? [])]))
  const found: FoundAdapter<AnyConfig> = definition.peft?.read(file, model) ?? readOwn(file, definition, model)
  const copies = copiesIn(file, model, own)
  if (!own) {
    file.expect(savedKeys(model, textsIn(fields.modules_to_save)))
    file.throwFaults()
  }
  const { name, trainable = false, below, part } = options
  const bank = adaptersOf(model)
  // Settings that PEFT's fields cannot express are in a file of our own.
  const config = extra?.type === definition.type ? { ...found.config, ...extra.config } : found.config
  const entry = bank.add(definition, config, {
    name,
    seed: 0,
    model,
    trainable,
    below,
    part,
    plan: found.plan,
    copied: [...copies.keys()],
    baseQuantization: extra?.baseQuantization,
  })
  try {
    found.fill(entry.attachment)
    file.throwFaults()
    noGrad(() => {
      for (const [path, tensor] of copies) entry.copies.get(path)?.copy_(tensor)
    })
    expectFinite(bank.tensorsOf(name), folder)
  } catch (error) {
    bank.remove(name)
    throw error
  }
}

/** Puts the adapters of files on a model, each on those before it. @returns the model with the head of the last one */
const addStack = async (all: readonly AdapterFiles[], base: Model, options: LoadAdapterOptions): Promise<Model> => {
  const { name = 'default', trainable, below = [] } = options
  const bank = adaptersOf(base)
  const added: string[] = []
  const fuses = all[all.length - 1].definition.fuses ?? false
  let model = base
  try {
    for (const [i, files] of all.entries()) {
      const isTop = i === all.length - 1
      // Those below may have been trained with other heads, which stay apart.
      if (!isTop) ({ model } = await openBase(files, { ...options, head: undefined, headOptions: undefined, base }))
      const part = basename(files.folder)
      const own = isTop ? name : bank.unusedName(`${name}-${part}`)
      addFromFiles(files, isTop ? base : model, {
        name: own,
        // Those that are fused do not stand on each other.
        below: isTop || !fuses ? [...below, ...added] : below,
        ...(isTop ? { trainable } : { part }),
      })
      added.push(own)
    }
  } catch (error) {
    // Those of a stack are removed with the one above them.
    for (const one of [...added].reverse()) if (bank.has(one)) bank.remove(one)
    throw error
  }
  return base
}

/**
 * Loads an adapter of one of the methods, or a stack of them.
 * @throws CheckpointError that lists every tensor and field that does not fit
 */
export const loadAdapterWith = async (
  registry: readonly AnyAdapter[],
  source: string,
  options: LoadAdapterOptions = {},
): Promise<LoadedAdapter> => {
  expectPlacement(options)
  const folder = await resolveModel(source, options)
  const all = await Promise.all((await adapterFolders(folder)).map((one) => readFiles(registry, one)))
  const top = all[all.length - 1]
  // The base that a stack as a whole names, which may have been given another since its adapters were trained.
  const fields = { ...top.fields, base_model_name_or_path: (await adapterFields(folder)).base_model_name_or_path }
  const { model, baseFolder } = await openBase({ ...top, folder, fields }, options)
  const { name = 'default', trainable = false } = options
  const bank = adaptersOf(model)
  if (trainable) model.requireGrad(false)
  await addStack(all, model, options)
  return { model: bank.activate(name), applied: new AppliedAdapter(bank, name), baseFolder }
}
