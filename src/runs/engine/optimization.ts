// Turns a recipe's optimizer, schedule and budget into those of one run. Independent of the kind of run.
import type { AppliedAdapter } from '../../adapters/index.ts'
import { ConfigError } from '../../core/index.ts'
import type { ProcessGroup } from '../../distributed/index.ts'
import type { Model } from '../../models/index.ts'
import {
  averageOfPart,
  createAverage,
  createOptimizer,
  createShardedOptimizer,
  defaultLearningRate,
  type GroupOptions,
  type Optimizer,
  ShardedOptimizer,
  type WeightAverage,
} from '../../optim/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import {
  type ExampleSource,
  expectBackwardUpdates,
  type RunLength,
  runLength,
  ShardedWeights,
  type TrainableModel,
} from '../../training/index.ts'
import type { BuiltRun, CommonRecipe } from './run-kind.ts'
import { expectBatchFits } from './run-limits.ts'

/** Examples whose mean length is taken for that of all. */
const sampleSize = 64

const meanTokens = ({ tokens }: TrainableModel['objective'], stream: ExampleSource<unknown>): number => {
  const count = Math.min(sampleSize, stream.perEpoch)
  let sum = 0
  for (let i = 0; i < count; i++) sum += tokens(stream.example(i).example)
  return sum / count
}

/**
 * The examples of a step: `batch.sequences`, or as many as `batch.tokens` takes, by the mean length of the first examples.
 * @throws ConfigError when both are set, or when the examples of a step do not fit in memory
 */
const examplesOfStep = (
  recipe: Pick<CommonRecipe, 'batch'>,
  { objective }: Pick<TrainableModel, 'objective'>,
  stream: ExampleSource<unknown>,
): { examplesPerStep: number; perExample: number } => {
  const { sequences, tokens } = recipe.batch
  if (sequences !== undefined && tokens !== undefined)
    throw new ConfigError('Expected `batch.sequences` or `batch.tokens`, got both. Give one.')
  const perExample = Math.max(1, stream.online?.expectedTokens ?? meanTokens(objective, stream))
  expectBatchFits({ sequences, tokens }, perExample)
  return { examplesPerStep: sequences ?? Math.max(1, Math.ceil((tokens ?? 0) / perExample)), perExample }
}

/** The recipe with an evaluation after each epoch, unless it sets when to evaluate. */
export const evaluateEachEpoch = <Recipe extends CommonRecipe>(
  recipe: Recipe,
  trainable: TrainableModel,
  stream: ExampleSource<unknown>,
): Recipe => {
  if (Object.values(recipe.evaluate).some((value) => value !== undefined)) return recipe
  const steps = Math.ceil(stream.perEpoch / examplesOfStep(recipe, trainable, stream).examplesPerStep)
  return { ...recipe, evaluate: { steps } }
}

/** @throws ConfigError for an average that would have the weights of one step only */
const expectWeightsToAverage = ({ average, budget }: CommonRecipe, length: RunLength): void => {
  if (average === undefined || length.timed) return
  const steps = length.totalSteps({ step: 0, tokens: 0, position: 0, seconds: 0 })
  const { startStep, interval } = average
  // The weights of this step, from 1, are the second that count. Without these settings, a run of one step is just short.
  const second = startStep + interval + 1
  if (second <= steps || second === 2) return
  const exact = budget.steps === undefined ? 'about ' : ''
  throw new ConfigError(
    `\`average\` needs the weights of two steps or more: with \`startStep\` ${startStep} and \`interval\` ${interval} the second is that of step ${second}, and the run has ${exact}${steps}. Lower them, or remove \`average\`.`,
  )
}

/** @throws ConfigError for settings under which a method cannot act on whole updates */
const expectWholeUpdates = (
  { shard, average, variant }: CommonRecipe & { variant?: string },
  optimizer: Optimizer,
): void => {
  if (shard !== 'none')
    throw new ConfigError(`\`variant\` ${variant} needs all gradients on each process: set \`shard\` to none.`)
  if (average !== undefined || optimizer.average !== undefined)
    throw new ConfigError(
      `\`variant\` ${variant} cannot be averaged over steps, between which its ranks change: remove \`average\`, and choose another \`optimizer.type\` than ${optimizer.type} if it averages itself.`,
    )
}

/** The part of the weights of this process. @throws ConfigError for what needs whole weights */
const divideWeights = (
  { recompute }: CommonRecipe,
  { model, auxiliary, objective, parameters, adversary }: TrainableModel,
  { group, beside }: { group: ProcessGroup; beside: readonly Model[] },
): ShardedWeights => {
  if (objective.carried?.tensors !== undefined)
    throw new ConfigError(
      'A reference that follows the policy needs all weights of both on each process: set `shard` to gradients, or remove `settings.referenceSyncSteps`.',
    )
  if (adversary !== undefined)
    throw new ConfigError(
      'A second pass with moved embeddings needs all weights on each process: set `shard` to gradients, or train without it.',
    )
  if (typeof recompute === 'number')
    throw new ConfigError(
      `Expected all for \`recompute\` with \`shard\` parameters, which recomputes every layer, got ${recompute}. Remove it.`,
    )
  return new ShardedWeights(group, [model, ...(auxiliary === undefined ? [] : [auxiliary]), ...beside], parameters)
}

const averageNeedsAll = (): ConfigError =>
  new ConfigError('`average` needs every float32 weight on each process: set `shard` to none, or precision to float32.')

/** The average of the weights, which is divided as they are; undefined without one. */
const averageOf = (
  { average }: CommonRecipe,
  parameters: ReadonlyMap<string, Tensor>,
  optimizer: Optimizer,
  shardedWeights: ShardedWeights | undefined,
): WeightAverage | undefined => {
  if (average === undefined) return optimizer.average
  if (!(optimizer instanceof ShardedOptimizer)) return createAverage(average, parameters, optimizer)
  if (shardedWeights === undefined) return createAverage(average, parameters)
  const weights = optimizer.pieceWeights
  if (weights === undefined) throw averageNeedsAll()
  return averageOfPart(createAverage(average, optimizer.ownParameters, { weights }), optimizer)
}

/** Builds optimizer, average, learning rate and length of a run, and the part of the weights of this process, which are whole until they are closed. */
export const setOptimization = (
  recipe: CommonRecipe,
  trainable: TrainableModel,
  stream: ExampleSource<unknown>,
  {
    group,
    applied,
    beside = [],
  }: {
    group?: ProcessGroup | undefined
    /** What `trainable` trains, if it is not a whole model; its parts may have learning rates of their own. */
    applied?: AppliedAdapter | undefined
    /** Models that compute in the steps beside the trained one, such as a critic: their weights are divided with its (default: none). */
    beside?: readonly Model[]
  } = {},
): Pick<BuiltRun, 'trainable' | 'optimizer' | 'average' | 'learningRate' | 'length' | 'shardedWeights'> => {
  const { parameters } = trainable
  const groups: GroupOptions =
    applied === undefined ? {} : { learningRateScale: (path) => applied.learningRateScale(path) }
  const { examplesPerStep, perExample } = examplesOfStep(recipe, trainable, stream)
  const sharded = recipe.shard !== 'none' && group !== undefined
  const shardedWeights =
    sharded && recipe.shard === 'parameters' ? divideWeights(recipe, trainable, { group, beside }) : undefined
  if (
    sharded &&
    shardedWeights === undefined &&
    recipe.average !== undefined &&
    [...parameters.values()].some(({ dtype }) => dtype !== 'float32')
  )
    throw averageNeedsAll()
  const optimizer: Optimizer = sharded
    ? createShardedOptimizer(recipe.optimizer, parameters, groups, {
        index: group.rank,
        count: group.size,
        bucketBytes: group.bucketBytes,
        own: shardedWeights?.trainedPart,
      })
    : createOptimizer(recipe.optimizer, parameters, groups)
  if (recipe.average !== undefined && optimizer.average !== undefined)
    throw new ConfigError(
      `\`average\` has no place beside \`optimizer.type\` ${optimizer.type}, which averages weights itself: remove it.`,
    )
  const length = runLength(recipe.budget, {
    examplesPerStep,
    tokensPerStep: examplesPerStep * perExample,
    examplesPerEpoch: stream.perEpoch,
  })
  expectWeightsToAverage(recipe, length)
  const method = applied?.beginTraining({
    totalSteps: length.timed
      ? Number.POSITIVE_INFINITY
      : length.totalSteps({ step: 0, tokens: 0, position: 0, seconds: 0 }),
    parameters,
  })
  if (method?.afterUpdate !== undefined) expectWholeUpdates(recipe, optimizer)
  if (method !== undefined && shardedWeights !== undefined)
    throw new ConfigError(
      `\`variant\` ${(recipe as { variant?: string }).variant} acts on layers or weights in each step, which each process needs whole: set \`shard\` to gradients.`,
    )
  const { adversary, mixout } = trainable
  expectBackwardUpdates(recipe, { method, adversary, mixout }, { optimizer, processes: group?.size ?? 1 })
  return {
    trainable: method === undefined ? trainable : { ...trainable, method },
    optimizer,
    ...(shardedWeights && { shardedWeights }),
    average: averageOf(recipe, parameters, optimizer, shardedWeights),
    learningRate: recipe.learningRate ?? defaultLearningRate(recipe.optimizer),
    length,
  }
}
