// Pretraining as a function, and how its run is built from the recipe: tokenizer, model, token shards, optimizer.

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { AppliedAdapter } from '../../adapters/index.ts'
import { loadTokenizer } from '../../checkpoint/index.ts'
import { ConfigError, parseConfig, sha256File } from '../../core/index.ts'
import {
  mixture,
  type OpenTokensOptions,
  openTokens,
  packedRows,
  readShardManifest,
  type Sampler,
  type SplitName,
  type TokenSource,
} from '../../data/index.ts'
import type { ProcessGroup } from '../../distributed/index.ts'
import { LanguageHead, type Model } from '../../models/index.ts'
import {
  distilled,
  type Objective,
  type ObjectiveDefinition,
  objectives,
  vocabularyFacts,
} from '../../objectives/index.ts'
import { noGrad, scope, Tensor } from '../../tensor/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import {
  ExampleStream,
  evaluateLargest,
  evaluateValidation,
  type LoopState,
  type TrainableModel,
  trainedParameters,
} from '../../training/index.ts'
import { exportAdapted, loadAdaptedBase, savedAs } from '../engine/adapted-base.ts'
import { checkBaseTokenizer, findBase } from '../engine/base-files.ts'
import { absoluteData, type BaseRecipe, expectPrecision, settleModels } from '../engine/base-settings.ts'
import { startRun } from '../engine/execute.ts'
import { setOptimization } from '../engine/optimization.ts'
import { nameFunctions } from '../engine/recipe-functions.ts'
import {
  type BuildContext,
  type BuiltRun,
  once,
  type RunKind,
  type RunListener,
  type RunResult,
  type SharedData,
} from '../engine/run-kind.ts'
import { openTeacher, settleTeacher } from '../engine/teacher.ts'
import { hashesOf } from '../examples/run-data.ts'
import type { PretrainInput } from '../recipe-types/index.ts'
import { withModules } from '../use-modules.ts'
import { absoluteHarness, type HarnessEvaluation, openHarness, takeSamples } from './evaluation.ts'
import { makeAuxiliary, makeModel } from './make-model.ts'
import { applyDepth, type PretrainRecipe, pretrainSchema } from './recipe.ts'

/** A mixture has no end; its validation rows are bounded by this. */
const maxValidationRows = 4096

/** One sampler over all folders, or none if no folder has a whole row. @throws ConfigError for folders without enough training text, or weights that do not match the folders */
export const openData = async (
  { data, dataWeights, seed }: PretrainRecipe,
  split: SplitName,
  { rows: { length, overlap } }: Objective,
  options: OpenTokensOptions = {},
): Promise<{ sampler: Sampler | undefined; sources: TokenSource[]; close(): void }> => {
  if (dataWeights !== undefined && dataWeights.length !== data.length)
    throw new ConfigError(
      `Expected a weight for each of ${data.length} folders for \`dataWeights\`, got ${dataWeights.length}.`,
    )
  const sources: TokenSource[] = []
  const samplers: Sampler[] = []
  for (const folder of data) {
    const source = await openTokens(folder, split, options)
    sources.push(source)
    if (source.tokens >= length)
      samplers.push(packedRows(source, { seed, length, overlap, shuffle: split === 'train' ? 'rows' : 'none' }))
    else if (split === 'train')
      throw new ConfigError(
        `Expected at least ${length} tokens in ${folder}, got ${source.tokens}. Encode more text, or lower maxLength.`,
      )
  }
  const close = () => {
    for (const source of sources) source.close()
  }
  if (samplers.length < 2) return { sampler: samplers[0], sources, close }
  const rows = samplers.reduce((sum, one) => sum + one.rowsPerEpoch, 0)
  const sampler = mixture(
    samplers.map((one, i) => ({ sampler: one, weight: dataWeights?.[i] ?? one.rowsPerEpoch })),
    { seed, ...(split === 'validation' ? { rows: Math.min(maxValidationRows, rows) } : {}) },
  )
  return { sampler, sources, close }
}

/** SHA-256 of tokenizer and shards. @throws ConfigError for shards of another tokenizer */
const checkTokenizer = async ({ tokenizer, data }: PretrainRecipe): Promise<Record<string, string>> => {
  const isFolder = (await stat(tokenizer).catch(() => undefined))?.isDirectory() ?? false
  const file = isFolder ? join(tokenizer, 'tokenizer.json') : tokenizer
  const own = await sha256File(file).catch(() => undefined)
  const hashes: Record<string, string> = own === undefined ? {} : { tokenizer: own }
  for (const folder of data) {
    const manifest = await readShardManifest(folder)
    if (own !== undefined && manifest.tokenizer.sha256 !== own)
      throw new ConfigError(
        `Expected shards of the tokenizer ${tokenizer} in ${folder}, got those of another one. Encode the corpus with this tokenizer.`,
      )
    hashes[folder] = await sha256File(join(folder, 'manifest.json'))
  }
  return hashes
}

/** Tokens that are read at once. */
const piece = 1 << 16

/** Frequency of each token id in the weighted sources, with one added to each count. */
const sharesOf = (sources: readonly TokenSource[], weights: readonly number[] | undefined, size: number) => {
  const shares = new Float64Array(size)
  const whole =
    weights?.reduce((sum, weight) => sum + weight, 0) ?? sources.reduce((sum, { tokens }) => sum + tokens, 0)
  sources.forEach((source, i) => {
    const share = (weights?.[i] ?? source.tokens) / whole
    const counts = new Float64Array(size).fill(1)
    for (let at = 0; at < source.tokens; at += piece)
      for (const id of source.readTokens(at, Math.min(piece, source.tokens - at))) counts[id]++
    for (let id = 0; id < size; id++) shares[id] += (share * counts[id]) / (source.tokens + size)
  })
  return shares
}

/** Sets the output bias to the log frequencies. @throws ConfigError for a model without an output bias */
const setFrequencyBias = async (
  { head, headType }: Model,
  sources: readonly TokenSource[],
  weights?: readonly number[],
  context: { shared?: Pick<SharedData, 'once'> } = {},
): Promise<void> => {
  const bias = head instanceof LanguageHead ? head.lmHead.bias : undefined
  if (bias === undefined)
    throw new ConfigError(
      `\`outputBias\` frequencies needs a head with an output bias, which ${headType} of this model has not: set it to zero.`,
    )
  const shares = await once(context, 'frequencies', async () => sharesOf(sources, weights, bias.size))
  const logs = Float32Array.from(shares, Math.log)
  scope(() => noGrad(() => void bias.copy_(Tensor.from(logs, { shape: [bias.size] }))))
}

/** A base with what is trained on it. */
interface AdaptedModel extends Pick<BuiltRun, 'hashes' | 'notes'> {
  applied: AppliedAdapter
  /** How checkpoints and the finished model are stored. */
  stored: Pick<BuiltRun, 'weights' | 'addModelFiles' | 'exportModel'>
}

/** @throws ConfigError for settings of a fine-tuning method where all weights are trained, and for those that do not fit one */
const expectAdaptable = (recipe: PretrainRecipe): void => {
  const { variant, adapter, stack, frozenWeights, base, model } = recipe
  const given = [
    ...(Object.keys(adapter).length > 0 ? ['adapter'] : []),
    ...(stack.length > 0 ? ['stack'] : []),
    ...(frozenWeights !== 'float32' ? ['frozenWeights'] : []),
  ]
  if (variant === undefined && given.length > 0)
    throw new ConfigError(`\`${given[0]}\` needs a fine-tuning method: set \`variant\`, such as lora.`)
  if (variant === undefined) return
  if (base === undefined)
    throw new ConfigError(`\`variant\` ${variant} needs a pretrained model: set \`base\`, or leave \`variant\` out.`)
  if (Object.keys(model.config).length > 0)
    throw new ConfigError(
      `\`model.config\` changes a base that is trained itself: leave it out with the variant ${variant}.`,
    )
}

/** @throws ConfigError for an adapter, which needs a method that trains it further or merges it */
const expectWholeBase = async (base: string): Promise<void> => {
  const { start } = await findBase(base)
  if (start !== undefined)
    throw new ConfigError(
      `The adapter ${start} as \`base\` needs \`variant\`: its own method trains it further, and full merges it and trains all weights.`,
    )
}

/** Opens the base of a recipe with a variant. @throws ConfigError for an objective that trains a second model */
const openAdapted = async (
  recipe: PretrainRecipe & { base: string; variant: string },
  { head, auxiliary }: ObjectiveDefinition,
  tokenizer: Tokenizer,
): Promise<AdaptedModel> => {
  const { objective, variant, stack } = recipe
  if (auxiliary !== undefined)
    throw new ConfigError(
      `\`variant\` ${variant} needs an objective with one model, got ${objective.type}, which trains a second one. Choose masked-lm, or leave \`variant\` out.`,
    )
  const { base, start } = await findBase(recipe.base)
  const settings: BaseRecipe = recipe
  const { applied, notes } = await loadAdaptedBase(settings, { base, start, head, tokenizer })
  const addNothing = async () => {}
  const stored: AdaptedModel['stored'] = savedAs(recipe, base, applied, addNothing)
  // Otherwise the model is a copy of a checkpoint, which also has the exact tensors of the run.
  if (!applied.inPlace)
    stored.exportModel = async (folder) => {
      await exportAdapted(settings, base, applied, folder, addNothing)
      return undefined
    }
  return { applied, notes, hashes: await hashesOf([], base, { start, stack }), stored }
}

const lengthOf = ({ maxLength }: PretrainRecipe, { facts }: Model): number => {
  const { maxPositions = Number.POSITIVE_INFINITY } = facts
  const length = maxLength ?? Math.min(maxPositions, 512)
  if (length <= maxPositions) return length
  throw new ConfigError(
    `Expected at most ${maxPositions} tokens for \`maxLength\`, the limit of the model, got ${length}.`,
  )
}

/** Makes every parameter trainable, in the precision and on the device of the recipe. */
const prepareModels = (
  { device, precision }: PretrainRecipe,
  definition: ObjectiveDefinition,
  model: Model,
  auxiliary: Model | undefined,
): void => {
  for (const one of [model, auxiliary]) {
    one?.requireGrad(true)
    if (device !== 'cpu' || precision !== 'float32') one?.to({ dtype: precision, device })
  }
  // Moving a model replaces its parameters, so that shared ones are tied again.
  if (auxiliary !== undefined) definition.auxiliary?.tie(model, auxiliary)
}

/** The model of a recipe: one whose weights are all trained, or a base with an adapter on it. */
const openModel = async (
  recipe: PretrainRecipe,
  definition: ObjectiveDefinition,
  tokenizer: Tokenizer,
  memoryBytes: number | undefined,
): Promise<{ model: Model; notes: string[]; adapted?: AdaptedModel }> => {
  const { base, variant } = recipe
  if (base !== undefined && variant === undefined) await expectWholeBase(base)
  if (base === undefined || variant === undefined) {
    const opened = await makeModel(recipe, definition.head, vocabularyFacts(tokenizer), memoryBytes)
    if (base === undefined) return opened
    return { ...opened, notes: [...opened.notes, ...(await checkBaseTokenizer({ ...recipe, base }, tokenizer))] }
  }
  const adapted = await openAdapted({ ...recipe, base, variant }, definition, tokenizer)
  return { model: adapted.applied.model, notes: adapted.notes, adapted }
}

/** Builds everything that a pretraining run needs. @throws ConfigError or DataError for what cannot be trained */
export const buildRun = async (
  recipe: PretrainRecipe,
  context: Pick<BuildContext, 'shared' | 'group' | 'memoryBytes'> = {},
): Promise<BuiltRun> => {
  const hashes = await checkTokenizer(recipe)
  const tokenizer = await once(context, 'tokenizer', () => loadTokenizer(recipe.tokenizer))
  const vocabulary = vocabularyFacts(tokenizer)
  const { type, ...config } = recipe.objective
  const definition = objectives[type] as ObjectiveDefinition
  const { model, notes, adapted } = await openModel(recipe, definition, tokenizer, context.memoryBytes)
  const maxLength = lengthOf(recipe, model)
  const objective = definition.create(config, { vocabulary, maxLength })
  const train = await openData(recipe, 'train', objective)
  if (recipe.outputBias === 'frequencies') await setFrequencyBias(model, train.sources, recipe.dataWeights, context)
  const auxiliary = makeAuxiliary(definition, config, model, recipe.seed)
  if (adapted === undefined) prepareModels(recipe, definition, model, auxiliary)
  const applied = adapted?.applied
  const parameters = applied?.trainable ?? trainedParameters(model, auxiliary)
  const taught = await openTeacher(recipe, { model, tokenizer, maxLength })
  const learned = taught === undefined ? objective : distilled(objective, taught.teacher)
  const trainable: TrainableModel = { model, auxiliary, objective: learned, parameters }
  const held = await openData(recipe, 'validation', objective)
  if (train.sampler === undefined) throw new ConfigError('Expected training data, got none.')
  const stream = new ExampleStream(objective, train.sampler, recipe.seed)
  const validation = held.sampler === undefined ? undefined : new ExampleStream(objective, held.sampler, 0)
  const { device, prompts, validationExamples } = recipe
  const learningRate = recipe.learningRate ?? applied?.learningRate
  return {
    ...adapted?.stored,
    recipe,
    tokenizer,
    tokenizerFiles: recipe.tokenizer,
    vocabulary,
    stream,
    ...setOptimization({ ...recipe, learningRate }, trainable, stream, { applied, group: context.group }),
    enoughSteps: recipe.base === undefined ? 100 : 10,
    validationDocuments:
      validationExamples === 0 ? undefined : held.sources.reduce((sum, { documents }) => sum + documents, 0),
    hashes: { ...hashes, ...adapted?.hashes, ...taught?.hashes },
    notes: [...notes, ...(taught?.notes ?? [])],
    ...withHarness(
      validation !== undefined && validationExamples > 0
        ? evaluationOf(recipe, { ...trainable, objective }, validation, context.group)
        : undefined,
      await openHarness(recipe.harness, model, tokenizer),
      context.group,
    ),
    sample: () => takeSamples({ model, tokenizer, vocabulary, prompts, source: validation ?? stream, device }),
    close() {
      train.close()
      held.close()
    },
  }
}

/** Metrics on validation examples; with the perplexity of a single term, without its factor in the loss. */
const evaluationOf = (
  { validationExamples, batch: { padded, microTokens: most }, device }: PretrainRecipe,
  trainable: TrainableModel,
  stream: ExampleStream<unknown>,
  group: ProcessGroup | undefined,
): Required<Pick<BuiltRun, 'evaluate' | 'evaluateLargest' | 'metrics'>> => {
  const measure = async (examples: number, microTokens: number, together?: ProcessGroup) => {
    const how = { microTokens, padded, device, group: together }
    const metrics = await evaluateValidation(trainable, stream, { examples, ...how })
    // A loss with several terms does not measure language alone.
    const terms = Object.keys(trainable.objective.weights(stream.example(0).example))
    const [term] = terms
    return terms.length > 1 ? metrics : { ...metrics, perplexity: Math.exp(metrics[term] ?? metrics.loss) }
  }
  return {
    metrics: { known: ['loss'], measure: async () => Object.keys(await measure(1, most)) },
    evaluate: ({ microTokens }: Pick<LoopState, 'microTokens'>) => measure(validationExamples, microTokens, group),
    evaluateLargest: ({ microTokens }: Pick<LoopState, 'microTokens'>) =>
      evaluateLargest(trainable, stream, { examples: validationExamples, microTokens, padded, device }),
  }
}

/** The metrics of validation examples and of benchmarks, as far as the recipe has them. */
const withHarness = (
  validation: ReturnType<typeof evaluationOf> | undefined,
  harness: HarnessEvaluation | undefined,
  group: ProcessGroup | undefined,
): Pick<BuiltRun, 'evaluate' | 'evaluateLargest' | 'metrics'> => {
  if (harness === undefined) return validation ?? {}
  const { names } = harness
  return {
    ...validation,
    metrics: {
      known: [...(validation?.metrics.known ?? []), ...names],
      measure: async () => [...((await validation?.metrics.measure()) ?? []), ...names],
    },
    evaluate: async (state) => ({ ...(await validation?.evaluate(state)), ...(await harness.measure(group)) }),
  }
}

/** The kind of run that pretrains a model. */
export const pretrainKind: RunKind<PretrainRecipe> = { command: 'pretrain', schema: pretrainSchema, build: buildRun }

/**
 * Pretrains a model by a recipe, in a new folder.
 * @throws ConfigError for settings that do not fit each other, DataError for data that cannot be read
 */
export const pretrain = async (input: PretrainInput, listener: RunListener = {}): Promise<RunResult> =>
  startRun(pretrainKind, await resolvePretraining(input), listener)

/** The recipe with every default filled in and absolute paths. @throws ConfigError for settings that do not fit each other */
export const resolvePretraining = async (input: object): Promise<PretrainRecipe> => {
  const recipe = applyDepth(parseConfig(pretrainSchema, await withModules(input), 'pretrain'))
  Object.assign(recipe, nameFunctions(recipe))
  if (recipe.batch.sequences === undefined && recipe.batch.tokens === undefined) recipe.batch.sequences = 32
  recipe.data = recipe.data.map(absoluteData)
  recipe.harness = absoluteHarness(recipe.harness)
  await settleModels(recipe)
  recipe.distillation = await settleTeacher(recipe.distillation)
  expectAdaptable(recipe)
  expectPrecision(recipe)
  return recipe
}
