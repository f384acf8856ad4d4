// The base of a run: loaded or randomly initialised, with what stays frozen quantised and the adapter on it, and exported again. Where training begins
// with an adapter, a method beside the base trains it further, and one that trains the base itself begins with it merged.
import { join, resolve } from 'node:path'
import {
  type AdapterConfig,
  type AdapterDefinition,
  AppliedAdapter,
  type ApplyOptions,
  adapterName,
  adapters,
  adaptersOf,
  applyAdapter,
  isAdapterFolder,
  loadAdapter,
  saveAdapter,
} from '../../adapters/index.ts'
import {
  describeModelLoad,
  expectTokenizerOf,
  expectVocabulary,
  loadModelWithReport,
  openSafetensors,
  resolveModel,
  saveModel,
  saveSafetensors,
} from '../../checkpoint/index.ts'
import { ConfigError } from '../../core/index.ts'
import { type HeadOptions, type HeadType, type Model, quantizeWeights } from '../../models/index.ts'
import { Generator, isOutOfMemory, noGrad, type Tensor } from '../../tensor/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { checkpointFiles } from '../../tracking/index.ts'
import { checkBaseTokenizer, describeBase } from './base-files.ts'
import type { BaseRecipe } from './base-settings.ts'
import type { BuiltRun } from './run-kind.ts'

/** Name of the adapter as it was, which is kept as a reference, and of one that got another head. */
const startName = 'start'
const movedName = 'start-with-this-head'

interface StartChoice {
  folder: string
  /**
   * What becomes of its head: `needed` refuses an adapter with another head than the model's, `used` takes it where it predicts the same
   * labels, and `left` keeps the model's.
   */
  head: 'needed' | 'used' | 'left'
}

interface LoadedStart {
  applied: AppliedAdapter
  /** Whether the model has the head that was trained with the adapter. */
  hasHead: boolean
}

/** Whether a head predicts what another of its type does; a file of PEFT has the number of labels only. */
const fitsHead = ({ headType, headOptions: { labels } }: Model, { headType: type, headOptions }: Model): boolean =>
  headType === type &&
  labels.length === headOptions.labels.length &&
  labels.every((label, i) => label === headOptions.labels[i] || label === `LABEL_${i}`)

/** Puts an adapter that has a head of its own on a model, with the values of its head where `keepsHead`. */
const moveToHead = (model: Model, applied: AppliedAdapter, keepsHead: boolean): AppliedAdapter => {
  const { bank, name } = applied
  bank.activate(undefined)
  if (keepsHead)
    noGrad(() => {
      const own = model.parameters()
      for (const [path, tensor] of bank.get(name).copies)
        if (path.startsWith('head.')) own.get(path)?.detach().copy_(tensor)
    })
  bank.duplicate(name, movedName, { model })
  bank.remove(name)
  return new AppliedAdapter(bank, movedName)
}

const loadStart = async (model: Model, { folder, head }: StartChoice): Promise<LoadedStart> => {
  const { model: own, applied } = await loadAdapter(folder, { base: model, name: startName })
  const isSame = own === model
  if (head === 'needed' && !isSame)
    throw new ConfigError(
      `Expected an adapter of a model with the head ${model.headType} for \`base\`, got one with ${own.headType} of its own: ${folder}. Choose an adapter that was trained for this.`,
    )
  const trained = [...applied.bank.get(startName).copies.keys()].some((path) => path.startsWith('head.'))
  const hasHead = head !== 'left' && trained && (isSame || fitsHead(own, model))
  if (isSame && (head !== 'left' || !trained)) return { applied, hasHead }
  return { applied: moveToHead(model, applied, hasHead), hasHead }
}

/**
 * Adds the change of an adapter to the matrices of the base for good.
 * @returns whether the model has the adapter's head now
 * @throws ConfigError for a method or a base that does not allow it
 */
const mergeStart = async (model: Model, start: StartChoice): Promise<boolean> => {
  const { applied, hasHead } = await loadStart(model, start)
  applied.enable(false)
  const before = model.parameters()
  applied.merge()
  const changed = [...model.parameters()].filter(([path, tensor]) => tensor !== before.get(path))
  applied.enable(false)
  noGrad(() => {
    for (const [path, tensor] of changed) before.get(path)?.detach().copy_(tensor)
  })
  applied.remove()
  return hasHead
}

/**
 * Gives a model the head that was trained with an adapter.
 * @returns whether it predicts the same
 */
export const takeStartHead = async (model: Model, folder: string): Promise<boolean> => {
  const { applied, hasHead } = await loadStart(model, { folder, head: 'used' })
  if (hasHead) applied.enable()
  return hasHead
}

/** The adapter of a folder as what is trained, with a frozen copy of it. @throws ConfigError for another method or other settings */
const continueStart = async (model: Model, { variant, adapter: settings }: BaseRecipe, choice: StartChoice) => {
  const { applied: loaded, hasHead } = await loadStart(model, choice)
  const { type } = loaded.definition
  if (type !== variant)
    throw new ConfigError(
      `Expected ${type} for \`variant\`, the method of the adapter in \`base\`, or one that trains the base itself, such as full, got ${variant}.`,
    )
  const given = Object.keys(settings)
  if (given.length > 0)
    throw new ConfigError(
      `Expected no \`adapter\` settings with an adapter as \`base\`, which keeps its own, got ${given.join(', ')}. Remove them.`,
    )
  const name = 'default'
  const bank = adaptersOf(model)
  bank.activate(undefined)
  model.requireGrad(false)
  bank.duplicate(loaded.name, name)
  bank.setTrainable(name, true)
  bank.activate(name)
  return { applied: new AppliedAdapter(bank, name, { start: loaded.name }), hasHead }
}

/**
 * Loads the adapters of a recipe's stack onto its base.
 * @param apart each on the base alone, in place of on those before it
 * @returns their names
 */
const loadStack = async (model: Model, stack: readonly string[], apart: boolean): Promise<string[]> => {
  const bank = adaptersOf(model)
  const names: string[] = []
  for (const choice of stack) {
    const folder = await resolveModel(choice)
    if (!(await isAdapterFolder(folder)))
      throw new ConfigError(
        `Expected folders of adapters for \`stack\`, got ${choice} without adapter_config.json. Check the path.`,
      )
    const name = bank.unusedName(adapterName(choice))
    await loadAdapter(folder, { base: model, name, below: apart ? [] : names.slice(-1) })
    names.push(name)
  }
  bank.activate(undefined)
  return names
}

/**
 * Puts what a recipe trains on its base.
 * @param start adapter that training begins with
 * @returns what is trained, and whether the model has the head of that adapter
 */
const applyVariant = async (
  model: Model,
  recipe: BaseRecipe,
  start: StartChoice | undefined,
  options: Pick<ApplyOptions, 'encode' | 'original'>,
): Promise<LoadedStart> => {
  const { variant, adapter, seed, stack = [] } = recipe
  if (stack.length > 0 && start !== undefined)
    throw new ConfigError(
      `\`stack\` needs a whole model for \`base\`, got the adapter ${recipe.base}. Name its base, and the adapter in \`stack\`.`,
    )
  const { inPlace = false, fuses = false } =
    (adapters as Record<string, Pick<AdapterDefinition, 'inPlace' | 'fuses'> | undefined>)[variant] ?? {}
  if (start !== undefined && !inPlace) return continueStart(model, recipe, start)
  const hasHead = start !== undefined && (await mergeStart(model, start))
  if (stack.length > 0 && inPlace)
    throw new ConfigError(
      `\`stack\` needs a variant beside the base, got ${variant}, which trains the base itself. Choose another, such as lora.`,
    )
  const below = await loadStack(model, stack, fuses)
  const applied = applyAdapter(model, { ...adapter, type: variant } as AdapterConfig, { seed, below, ...options })
  return { applied, hasHead }
}

/** Which files to load, and with which head. */
interface BaseChoice {
  base: string
  /** Folder of an adapter on it that training begins with. */
  start?: string | undefined
  /** Whether its head may differ from that of the model: it is used where it predicts the same (default: it is refused). */
  anyStartHead?: boolean
  head: HeadType | readonly HeadType[]
  headOptions?: Partial<HeadOptions>
  /** Dropout of the body in training (default: as in its files). */
  dropout?: number | undefined
  tokenizer: Tokenizer
}

export interface AdaptedBase {
  applied: AppliedAdapter
  hasNewHead: boolean
  notes: string[]
}

/** How checkpoints store a base with an adapter on it, with more files beside the weights. */
export const savedAs = (
  recipe: Pick<BaseRecipe, 'randomInit' | 'seed'>,
  base: string,
  applied: AppliedAdapter,
  addFiles: (folder: string) => Promise<void>,
): Pick<BuiltRun, 'weights' | 'addModelFiles'> =>
  applied.inPlace ? { addModelFiles: addFiles } : { weights: adapterWeights(recipe, base, applied, addFiles) }

/**
 * Checkpoints of an adapter store its own tensors alone; the base has a folder already. They open as the finished adapter does.
 * @param addFiles puts more files beside the weights
 */
const adapterWeights = (
  recipe: Pick<BaseRecipe, 'randomInit' | 'seed'>,
  base: string,
  applied: AppliedAdapter,
  addFiles: (folder: string) => Promise<void>,
): NonNullable<BuiltRun['weights']> => ({
  save: (folder) =>
    exportAdapter(recipe, base, applied, folder, async (target) => {
      // Exact, under the names of this process: files for PEFT are of other shapes and may be merged from several tensors.
      await saveSafetensors(join(target, checkpointFiles.adapter), applied.trainable)
      await addFiles(target)
    }),
  load: async (folder) => {
    const { tensors, tensor } = await openSafetensors(join(folder, checkpointFiles.adapter))
    applied.loadState(new Map([...tensors.keys()].map((name) => [name, tensor(name)])))
  },
})

/** @throws ConfigError for a randomly initialised head that no file would store: the adapter would be opened with another one */
const expectHeadStored = ({ inPlace, trainable, model }: AppliedAdapter, newHead: readonly string[]): void => {
  const lost = newHead.filter((path) => !trainable.has(path))
  if (inPlace || lost.length === 0) return
  throw new ConfigError(
    `A base without a head for ${model.headType} needs \`adapter.trainHead\`: set it to true. ${lost.join(', ')} are randomly initialised, and only what is trained is stored.`,
  )
}

/** The adapter that training begins with, if there is one. */
const startOf = (
  { newHead = false }: BaseRecipe,
  { start, anyStartHead = false }: Pick<BaseChoice, 'start' | 'anyStartHead'>,
): StartChoice | undefined => {
  if (start === undefined) return undefined
  return { folder: start, head: !anyStartHead ? 'needed' : newHead ? 'left' : 'used' }
}

/** Loads the base of a recipe and puts its adapter on it. @throws ConfigError, CheckpointError */
export const loadAdaptedBase = async (recipe: BaseRecipe, choice: BaseChoice): Promise<AdaptedBase> => {
  const { base, start, head, headOptions, dropout, tokenizer } = choice
  const { newHead, frozenWeights, seed, randomInit = false } = recipe
  if (randomInit && start !== undefined)
    throw new ConfigError(
      `\`randomInit\` needs a whole model for \`base\`, got the adapter ${recipe.base}. Name the base of the adapter.`,
    )
  const ofTokenizer = randomInit ? [] : await checkBaseTokenizer(recipe, tokenizer)
  // Quantise straight from the checkpoint's values, one matrix at a time, where they are: on the CPU.
  const quantised = frozenWeights !== 'float32'
  const dtype = quantised ? undefined : frozenWeights
  const { model, report, folder } = await loadModelWithReport(base, {
    head,
    headOptions,
    dropout,
    newHead,
    dtype,
    seed,
    mapEachTensor: quantised || recipe.precision !== 'float32' || recipe.device !== 'cpu',
    device: 'cpu',
  })
  // A `tokenizer` of the recipe was compared with the base's own.
  if (recipe.tokenizer === undefined) await expectTokenizerOf(folder, tokenizer, model.facts.vocabSize)
  else expectVocabulary(tokenizer, model.facts.vocabSize)
  if (randomInit) model.initialize({ std: model.facts.initializerRange, generator: new Generator(seed) })
  if (quantised) quantizeWeights(model, frozenWeights)
  placeModel(model, recipe)
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false }).ids
  const original = quantised ? await originalsOf(recipe, base) : undefined
  const { applied, hasHead } = await applyVariant(model, recipe, startOf(recipe, choice), { encode, original })
  if (!randomInit) expectHeadStored(applied, report.newHead)
  const opened = hasHead ? { ...report, newHead: [] } : report
  const notes = [
    ...ofTokenizer,
    ...(await describeBase(recipe.base, { base, start }, { inPlace: applied.inPlace, hasHead })),
    ...describeModelLoad(opened, { forTraining: true }),
  ]
  if (quantised)
    notes.push(
      `The matrices of ${recipe.base} are quantised to ${frozenWeights}; the adapter also fits it unquantised.`,
    )
  return { applied, hasNewHead: randomInit || opened.newHead.length > 0, notes }
}

/** The matrices of a base before it was quantised, from its files, for methods that begin with the error of the quantisation. */
const originalsOf = async (
  { variant, adapter, randomInit = false }: BaseRecipe,
  base: string,
): Promise<((path: string) => Tensor | undefined) | undefined> => {
  const definition = (adapters as Readonly<Record<string, AdapterDefinition | undefined>>)[variant]
  const config = definition?.config.safeParse({ ...adapter, type: variant })
  if (config?.success !== true || definition?.readsOriginals?.(config.data) !== true) return undefined
  if (randomInit)
    throw new ConfigError(
      '`randomInit` has no file with the weights that this `adapter.init` reads: choose another one.',
    )
  const { model } = await loadModelWithReport(base, { mapEachTensor: true, device: 'cpu' })
  const parameters = model.parameters()
  return (path) => parameters.get(`${path}.weight`)
}

export const placeModel = (model: Model, { precision, device }: Pick<BaseRecipe, 'precision' | 'device'>): void => {
  if (device !== 'cpu' || precision !== 'float32') model.to({ dtype: precision, device })
}

/**
 * Runs `score` on the base before training, with a new head as it was initialised; without the prior of `priorBias`. Undefined where a
 * second copy of the base does not fit into memory.
 */
export const withUntrainedBase = async <Result>(
  recipe: BaseRecipe,
  choice: BaseChoice,
  applied: AppliedAdapter,
  score: (model: Model) => Promise<Result>,
): Promise<Result | undefined> => {
  if (!applied.inPlace) {
    try {
      applied.enableStart()
      // Those that it stands on may have been trained with other heads.
      return await score(applied.model)
    } finally {
      applied.enable()
    }
  }
  try {
    const { base, head, headOptions } = choice
    const { newHead, seed } = recipe
    const { model } = await loadModelWithReport(base, {
      head,
      headOptions,
      newHead,
      dtype: 'float32',
      seed,
      device: 'cpu',
    })
    placeModel(model, recipe)
    const start = startOf(recipe, choice)
    if (start !== undefined) await mergeStart(model, start)
    return await score(model)
  } catch (error) {
    if (isOutOfMemory(error)) return undefined
    throw error
  }
}

/** Writes the model, or the adapter alone with a link to its base, into a folder. @param addFiles puts more files beside the weights */
export const exportAdapted = async (
  recipe: BaseRecipe,
  base: string,
  applied: AppliedAdapter,
  folder: string,
  addFiles: (folder: string) => Promise<void>,
): Promise<void> => {
  if (applied.inPlace) return saveModel(applied.model, folder, { tokenizer: recipe.tokenizer, addFiles })
  await exportAdapter(recipe, base, applied, folder, addFiles)
}

/** Writes an adapter with a link to its base. @param headOf model whose trained head is written in place of the adapter's own */
export const exportAdapter = (
  { randomInit, seed }: Pick<BaseRecipe, 'randomInit' | 'seed'>,
  base: string,
  applied: AppliedAdapter,
  folder: string,
  addFiles: (folder: string) => Promise<void>,
  headOf?: Model,
): Promise<void> =>
  saveAdapter(applied, folder, {
    base: resolve(base),
    ...(randomInit === true && { baseSeed: seed }),
    addFiles,
    ...(headOf && { headOf }),
  })
