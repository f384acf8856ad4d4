// From a recipe to everything that the loop needs: tokenizer, model, data, optimizer. Writes nothing.

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describeModelLoad, loadModelWithReport, loadTokenizer } from '../../checkpoint/index.ts'
import { ConfigError, didYouMean, sha256File } from '../../core/index.ts'
import {
  mixture,
  openTokens,
  packedRows,
  readShardManifest,
  type Sampler,
  type SplitName,
  type TokenSource,
} from '../../data/index.ts'
import { buildModel, type HeadType, type Model, type ModelDefinition, models } from '../../models/index.ts'
import {
  type Objective,
  type ObjectiveDefinition,
  objectives,
  type VocabularyFacts,
  vocabularyFacts,
} from '../../objectives/index.ts'
import { Generator } from '../../tensor/index.ts'
import {
  ExampleStream,
  evaluateValidation,
  type LoopState,
  type TrainableModel,
  trainedParameters,
} from '../../training/index.ts'
import { setOptimization } from '../engine/optimization.ts'
import type { BuiltRun, RunKind } from '../engine/run-kind.ts'
import { beginAtFrequencies } from './output-bias.ts'
import { type PretrainRecipe, pretrainSchema } from './recipe.ts'
import { takeSamples } from './samples.ts'

const definitionOf = ({ model }: PretrainRecipe): ModelDefinition => {
  if (model.type === undefined)
    throw new ConfigError(
      `Expected \`model.type\` (${Object.keys(models).join(', ')}) or \`base\`, got neither. Say what to train.`,
    )
  return models[model.type]
}

/** The config of a fresh model: preset, then what the vocabulary and the recipe say. */
export const freshConfig = (recipe: PretrainRecipe, vocabulary: VocabularyFacts): object => {
  const definition = definitionOf(recipe)
  const { preset, config } = recipe.model
  if (preset !== undefined && !Object.hasOwn(definition.presets, preset))
    throw new ConfigError(
      `Expected a preset of ${definition.type} (${Object.keys(definition.presets).join(', ')}) for \`model.preset\`, got "${preset}".${didYouMean(preset, Object.keys(definition.presets))}`,
    )
  const known = definition.adjust({}, {}) as Record<string, unknown>
  const accepts = (field: string) => field in known
  const padding = vocabulary.pad !== undefined && accepts('padTokenId') ? { padTokenId: vocabulary.pad } : {}
  return definition.adjust(preset === undefined ? {} : definition.presets[preset], {
    vocabSize: vocabulary.size,
    ...padding,
    ...config,
  })
}

const makeModel = async (recipe: PretrainRecipe, head: HeadType, vocabulary: VocabularyFacts) => {
  const { base, model } = recipe
  if (base !== undefined) {
    if (recipe.outputBias !== 'zero')
      throw new ConfigError(
        `Expected a fresh model for \`outputBias\` ${recipe.outputBias}, got the base ${base}, which has a bias already. Remove one.`,
      )
    if (model.type !== undefined || model.preset !== undefined || model.depth !== undefined)
      throw new ConfigError(
        'Expected `base` or a fresh `model`, got both. The base says its own architecture; only `model.config` may change it.',
      )
    const opened = await loadModelWithReport(base, { head, config: model.config, dtype: 'float32', seed: recipe.seed })
    return { model: opened.model, notes: describeModelLoad(opened.report) }
  }
  const fresh = buildModel(definitionOf(recipe), freshConfig(recipe, vocabulary), head)
  fresh.initialize({ std: fresh.facts.initializerRange, generator: new Generator(recipe.seed) })
  return { model: fresh, notes: [] }
}

const makeAuxiliary = (
  definition: ObjectiveDefinition,
  config: Record<string, unknown>,
  main: Model,
  seed: number,
): Model | undefined => {
  if (definition.auxiliary === undefined) return undefined
  const plan = definition.auxiliary.plan(config, main)
  const built = buildModel(plan.definition, plan.config, plan.head)
  built.initialize({ std: built.facts.initializerRange, generator: new Generator(seed + 1) })
  definition.auxiliary.tie(main, built)
  return built
}

const openData = async (recipe: PretrainRecipe, split: SplitName, objective: Objective) => {
  const sources: TokenSource[] = []
  const { data, weights, seed } = recipe
  if (weights !== undefined && weights.length !== data.length)
    throw new ConfigError(`Expected a weight for each of ${data.length} folders, got ${weights.length}.`)
  const rows = { length: objective.rows.length, overlap: objective.rows.overlap }
  const samplers: Sampler[] = []
  for (const folder of data) {
    const source = await openTokens(folder, split)
    sources.push(source)
    if (source.tokens >= rows.length)
      samplers.push(packedRows(source, { seed, ...rows, shuffle: split === 'train' ? 'rows' : 'none' }))
    else if (split === 'train')
      throw new ConfigError(
        `Expected at least ${rows.length} tokens in ${folder}, got ${source.tokens}. Encode more text, or lower maxLength.`,
      )
  }
  const close = () => {
    for (const source of sources) source.close()
  }
  if (samplers.length === 0) return { sampler: undefined, sources, close }
  const sampler =
    samplers.length === 1
      ? samplers[0]
      : mixture(
          samplers.map((one, i) => ({ sampler: one, weight: weights?.[i] ?? one.rowsPerEpoch })),
          {
            seed,
            ...(split === 'validation'
              ? {
                  rows: Math.min(
                    4096,
                    samplers.reduce((sum, one) => sum + one.rowsPerEpoch, 0),
                  ),
                }
              : {}),
          },
        )
  return { sampler, sources, close }
}

const checkTokenizer = async (recipe: PretrainRecipe): Promise<Record<string, string>> => {
  const isFolder = (await stat(recipe.tokenizer).catch(() => undefined))?.isDirectory() ?? false
  const file = isFolder ? join(recipe.tokenizer, 'tokenizer.json') : recipe.tokenizer
  const own = await sha256File(file).catch(() => undefined)
  const hashes: Record<string, string> = own === undefined ? {} : { tokenizer: own }
  for (const folder of recipe.data) {
    const { tokenizer } = await readShardManifest(folder)
    if (own !== undefined && tokenizer.sha256 !== own)
      throw new ConfigError(
        `Expected shards of the tokenizer ${recipe.tokenizer} in ${folder}, got those of another one. Encode the corpus with this tokenizer.`,
      )
    hashes[folder] = await sha256File(join(folder, 'manifest.json'))
  }
  return hashes
}

export const buildRun = async (recipe: PretrainRecipe): Promise<BuiltRun> => {
  const hashes = await checkTokenizer(recipe)
  const tokenizer = await loadTokenizer(recipe.tokenizer)
  const vocabulary = vocabularyFacts(tokenizer)
  const { type, ...config } = recipe.objective
  const definition = objectives[type] as ObjectiveDefinition
  const { model, notes } = await makeModel(recipe, definition.head, vocabulary)
  const maxPositions = model.facts.maxPositions ?? Number.POSITIVE_INFINITY
  const maxLength = recipe.maxLength ?? Math.min(maxPositions, 512)
  if (maxLength > maxPositions)
    throw new ConfigError(
      `Expected at most ${maxPositions} tokens for \`maxLength\`, the longest that the model takes, got ${maxLength}.`,
    )
  const objective = definition.create(config, { vocabulary, maxLength })
  const train = await openData(recipe, 'train', objective)
  if (recipe.outputBias === 'frequencies') beginAtFrequencies(model, train.sources, recipe.weights)
  const auxiliary = makeAuxiliary(definition, config, model, recipe.seed)
  for (const one of [model, auxiliary]) {
    one?.requireGrad(true)
    if (recipe.device !== 'cpu' || recipe.precision !== 'float32')
      one?.to({ dtype: recipe.precision, device: recipe.device })
  }
  if (auxiliary !== undefined) definition.auxiliary?.tie(model, auxiliary)
  const trainee: TrainableModel = { model, auxiliary, objective, parameters: trainedParameters(model, auxiliary) }
  const held = await openData(recipe, 'validation', objective)
  if (train.sampler === undefined) throw new ConfigError('Expected training data, got none.')
  const stream = new ExampleStream(objective, train.sampler, recipe.seed)
  const heldOut = held.sampler === undefined ? undefined : new ExampleStream(objective, held.sampler, 0)
  return {
    recipe,
    tokenizer,
    tokenizerFiles: recipe.tokenizer,
    vocabulary,
    trainable: trainee,
    stream,
    ...setOptimization(recipe, trainee, stream),
    enoughSteps: recipe.base === undefined ? 100 : 10,
    validationDocuments:
      recipe.heldOut === 0 ? undefined : held.sources.reduce((sum, { documents }) => sum + documents, 0),
    hashes,
    notes,
    evaluate:
      heldOut === undefined || recipe.heldOut === 0
        ? undefined
        : (loop) => heldOutValues(recipe, trainee, heldOut, loop),
    sample: () =>
      takeSamples({
        model,
        tokenizer,
        vocabulary,
        prompts: recipe.prompts,
        source: heldOut ?? stream,
        device: recipe.device,
      }),
    close() {
      train.close()
      held.close()
    },
  }
}

/** Values of an evaluation, with the perplexity where the loss is that of words alone. */
const heldOutValues = async (
  { heldOut: examples, batch, device }: PretrainRecipe,
  trainee: TrainableModel,
  stream: ExampleStream<unknown>,
  { microTokens }: Pick<LoopState, 'microTokens'>,
): Promise<Record<string, number>> => {
  const metrics = await evaluateValidation(trainee, stream, { examples, microTokens, padded: batch.padded, device })
  // A loss of several terms is no measure of language alone.
  const terms = Object.keys(trainee.objective.weights(stream.example(0).example))
  return terms.length > 1 ? metrics : { ...metrics, perplexity: Math.exp(metrics.loss) }
}

export const pretrainKind: RunKind<PretrainRecipe> = { command: 'pretrain', schema: pretrainSchema, build: buildRun }
