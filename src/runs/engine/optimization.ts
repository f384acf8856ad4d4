// How a recipe's optimizer, schedule and budget become those of one run. Knows no kind of run.
import { ConfigError } from '../../core/index.ts'
import {
  createAverage,
  createOptimizer,
  defaultLearningRate,
  type GroupOptions,
  type Optimizer,
  type WeightAverage,
} from '../../optim/index.ts'
import { type ExampleSource, type RunLength, runLength, type TrainableModel } from '../../training/index.ts'
import type { CommonRecipe } from './run-kind.ts'

export interface Optimization {
  optimizer: Optimizer
  average?: WeightAverage
  learningRate: number
  length: RunLength
}

// Lengths of examples differ; a few of them say how long they are.
const looked = 64

/** What a step takes: as many examples as the recipe says, or as its tokens hold, to judge by the first of them. @throws ConfigError for both */
export const examplesOfStep = (
  recipe: Pick<CommonRecipe, 'batch'>,
  { objective }: Pick<TrainableModel, 'objective'>,
  stream: ExampleSource<unknown>,
): { examplesPerStep: number; perExample: number } => {
  const { sequences, tokens } = recipe.batch
  if (sequences !== undefined && tokens !== undefined)
    throw new ConfigError('Expected `batch.sequences` or `batch.tokens`, got both. Give one.')
  const count = Math.min(looked, stream.perEpoch)
  let sum = 0
  for (let i = 0; i < count; i++) sum += objective.tokens(stream.example(i).example)
  const perExample = Math.max(1, sum / count)
  return { examplesPerStep: sequences ?? Math.max(1, Math.ceil((tokens ?? 0) / perExample)), perExample }
}

export const setOptimization = (
  recipe: CommonRecipe,
  trainable: TrainableModel,
  stream: ExampleSource<unknown>,
  options: GroupOptions = {},
): Optimization => {
  const { parameters } = trainable
  const { examplesPerStep, perExample } = examplesOfStep(recipe, trainable, stream)
  const optimizer = createOptimizer(recipe.optimizer, parameters, options)
  return {
    optimizer,
    average:
      recipe.average === undefined
        ? undefined
        : createAverage(recipe.average, parameters, { weights: optimizer.weights }),
    learningRate: recipe.learningRate ?? defaultLearningRate(recipe.optimizer),
    length: runLength(recipe.budget, {
      examplesPerStep,
      tokensPerStep: examplesPerStep * perExample,
      examplesPerEpoch: stream.perEpoch,
    }),
  }
}
