// Loads files of transformers as a model with a head, with one report of missing, unused and mismatched tensors.
import { CheckpointError, ConfigError, createLogger, optionCheck } from '../core/index.ts'
import {
  buildModel,
  dropoutSettings,
  expectFinite,
  expectFiniteBlocks,
  type HeadOptions,
  type HeadType,
  headEntry,
  headsOf,
  type Model,
  type ModelDefinition,
  modelKeys,
  quantizeToBlocks,
} from '../models/index.ts'
import {
  type BlockMatrix,
  blockMatrixOf,
  buildShapes,
  compareState,
  describeReport,
  Embedding,
  type KeyRule,
  Linear,
  type LoadReport,
  materialize,
} from '../nn/index.ts'
import { type Dtype, defaultDevice, expectPlacement, Generator, type Tensor } from '../tensor/index.ts'
import { architectureOf, definitionOf, type HfFields, headOfClass, headOptionsOf } from './hf-config.ts'
import { expandRules, fromHfKeys } from './hf-keys.ts'
import { type ResolveOptions, resolveModel } from './hub.ts'
import { sentenceOptions } from './sentence-settings.ts'
import { type OpenedWeights, openWeights } from './weights.ts'

/** Options of `loadModel`. */
export interface LoadModelOptions extends ResolveOptions {
  /** Head of the model, or the first of several that the architecture has (default: the head of the files). */
  head?: HeadType | readonly HeadType[] | undefined
  /** Labels, dropout, pooling: override those of config.json. */
  headOptions?: Partial<HeadOptions> | undefined
  /** Settings of the architecture by our names, such as dropout: override those of config.json. */
  config?: Record<string, unknown> | undefined
  /** Dropout of the body in training, from 0 to below 1, in place of the values of config.json. */
  dropout?: number | undefined
  /** dtype of the parameters (default: as stored). */
  dtype?: Dtype | undefined
  device?: string | undefined
  /** Initialise the head at random even if the files have one of this kind. */
  newHead?: boolean | undefined
  /** Random seed of a new head (default: 0). */
  seed?: number | undefined
  /**
   * Give each tensor its own mapping, for converting one matrix at a time: its pages leave memory when it is freed (default: where
   * `dtype` or `device` converts them).
   */
  mapEachTensor?: boolean | undefined
  /** Check that all weights are finite, before they are first used (default: true). */
  checkWeights?: boolean | undefined
  /**
   * Quantised matrices of a GGUF file as they lie in the file, or converted to float32 (default: unpacked). `q8_0` and `int8`
   * quantise the matrices of other files to 8 bits, see `quantizeToBlocks`.
   */
  weights?: WeightForm | undefined
}

const expectOptions = optionCheck<LoadModelOptions>('loadModel', {
  revision: true,
  offline: true,
  cacheDir: true,
  onProgress: true,
  head: true,
  headOptions: true,
  config: true,
  dropout: true,
  dtype: true,
  device: true,
  newHead: true,
  seed: true,
  mapEachTensor: true,
  checkWeights: true,
  weights: true,
})

/** Forms of quantised matrices in memory. */
export const weightForms = ['packed', 'unpacked', 'q8_0', 'int8'] as const
/** Form of quantised matrices in memory. */
export type WeightForm = (typeof weightForms)[number]

/** The format to which a form quantises the matrices of files in floats; undefined for a form of a GGUF file. */
export const quantizedFormat = (weights: WeightForm | undefined): 'Q8_0' | 'int8' | undefined =>
  weights === 'q8_0' ? 'Q8_0' : weights === 'int8' ? weights : undefined

/** @throws ConfigError for a form that the files of a model cannot have */
export const expectWeightForm = (path: string, weights: WeightForm | undefined): void => {
  if (weights === undefined) return
  const quantised = path.endsWith('.gguf')
  const quantises = quantizedFormat(weights) !== undefined
  if (quantises && quantised)
    throw new ConfigError(
      `\`weights: ${weights}\` quantises the matrices of a folder, got ${path}, which has a form of its own. Leave it out.`,
    )
  if (!quantises && !quantised)
    throw new ConfigError(
      `\`weights: ${weights}\` needs a .gguf file, got ${path}. Leave it out, or set it to q8_0 or int8.`,
    )
}

/** What was unusual about the files of a model. */
export interface ModelLoadReport {
  /** Parameters of the head that the files do not have, which were randomly initialised. */
  newHead: string[]
  /** Keys that were not used: those of other heads, and of parts of the body that this head does not need. */
  unused: string[]
  /** Other findings, as sentences. */
  notes: string[]
}

/** A model, and how its files were read. */
export interface LoadedModel {
  model: Model
  report: ModelLoadReport
  /** Folder of the files, for the tokenizer; undefined for a GGUF file. */
  folder?: string
}

/** Origin of a model, so that fields and files that we do not use are kept when it is saved. */
export interface ModelSource {
  fields: HfFields
  /** Names of fields with floating point numbers. */
  floats?: ReadonlySet<string>
  folder?: string
  /** The tokenizer files of a GGUF file, by name. */
  tokenizer?: Record<string, Uint8Array>
  /** Unused tensors that are saved again, by key: the pooler of a body without a head. */
  extra?: Map<string, () => Tensor>
}
const sources = new WeakMap<Model, ModelSource>()
/** Origin of a loaded model. */
export const sourceOf = (model: Model): ModelSource | undefined => sources.get(model)
/** Sets the origin of a model. */
export const rememberSource = (model: Model, source: ModelSource): void => {
  sources.set(model, source)
}

// Some files of BERT have the parameter names of TensorFlow.
const modernName = (key: string) =>
  key.replace(/LayerNorm\.gamma$/, 'LayerNorm.weight').replace(/LayerNorm\.beta$/, 'LayerNorm.bias')

/** Key rules of a head with the prefix of the body in this file, since BERT's pooler belongs to head and body. */
const underPrefix = (rules: readonly KeyRule[], definition: ModelDefinition, prefix: string): KeyRule[] =>
  rules.map((rule) =>
    definition.hfPrefix !== '' && rule.theirs.startsWith(definition.hfPrefix)
      ? { ...rule, theirs: prefix + rule.theirs.slice(definition.hfPrefix.length) }
      : rule,
  )

const layersOf = (definition: ModelDefinition, config: object) => definition.facts(config).numLayers

/** The prefix with which most keys of the body are found. */
const findPrefix = (keys: ReadonlySet<string>, definition: ModelDefinition, config: object, head: HeadType): string => {
  const own = headEntry(definition, config, head).prefix
  const others = Object.values(headsOf(definition, config)).map((entry) => entry.prefix)
  const candidates = new Set([own, definition.hfPrefix, ...others, ''].filter((prefix) => prefix !== undefined))
  const names = expandRules(definition.hfKeys(config), layersOf(definition, config)).map(({ theirs }) => theirs)
  const found = (prefix: string) => names.reduce((count, name) => count + (keys.has(prefix + name) ? 1 : 0), 0)
  return [...candidates].reduce((best, prefix) => (found(prefix) > found(best) ? prefix : best))
}

/** All keys of all heads of the architecture. */
const namesOfHeads = (definition: ModelDefinition, config: object, prefix: string): Set<string> =>
  new Set(
    Object.values(headsOf(definition, config)).flatMap(({ keys }) =>
      expandRules(underPrefix(keys, definition, prefix), 0).flatMap(({ theirs, others }) => [theirs, ...others]),
    ),
  )

const pooler = /(^|\.)pooler(\.dense)?\.(weight|bias)$/

/**
 * Handles a tied output matrix that is in the files too: equal values are ignored, others untie it, as in transformers.
 */
const settleTie = (state: Map<string, Tensor>, tied: boolean): { tied: boolean; note?: string } => {
  const [output, embedding] = [state.get('head.lmHead.weight'), state.get('body.embedTokens.weight')]
  if (!tied || output === undefined) return { tied }
  if (embedding === undefined) state.set('body.embedTokens.weight', output)
  else if (embedding.shape.join() !== output.shape.join() || !embedding.equal(output))
    return {
      tied: false,
      note: 'config.json ties the output layer to the embedding, but the file has two different matrices: they are not tied.',
    }
  state.delete('head.lmHead.weight')
  return { tied }
}

const refuse = (report: LoadReport, path: string, hint = ''): never => {
  throw new CheckpointError(`${path}: ${describeReport(report)}${hint}`, report)
}

/** Buffers that we do not have are zero, or the outputs would be others. @throws CheckpointError */
const expectZeros = (
  { hfZeros = [] }: ModelDefinition,
  keys: ReadonlyMap<string, () => Tensor>,
  path: string,
): void => {
  for (const [key, read] of keys)
    if (hfZeros.some((rule) => rule.test(key)) && read().abs().max().item() !== 0)
      throw new CheckpointError(
        `${path}: Expected zeros for \`${key}\`, got other values, which are not supported. Choose another base.`,
      )
}

/** Copies of a tensor have its values, or the model computes with others. @throws CheckpointError */
const expectCopies = (
  { hfCopies }: ModelDefinition,
  keys: ReadonlyMap<string, () => Tensor>,
  prefix: string,
  path: string,
): void => {
  const original = hfCopies && keys.get(prefix + hfCopies.of)
  if (original === undefined) return
  for (const name of hfCopies?.theirs ?? []) {
    const [copy, value] = [keys.get(prefix + name)?.(), original()]
    if (copy !== undefined && (copy.shape.join() !== value.shape.join() || !copy.equal(value)))
      throw new CheckpointError(
        `${path}: Expected the values of \`${prefix}${hfCopies?.of}\` for \`${prefix}${name}\`, got others: a table of embeddings for each stack is not supported. Choose another base.`,
      )
  }
}

/** Whether a key is of a tensor that files may have, and that is no parameter. */
const isBeside = (key: string, { hfIgnored, hfZeros = [], hfCopies }: ModelDefinition, prefix: string): boolean =>
  [...hfIgnored, ...hfZeros].some((rule) => rule.test(key)) ||
  (hfCopies?.theirs ?? []).some((name) => key === prefix + name)

/** The first of several heads that the architecture has. @throws ConfigError if it has none of them */
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
    `Expected a model with the head ${head.join(' or ')}, got the architecture ${definition.type}, which has ${Object.keys(entries).join(', ')}. Choose another base.`,
  )
}

/**
 * The head of files whose config.json names no class, as a body saved by hand or by an old version of transformers has it: a decoder
 * whose files hold an output layer, or tie it to the embedding, continues texts.
 */
const headWithoutClass = (
  { fields, tensors }: OpenedWeights,
  definition: ModelDefinition,
  config: object,
): HeadType | undefined => {
  if (architectureOf(fields) !== undefined) return undefined
  const { causal, tiedEmbeddings } = definition.facts(config)
  const entry = headsOf(definition, config)['causal-lm']
  if (!causal || entry === undefined) return undefined
  const held = expandRules(entry.keys, 0).some(({ theirs, others }) =>
    [theirs, ...others].some((key) => tensors.has(key)),
  )
  return tiedEmbeddings || held ? 'causal-lm' : undefined
}

/**
 * As `loadModel`, with a report of what was unusual instead of warnings.
 * @throws CheckpointError that lists every key that does not fit; ConfigError for a device or dtype that cannot be used
 */
export const loadModelWithReport = async (model: string, options: LoadModelOptions = {}): Promise<LoadedModel> => {
  expectPlacement(options)
  const path = await resolveModel(model, options)
  expectWeightForm(path, options.weights)
  const packed = options.weights === 'packed'
  const quantized = quantizedFormat(options.weights)
  if ((packed || quantized !== undefined) && options.dtype !== undefined)
    throw new ConfigError(
      `\`weights: ${options.weights}\` has float32 beside the matrices: leave out \`dtype\`, or ${packed ? 'set `weights` to unpacked' : 'leave out `weights`'}.`,
    )
  const converts = options.dtype !== undefined || (options.device ?? defaultDevice()) !== 'cpu'
  const weights = await openWeights(path, { mapEachTensor: options.mapEachTensor ?? converts, packed })
  const { fields, floats, folder } = weights
  const definition = definitionOf(fields, path)
  const stored = definition.fromHf(fields) as object
  const dropout = options.dropout === undefined ? {} : dropoutSettings(stored, options.dropout)
  let config = definition.adjust(stored, { ...dropout, ...options.config })
  const hfClass = architectureOf(fields)
  const own = headOptionsOf(fields)
  const ownHead = headOfClass(definition, config, hfClass, own.labels)
  const head =
    chosenHead(options.head, definition, config) ??
    ownHead ??
    headWithoutClass(weights, definition, config) ??
    'embedding'
  const { bare = false } = headEntry(definition, config, head)
  const headOptions = {
    ...own,
    ...(bare ? { ...(await sentenceOptions(folder)), ...weights.headOptions } : {}),
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

  // Parameters take no memory until the files fill them.
  const built = buildShapes(() => buildModel(definition, config, head, headOptions))
  const { initializerRange: std } = built.facts
  const report = compareState(built.parameters(), state)
  const newHead = report.missing.filter((name) => name.startsWith('head.'))
  const sameClass = headEntry(definition, config, head).hfClass === hfClass && hfClass !== undefined
  if (newHead.length > 0 && sameClass && !options.newHead)
    refuse(
      report,
      path,
      ` According to config.json the files are of ${hfClass}; pass \`newHead\` to initialise the head at random.`,
    )
  const heads = namesOfHeads(definition, config, prefix)
  const unused = unknown.filter((key) => heads.has(key) || pooler.test(key))
  const set = new Set(unused)
  expectZeros(definition, keys, path)
  expectCopies(definition, keys, prefix, path)
  const unexpected = unknown.filter((key) => !set.has(key) && !isBeside(key, definition, prefix))
  const missing = report.missing.filter((name) => !name.startsWith('head.'))
  if (missing.length + unexpected.length + report.mismatched.length > 0)
    refuse(
      { missing, unexpected, mismatched: report.mismatched },
      path,
      report.mismatched.some((line) => line.startsWith('head.'))
        ? ' Pass `newHead` to initialise another head at random.'
        : '',
    )
  if (newHead.length > 0) {
    built.replaceParameters((path, parameter) => (path.startsWith('head.') ? materialize(parameter) : parameter))
    built.head.initialize({ std, generator: new Generator(options.seed ?? 0) })
  }
  built.loadState(state, { strict: false, copy: false })
  const blocks = takeBlocks(built)
  if (newHead.length > 0) matchDtypeOfBody(built, new Set(newHead))
  const { dtype, device = defaultDevice() } = options
  // Blocks are written on the CPU.
  if (quantized !== undefined) quantizeToBlocks(built, quantized)
  if (dtype !== undefined || device !== 'cpu') built.to({ dtype, device })
  const extra = new Map(
    bare ? unused.filter((key) => pooler.test(key)).map((key) => [key.slice(prefix.length), keys.get(key)!]) : [],
  )
  rememberSource(built, { fields, floats, folder, tokenizer: weights.tokenizer, extra })
  if (options.checkWeights ?? true)
    built.checkBeforeUse(() => {
      expectUsable(built, path)
      expectFiniteBlocks(blocks, path)
    })
  // Parts of the body that this head does not need, such as a decoder.
  const parameters = built.parameters()
  const idle = expandRules(usable, layersOf(definition, config)).filter(({ ours }) =>
    ours.some((path) => state.has(path) && !parameters.has(path)),
  )
  unused.push(...idle.map(({ theirs }) => theirs))
  return { model: built.eval(), report: { newHead, unused, notes }, folder }
}

/**
 * @throws CheckpointError for weights that are not finite, ConfigError for weights as they are stored, in a dtype that the CPU's operators do
 *   not compute with
 */
const expectUsable = (model: Model, where: string): void => {
  expectFinite(model.parameters(), where)
  const { dtype, device } = model.body.embedTokens
  if (device === 'cpu' && (dtype === 'float16' || dtype === 'float64'))
    throw new ConfigError(
      `${where}: Expected weights in float32 or bfloat16, which the CPU computes with, got ${dtype}. Load them with \`dtype\` float32.`,
    )
}

/** Gives layers the matrices of blocks that tensors without memory stand for. @returns these matrices, by path */
const takeBlocks = (model: Model): Map<string, BlockMatrix> => {
  const taken = new Map<string, BlockMatrix>()
  for (const [path, module] of model.modules()) {
    if (!(module instanceof Linear || module instanceof Embedding)) continue
    const matrix = blockMatrixOf(module.weight)
    if (matrix === undefined) continue
    module.useBlocks(matrix)
    taken.set(`${path}.weight`, matrix)
  }
  return taken
}

/** Converts a new head, which is initialised in float32, to the dtype of the body. */
const matchDtypeOfBody = (model: Model, fresh: ReadonlySet<string>): void => {
  const { dtype } = model.body.embedTokens
  model.replaceParameters((path, parameter) => (fresh.has(path) ? parameter.to(dtype) : parameter))
}

const listed = (names: readonly string[]): string =>
  names.length > 12 ? `${names.slice(0, 10).join(', ')} and ${names.length - 10} more` : names.join(', ')

/** The report as sentences; none if nothing was unusual. */
export const describeModelLoad = (
  { newHead, unused, notes }: ModelLoadReport,
  { forTraining = false }: { forTraining?: boolean } = {},
): string[] => [
  ...(newHead.length > 0
    ? [
        `The head is new and randomly initialised: ${listed(newHead)}. ${forTraining ? 'This run trains it.' : 'Train it before use.'}`,
      ]
    : []),
  ...(unused.length > 0 && newHead.length > 0 ? [`Not used by this head: ${listed(unused)}.`] : []),
  ...notes,
]

/**
 * Loads a model from a folder, a .gguf file or a Hub id, in evaluation mode; unusual findings are logged as warnings.
 * Weights with NaN or infinity are refused when they are first used.
 * @throws CheckpointError for files that do not fit, ConfigError for a head that the architecture does not have
 */
export const loadModel = async (model: string, options: LoadModelOptions = {}): Promise<Model> => {
  expectOptions(options)
  const opened = await loadModelWithReport(model, options)
  const logger = createLogger('checkpoint')
  for (const line of describeModelLoad(opened.report)) logger.warn(`${model}: ${line}`)
  return opened.model
}

/**
 * Copies the weights of a folder that `saveModel` wrote into the parameters of a model of the same kind.
 * @throws CheckpointError
 */
export const loadWeightsInto = async (model: Model, folder: string): Promise<void> => {
  const { definition, config, headType } = model
  const { tensors } = await openWeights(folder)
  const { state, unknown } = fromHfKeys(tensors, modelKeys(definition, config, headType), layersOf(definition, config))
  // What `saveModel` writes beside the parameters: tensors of the files that the model was loaded from, and copies for transformers.
  const extra = sourceOf(model)?.extra
  const copies = definition.needsCopies?.(config) ? (definition.hfCopies?.theirs ?? []) : []
  const isCopy = (key: string) => copies.some((name) => key === name || key.endsWith(`.${name}`))
  const unexpected = unknown.filter((key) => extra?.has(key) !== true && !isCopy(key))
  if (unexpected.length > 0) refuse({ missing: [], unexpected, mismatched: [] }, folder)
  model.loadState(state)
}
