// Builds a pretraining run from its recipe: tokenizer, model, data, optimizer. Writes nothing.
import { loadTokenizer } from '../../checkpoint/index.ts'
import { ConfigError } from '../../core/index.ts'
import type { ProcessGroup } from '../../distributed/index.ts'
import type { Model } from '../../models/index.ts'
import { distilled, type ObjectiveDefinition, objectives, vocabularyFacts } from '../../objectives/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import {
  ExampleStream,
  evaluateLargest,
  evaluateValidation,
  type LoopState,
  type TrainableModel,
  trainedParameters,
} from '../../training/index.ts'
import { checkBaseTokenizer } from '../engine/base-tokenizer.ts'
import { setOptimization } from '../engine/optimization.ts'
import type { BuildContext, BuiltRun, RunKind } from '../engine/run-kind.ts'
import { once } from '../engine/shared-data.ts'
import { openTeacher } from '../engine/teacher.ts'
import { type AdaptedModel, expectWholeBase, openAdapted } from './adapted-model.ts'
import { type HarnessEvaluation, openHarness } from './harness-evaluation.ts'
import { makeAuxiliary, makeModel } from './make-model.ts'
import { checkTokenizer, openData } from './open-data.ts'
import { setFrequencyBias } from './output-bias.ts'
import { type PretrainRecipe, pretrainSchema } from './recipe.ts'
import { takeSamples } from './samples.ts'

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
    ...setOptimization({ ...recipe, learningRate }, trainable, stream, {
      ...(applied && { learningRateScale: (path: string) => applied.learningRateScale(path), applied }),
      group: context.group,
    }),
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
