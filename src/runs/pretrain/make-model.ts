// The model of a pretraining run: a new one by architecture, preset and config, or an existing base.
import { describeModelLoad, loadModelWithReport } from '../../checkpoint/index.ts'
import { ConfigError, didYouMean } from '../../core/index.ts'
import { buildModel, type HeadType, type Model, type ModelDefinition, models } from '../../models/index.ts'
import type { ObjectiveDefinition, VocabularyFacts } from '../../objectives/index.ts'
import { Generator } from '../../tensor/index.ts'
import { expectModelFits, type ModelSize } from '../engine/run-limits.ts'
import { type PretrainRecipe, sizeRule } from './recipe.ts'

const definitionOf = ({ model }: PretrainRecipe): ModelDefinition => {
  if (model.type === undefined)
    throw new ConfigError(
      `A pretraining run needs \`model.type\` (${Object.keys(models).join(', ')}) or \`base\`: set one.`,
    )
  return models[model.type]
}

/** The config of a new model: preset, then vocabulary, then `model.config`. */
const newModelConfig = (recipe: PretrainRecipe, vocabulary: VocabularyFacts): object => {
  const definition = definitionOf(recipe)
  const { preset, config } = recipe.model
  if (preset !== undefined && !Object.hasOwn(definition.presets, preset))
    throw new ConfigError(
      `Expected a preset of ${definition.type} (${Object.keys(definition.presets).join(', ')}) for \`model.preset\`, got "${preset}".${didYouMean(preset, Object.keys(definition.presets))}`,
    )
  const known = definition.adjust({}, {}) as Record<string, unknown>
  const padding = vocabulary.pad !== undefined && 'padTokenId' in known ? { padTokenId: vocabulary.pad } : {}
  return definition.adjust(preset === undefined ? {} : definition.presets[preset], {
    vocabSize: vocabulary.size,
    ...padding,
    ...config,
  })
}

/** Most tokens of an example that a new model takes: Infinity for one without a limit, undefined for a base, which would have to be read. */
export const positionLimit = (recipe: PretrainRecipe, vocabulary: VocabularyFacts): number | undefined =>
  recipe.base === undefined
    ? (definitionOf(recipe).facts(newModelConfig(recipe, vocabulary)).maxPositions ?? Number.POSITIVE_INFINITY)
    : undefined

const loadBase = async ({ base = '', model, outputBias, seed }: PretrainRecipe, head: HeadType) => {
  if (outputBias !== 'zero')
    throw new ConfigError(
      `Expected a new model for \`outputBias\` ${outputBias}, got the base ${base}, which has a bias already. Remove one.`,
    )
  if (model.type !== undefined || model.preset !== undefined || model.depth !== undefined)
    throw new ConfigError(
      'Expected `base` or a new `model`, got both. The base has its own architecture; only `model.config` may change it.',
    )
  const opened = await loadModelWithReport(base, { head, config: model.config, dtype: 'float32', seed, device: 'cpu' })
  return { model: opened.model, notes: describeModelLoad(opened.report, { forTraining: true }) }
}

/** @throws ConfigError for a model that cannot fit in this machine's memory, before anything is allocated */
const expectFits = (
  { model: { depth } }: PretrainRecipe,
  definition: ModelDefinition,
  config: object,
  memoryBytes: number | undefined,
): void => {
  const { hiddenSize, numLayers, vocabSize } = definition.facts(config)
  const { intermediateSize, embeddingSize, layerGroups } = config as Partial<ModelSize>
  const size = { hiddenSize, numLayers, vocabSize, intermediateSize, embeddingSize, layerGroups }
  if (depth === undefined)
    expectModelFits(
      size,
      {
        name: 'model.config.numLayers',
        value: numLayers,
        sizeOf: (layers) => ({ ...size, numLayers: layers }),
      },
      memoryBytes,
    )
  else
    expectModelFits(
      size,
      {
        name: 'model.depth',
        value: depth,
        sizeOf: (layers) => {
          const { hiddenSize: width } = sizeRule(layers)
          return { ...size, numLayers: layers, hiddenSize: width, intermediateSize: 4 * width }
        },
      },
      memoryBytes,
    )
}

/** The initialised model of a recipe, in float32. @throws ConfigError for a model that cannot fit in memory */
export const makeModel = async (
  recipe: PretrainRecipe,
  head: HeadType,
  vocabulary: VocabularyFacts,
  memoryBytes?: number,
): Promise<{ model: Model; notes: string[] }> => {
  if (recipe.base !== undefined) return loadBase(recipe, head)
  const definition = definitionOf(recipe)
  const config = newModelConfig(recipe, vocabulary)
  expectFits(recipe, definition, config, memoryBytes)
  const model = buildModel(definition, config, head)
  model.initialize({ std: model.facts.initializerRange, generator: new Generator(recipe.seed) })
  return { model, notes: [] }
}

/** The second model of an objective that has one, with the weights that it shares with the first. */
export const makeAuxiliary = (
  definition: ObjectiveDefinition,
  config: Record<string, unknown>,
  main: Model,
  seed: number,
): Model | undefined => {
  if (definition.auxiliary === undefined) return undefined
  const plan = definition.auxiliary.plan(config, main)
  const auxiliary = buildModel(plan.definition, plan.config, plan.head)
  auxiliary.initialize({ std: auxiliary.facts.initializerRange, generator: new Generator(seed + 1) })
  definition.auxiliary.tie(main, auxiliary)
  return auxiliary
}
