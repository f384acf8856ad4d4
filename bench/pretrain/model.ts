// The model, objective and rows of a job, the same in every process: weights and masks follow from seeds.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRandom } from '../../src/core/index.ts'
import { buildModel, type Model, type ModelDefinition, models } from '../../src/models/index.ts'
import {
  type Objective,
  type ObjectiveDefinition,
  objectives,
  type VocabularyFacts,
  vocabularyFacts,
} from '../../src/objectives/index.ts'
import { Generator } from '../../src/tensor/index.ts'
import { loadTokenizer } from '../../src/tokenizers/index.ts'
import type { ExampleSource } from '../../src/training/index.ts'
import type { Job } from './jobs.ts'

export const makeModel = (job: Job, vocabulary: VocabularyFacts): Model => {
  const definition = models[job.type] as ModelDefinition
  const config = definition.adjust({}, { vocabSize: vocabulary.size, ...job.config })
  const model = buildModel(definition, config, (objectives[job.objective] as ObjectiveDefinition).head)
  model.initialize({ std: model.facts.initializerRange, generator: new Generator(0) })
  return model
}

export const openJob = async (job: Job, folder: string) => {
  const vocabulary = vocabularyFacts(await loadTokenizer(join(folder, 'tokenizer')))
  const definition = objectives[job.objective] as ObjectiveDefinition
  const causal = job.objective === 'causal-lm'
  const config = definition.config.parse(causal ? { documents: 'joined' } : {})
  // The last token of a block is predicted, not read.
  const objective = definition.create(config, { vocabulary, maxLength: causal ? job.length - 1 : job.length })
  return { model: makeModel(job, vocabulary), objective, source: openRows(folder, objective) }
}

/** Rows in their order, over and over. */
const openRows = (folder: string, objective: Objective): ExampleSource<unknown> => {
  const words = (name: string) => {
    const bytes = readFileSync(join(folder, name))
    return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  }
  const [ids, ends] = [words('ids.bin'), words('ends.bin')]
  return {
    perEpoch: ends.length,
    example: (position) => {
      const at = position % ends.length
      const row = { ids: ids.slice(at === 0 ? 0 : ends[at - 1], ends[at]), starts: [0], part: 0 }
      const random = createRandom(`bench/${position}`)
      const example = objective.example(row, random, () => row)
      return { example, cut: objective.cut(example) }
    },
  }
}
