// Small bases with random weights, and sequences to take features of; the same in every process.
import { createRandom } from '../../src/core/index.ts'
import type { FeatureSequence } from '../../src/features/index.ts'
import { buildModel, type Model, type ModelDefinition, models } from '../../src/models/index.ts'
import { defaultDevice, Generator } from '../../src/tensor/index.ts'

const vocabulary = 40

export const makeModel = (type: 'bert' | 't5' | 'llama'): Model => {
  const definition = models[type] as unknown as ModelDefinition
  const config = definition.adjust(definition.presets.test, { vocabSize: vocabulary })
  return buildModel(definition, config, 'embedding')
    .initialize({ std: 0.3, generator: new Generator(3) })
    .to({ device: defaultDevice() })
}

export const sequencesOf = (lengths: readonly number[], seed = 'sequences'): FeatureSequence[] =>
  lengths.map((length, i) => {
    const random = createRandom(`${seed}/${i}`)
    return { ids: Uint32Array.from({ length }, () => 1 + random.integer(vocabulary - 1)) }
  })
