// The loop over small models and invented rows, without a folder: what a run needs, its events, its losses.
import { createRandom, parseConfig } from '../../src/core/index.ts'
import type { HeadType, Model, ModelType } from '../../src/models/index.ts'
import { type Objective, type ObjectiveDefinition, objectives } from '../../src/objectives/index.ts'
import { createAverage, createOptimizer, defaultLearningRate } from '../../src/optim/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import {
  type ExampleSource,
  initialState,
  runLength,
  type TrainingRun,
  train,
  trainedParameters,
  trainingSchema,
} from '../../src/training/index.ts'
import { testDevice } from '../device.ts'
import { build, noOther, rowOf, vocabulary } from '../objectives/small-models.ts'

export type Kind = 'bert' | 'gpt2' | 'llama'
export const kinds: readonly Kind[] = ['bert', 'gpt2', 'llama']

export const objectiveOf = (kind: Kind): Objective<never> => {
  const definition = objectives[kind === 'bert' ? 'masked-lm' : 'causal-lm'] as ObjectiveDefinition
  return definition.create(definition.config.parse({}), { vocabulary, maxLength: 64 }) as Objective<never>
}

const noDropout: Record<Kind, object> = {
  bert: { hiddenDropout: 0, attentionDropout: 0 },
  gpt2: { embeddingDropout: 0, hiddenDropout: 0, attentionDropout: 0 },
  llama: {},
}

export const modelOf = (kind: Kind, more: object = {}): Model =>
  build(kind as ModelType, (kind === 'bert' ? 'masked-lm' : 'causal-lm') as HeadType, { ...noDropout[kind], ...more })

/** Rows of three documents of uneven lengths. */
export const packedSource = (objective: Objective<never>, perEpoch = 40): ExampleSource<never> => ({
  perEpoch,
  example(position) {
    const random = createRandom(`rows/${position % perEpoch}`)
    const lengths = [5 + random.integer(12), 3 + random.integer(20), 8 + random.integer(9)]
    return { example: objective.example(rowOf(lengths, random), random, noOther), cut: 0 }
  },
})

export interface Options {
  source?: ExampleSource<never>
  model?: Model
  objective?: Objective<never>
  more?: Partial<TrainingRun<never>>
}

/** A run with AdamW at a constant rate, unless the settings say otherwise. */
export const runOf = (kind: Kind, input: object, options: Options = {}): TrainingRun<never> => {
  const settings = parseConfig(
    trainingSchema,
    { batch: { sequences: 4 }, budget: { steps: 10 }, schedule: { type: 'constant' }, learningRate: 1e-3, ...input },
    'settings',
  )
  const { objective = objectiveOf(kind), model = modelOf(kind) } = options
  const stream = options.source ?? packedSource(objective)
  const parameters = trainedParameters(model)
  const optimizer = createOptimizer(settings.optimizer, parameters)
  const { average } = settings
  return {
    trainable: { model, objective, parameters },
    stream,
    optimizer,
    average: average === undefined ? undefined : createAverage(average, parameters, { weights: optimizer.weights }),
    settings,
    learningRate: settings.learningRate ?? defaultLearningRate(settings.optimizer),
    length: runLength(settings.budget, {
      examplesPerStep: settings.batch.sequences ?? 4,
      tokensPerStep: 160,
      examplesPerEpoch: stream.perEpoch,
    }),
    state: initialState(settings, model.facts.numLayers),
    device: testDevice,
    ...options.more,
  }
}

export const eventsOf = async (run: TrainingRun<never>): Promise<TrainingEvent[]> => {
  const events: TrainingEvent[] = []
  for await (const event of train(run)) events.push(event)
  return events
}

type Of<Type extends TrainingEvent['type']> = Extract<TrainingEvent, { type: Type }>
export const ofType = <Type extends TrainingEvent['type']>(events: readonly TrainingEvent[], type: Type) =>
  events.filter((event): event is Of<Type> => event.type === type)

export const lossesOf = (events: readonly TrainingEvent[]): number[] => ofType(events, 'step').map(({ loss }) => loss)

export const largestDifference = (a: readonly number[], b: readonly number[]): number => {
  if (a.length !== b.length || a.length === 0) throw new Error(`${a.length} and ${b.length} losses`)
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0)
}
