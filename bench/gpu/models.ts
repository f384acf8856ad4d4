// The models of the jobs, from random weights, with rows of random ids.
import { applyAdapter } from '../../src/adapters/index.ts'
import { createRandom } from '../../src/core/index.ts'
import { buildModel, type Model, type ModelDefinition, models } from '../../src/models/index.ts'
import { type ObjectiveDefinition, objectives, type VocabularyFacts } from '../../src/objectives/index.ts'
import { type Dtype, enableStrictDevice, Generator, type Tensor } from '../../src/tensor/index.ts'
import { type ExampleSource, type TrainableModel, trainedParameters } from '../../src/training/index.ts'
import type { GpuJob } from './jobs.ts'

/** Ids that are no special tokens begin here. */
const firstId = 10

const vocabularyOf = (size: number): VocabularyFacts => ({
  ...{ size, pad: 0, cls: 2, sep: 3, mask: 4, bos: 5, eos: 6 },
  specialIds: new Set([0, 1, 2, 3, 4, 5, 6]),
  sentinels: [],
  continuesWord: () => false,
  endsSentence: () => false,
})

/** Makes the strict device available, where it is asked for. */
export const openDevice = (device: string): void => {
  if (device === 'strict') enableStrictDevice()
}

/** The model of a job on a device. */
export const makeModel = (job: GpuJob, device: string, dtype: Dtype): Model => {
  const definition = models[job.type] as ModelDefinition
  const config = definition.adjust({}, job.config)
  const model = buildModel(definition, config, (objectives[job.objective] as ObjectiveDefinition).head)
  model.initialize({ std: model.facts.initializerRange, generator: new Generator(0) })
  return model.to({ device, dtype })
}

/** Ids of a row. */
export const randomIds = (label: string, length: number, vocabSize: number): number[] => {
  const random = createRandom(label)
  return Array.from({ length }, () => firstId + random.integer(vocabSize - firstId))
}

/** What the loop trains: all weights, or a LoRA on queries and values. */
export const trainableOf = (
  job: GpuJob,
  device: string,
  dtype: Dtype,
): { trainable: TrainableModel; stream: ExampleSource<unknown> } => {
  const vocabulary = vocabularyOf(Number(job.config.vocabSize))
  const definition = objectives[job.objective] as ObjectiveDefinition
  const causal = job.objective === 'causal-lm'
  const settings = definition.config.parse(causal ? { documents: 'joined' } : {})
  const objective = definition.create(settings, { vocabulary, maxLength: causal ? job.length - 1 : job.length })
  const model = makeModel(job, device, dtype)
  let parameters: ReadonlyMap<string, Tensor>
  if (job.rank === undefined) parameters = trainedParameters(model.requireGrad(true))
  else {
    const targets = ['qProj', 'vProj']
    parameters = applyAdapter(model, { type: 'lora', rank: job.rank, targets }).trainable
  }
  const stream: ExampleSource<unknown> = {
    perEpoch: 1e6,
    example: (position) => {
      const length = objective.rows.length
      const ids = Uint32Array.from(randomIds(`gpu/${position}`, length, vocabulary.size))
      const row = { ids, starts: [0], part: 0, endsDocument: true }
      const example = objective.example(row, createRandom(`gpu/mask/${position}`), () => row)
      return { example, cut: 0 }
    },
  }
  return { trainable: { model, objective, parameters } as unknown as TrainableModel, stream }
}
