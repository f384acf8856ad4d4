// Opens what transformers wrote as a model with a head: one report says what was missing, left aside or misshapen.
import { CheckpointError, ConfigError, createLogger } from '../core/index.ts'
import {
  buildModel,
  expectFinite,
  type HeadOptions,
  type HeadType,
  headEntry,
  headsOf,
  type Model,
  type ModelDefinition,
  modelKeys,
} from '../models/index.ts'
import { buildShapes, compareState, describeReport, type KeyRule, type LoadReport, materialize } from '../nn/index.ts'
import { type Dtype, Generator, type Tensor } from '../tensor/index.ts'
import { architectureOf, definitionOf, type HfFields, headOfClass, headOptionsOf } from './hf-config.ts'
import { expandRules, fromHfKeys } from './hf-keys.ts'
import { type ResolveOptions, resolveModel } from './hub.ts'
import { sentenceOptions } from './sentence-settings.ts'
import { openWeights } from './weights.ts'

export interface LoadModelOptions extends ResolveOptions {
  /** What the model predicts: a head, or the first of several that the architecture has; that of the files' own class unless given. */
  head?: HeadType | readonly HeadType[]
  /** Over what config.json says of the head: labels, dropout, pooling. */
  headOptions?: Partial<HeadOptions>
  /** Over what config.json says of the architecture, such as dropout, by our names. */
  config?: Record<string, unknown>
  /** Converts parameters; kept as stored unless given. */
  dtype?: Dtype
  device?: string
  /** Draw a fresh head even where the files have one of this kind. */
  newHead?: boolean
  /** Of the fresh head's values. */
  seed?: number
  /** For weights that are frozen one by one: what was read of a matrix leaves memory when it is freed. */
  mapEachTensor?: boolean
  /** Check that all weights are finite, before they are first used (default: true). */
  checkWeights?: boolean
}

export interface ModelLoadReport {
  /** Parameters of the head that the files do not have: freshly drawn. */
  newHead: string[]
  /** Keys of other heads of this architecture, and of parts of the body that this head does without: left in the file. */
  unused: string[]
  /** What was unusual, in sentences. */
  notes: string[]
}

export interface LoadedModel {
  model: Model
  report: ModelLoadReport
  /** Folder of the files, for the tokenizer; undefined for a single file that holds everything. */
  folder?: string
}

/** Where a model came from, so that what we do not know of is kept when it is saved. */
export interface ModelSource {
  fields: HfFields
  /** Names of fields that are floating point numbers. */
  floats?: ReadonlySet<string>
  folder?: string
  tokenizer?: Record<string, unknown>
  /** Tensors of the class that the model has no use for, by their keys: a bare body's pooler. */
  extra?: Map<string, () => Tensor>
}
const sources = new WeakMap<Model, ModelSource>()
export const sourceOf = (model: Model): ModelSource | undefined => sources.get(model)
export const rememberSource = (model: Model, source: ModelSource): void => {
  sources.set(model, source)
}

// Names that TensorFlow's checkpoints left in some of BERT's files.
const modernName = (key: string) =>
  key.replace(/LayerNorm\.gamma$/, 'LayerNorm.weight').replace(/LayerNorm\.beta$/, 'LayerNorm.bias')

/** Keys of a head under the prefix that the body's keys have in this file: BERT's pooler stands among them. */
const underPrefix = (rules: readonly KeyRule[], definition: ModelDefinition, prefix: string): KeyRule[] =>
  rules.map((rule) =>
    definition.hfPrefix !== '' && rule.theirs.startsWith(definition.hfPrefix)
      ? { ...rule, theirs: prefix + rule.theirs.slice(definition.hfPrefix.length) }
      : rule,
  )

const layersOf = (definition: ModelDefinition, config: object) => definition.facts(config).numLayers

/** The prefix under which most of the body's keys are found. */
const findPrefix = (keys: ReadonlySet<string>, definition: ModelDefinition, config: object, head: HeadType): string => {
  const own = headEntry(definition, config, head).prefix
  const others = Object.values(headsOf(definition, config)).map((entry) => entry.prefix)
  const candidates = new Set([own, definition.hfPrefix, ...others, ''].filter((prefix) => prefix !== undefined))
  const names = expandRules(definition.hfKeys(config), layersOf(definition, config)).map(({ theirs }) => theirs)
  const found = (prefix: string) => names.reduce((count, name) => count + (keys.has(prefix + name) ? 1 : 0), 0)
  return [...candidates].reduce((best, prefix) => (found(prefix) > found(best) ? prefix : best))
}

/** Every name that some head of the architecture has in its files. */
const namesOfHeads = (definition: ModelDefinition, config: object, prefix: string): Set<string> =>
  new Set(
    Object.values(headsOf(definition, config)).flatMap(({ keys }) =>
      expandRules(underPrefix(keys, definition, prefix), 0).flatMap(({ theirs, others }) => [theirs, ...others]),
    ),
  )

const pooler = /(^|\.)pooler\.dense\.(weight|bias)$/

/** A tied output matrix that the files hold all the same: the same values are no matter, others untie it, as transformers does. */
const settleTie = (state: Map<string, Tensor>, tied: boolean): { tied: boolean; note?: string } => {
  const [output, embedding] = [state.get('head.lmHead.weight'), state.get('body.embedTokens.weight')]
  if (!tied || output === undefined) return { tied }
  if (embedding === undefined) state.set('body.embedTokens.weight', output)
  else if (embedding.shape.join() !== output.shape.join() || !embedding.equal(output))
    return {
      tied: false,
      note: 'config.json ties the output layer to the embedding, but the file holds two different matrices: they are kept apart.',
    }
  state.delete('head.lmHead.weight')
  return { tied }
}

const refuse = (report: LoadReport, path: string, hint = ''): never => {
  throw new CheckpointError(`${path}: ${describeReport(report)}${hint}`, report)
}

/** @throws ConfigError where the architecture has none of them */
const chosenHead = (
  head: HeadType | readonly HeadType[] | undefined,
  definition: ModelDefinition,
  config: object,
): HeadType | undefined => {
  if (head === undefined || typeof head === 'string') return head
  const entries = headsOf(definition, config)
  const found = head.find((one) => entries[one] !== undefined)
  if (found !== undefined) return found
  throw new ConfigError(
    `Expected a model with a head of ${head.join(' or ')}, got the architecture ${definition.type}, which has ${Object.keys(entries).join(', ')}. Choose another base.`,
  )
}

/** Opens a folder, a .gguf file or a Hub id. @throws CheckpointError that lists every key that does not fit */
export const loadModelWithReport = async (model: string, options: LoadModelOptions = {}): Promise<LoadedModel> => {
  const path = await resolveModel(model, options)
  const weights = await openWeights(path, { mapEachTensor: options.mapEachTensor })
  const { fields, floats, folder } = weights
  const definition = definitionOf(fields, path)
  let config = definition.adjust(definition.fromHf(fields) as object, options.config ?? {})
  const hfClass = architectureOf(fields)
  const ownHead = headOfClass(definition, config, hfClass)
  const head = chosenHead(options.head, definition, config) ?? ownHead ?? 'embedding'
  const { bare = false } = headEntry(definition, config, head)
  const headOptions = {
    ...headOptionsOf(fields),
    ...(bare ? await sentenceOptions(folder) : {}),
    ...options.headOptions,
  }
  const keys = new Map([...weights.tensors].map(([key, read]) => [modernName(key), read]))
  const prefix = findPrefix(new Set(keys.keys()), definition, config, head)
  const rules = underPrefix(modelKeys(definition, config, head, prefix), definition, prefix)
  const usable = options.newHead
    ? rules.filter(({ ours }) => (typeof ours === 'string' ? ours : ours[0]).startsWith('body.'))
    : rules
  const { state, unknown } = fromHfKeys(keys, usable, layersOf(definition, config))
  const notes: string[] = []
  const tie = settleTie(state, definition.facts(config).tiedEmbeddings)
  if (tie.note !== undefined) {
    notes.push(tie.note)
    config = definition.adjust(config, { tiedEmbeddings: false })
  }

  // The files fill it: until then its parameters need no memory.
  const built = buildShapes(() => buildModel(definition, config, head, headOptions))
  const { initializerRange: std } = built.facts
  const report = compareState(built.parameters(), state)
  const fresh = report.missing.filter((name) => name.startsWith('head.'))
  const sameClass = headEntry(definition, config, head).hfClass === hfClass && hfClass !== undefined
  if (fresh.length > 0 && sameClass && !options.newHead)
    refuse(report, path, ` config.json says that the files are of ${hfClass}; pass \`newHead\` to draw the head anew.`)
  const heads = namesOfHeads(definition, config, prefix)
  const aside = unknown.filter((key) => heads.has(key) || pooler.test(key))
  const set = new Set(aside)
  const unexpected = unknown.filter((key) => !set.has(key) && !definition.hfIgnored.some((rule) => rule.test(key)))
  const missing = report.missing.filter((name) => !name.startsWith('head.'))
  if (missing.length + unexpected.length + report.mismatched.length > 0)
    refuse(
      { missing, unexpected, mismatched: report.mismatched },
      path,
      report.mismatched.some((line) => line.startsWith('head.')) ? ' Pass `newHead` to draw another head.' : '',
    )
  if (fresh.length > 0) {
    built.replaceParameters((path, parameter) => (path.startsWith('head.') ? materialize(parameter) : parameter))
    built.head.initialize({ std, generator: new Generator(options.seed ?? 0) })
  }
  built.loadState(state, { strict: false, copy: false })
  if (fresh.length > 0) likeBody(built, new Set(fresh))
  if (options.dtype !== undefined || options.device !== undefined)
    built.to({ dtype: options.dtype, device: options.device })
  const extra = new Map(
    bare ? aside.filter((key) => pooler.test(key)).map((key) => [key.slice(prefix.length), keys.get(key)!]) : [],
  )
  rememberSource(built, { fields, floats, folder, tokenizer: weights.tokenizer, extra })
  if (options.checkWeights ?? true) built.checkBeforeUse(() => expectFinite(built.parameters(), path))
  // Parts of the body that this head does without, such as a decoder.
  const own = built.parameters()
  const idle = expandRules(usable, layersOf(definition, config)).filter(({ ours }) =>
    ours.some((path) => state.has(path) && !own.has(path)),
  )
  aside.push(...idle.map(({ theirs }) => theirs))
  return { model: built.eval(), report: { newHead: fresh, unused: aside, notes }, folder }
}

/** Fresh values are drawn in float32; what they stand on may be of another kind. */
const likeBody = (model: Model, fresh: ReadonlySet<string>): void => {
  const { dtype } = model.body.embedTokens.weight
  model.replaceParameters((path, parameter) => (fresh.has(path) ? parameter.to(dtype) : parameter))
}

const listed = (names: readonly string[]): string =>
  names.length > 12 ? `${names.slice(0, 10).join(', ')} and ${names.length - 10} more` : names.join(', ')

/** Sentences for people; none when nothing was unusual. */
export const describeModelLoad = ({ newHead, unused: aside, notes }: ModelLoadReport): string[] => [
  ...(newHead.length > 0
    ? [`The head is new, its values are drawn at random: ${listed(newHead)}. Train it before use.`]
    : []),
  ...(aside.length > 0 && newHead.length > 0 ? [`Left aside, as this head does without: ${listed(aside)}.`] : []),
  ...notes,
]

/**
 * A model from a folder, a .gguf file or a Hub id, in evaluation mode; unusual findings are logged as warnings.
 * @throws CheckpointError for files that do not fit, ConfigError for a head that the architecture does not have
 */
export const loadModel = async (model: string, options: LoadModelOptions = {}): Promise<Model> => {
  const opened = await loadModelWithReport(model, options)
  const logger = createLogger('checkpoint')
  for (const line of describeModelLoad(opened.report)) logger.warn(`${model}: ${line}`)
  return opened.model
}

/** Copies the weights of a folder that `saveModel` wrote from the same kind of model into its parameters. @throws CheckpointError */
export const loadWeightsInto = async (model: Model, folder: string): Promise<void> => {
  const { definition, config, headType } = model
  const { tensors } = await openWeights(folder)
  const { state, unknown } = fromHfKeys(tensors, modelKeys(definition, config, headType), layersOf(definition, config))
  if (unknown.length > 0) refuse({ missing: [], unexpected: unknown, mismatched: [] }, folder)
  model.loadState(state)
}
