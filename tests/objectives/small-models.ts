// Small models with heads that score the vocabulary, and rows of text for them.
import { createRandom, type Random } from '../../src/core/index.ts'
import type { Row } from '../../src/data/index.ts'
import {
  buildModel,
  type HeadType,
  type Model,
  type ModelDefinition,
  type ModelType,
  models,
} from '../../src/models/index.ts'
import type { TextRow, VocabularyFacts } from '../../src/objectives/index.ts'
import { Generator, setThreads } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'

// Tensors of this size only lose by threads.
setThreads(1)

export const vocabulary: VocabularyFacts = {
  size: 128,
  pad: 0,
  cls: 2,
  sep: 3,
  mask: 4,
  bos: 5,
  eos: 6,
  specialIds: new Set([0, 1, 2, 3, 4, 5, 6, 127, 126, 125, 124]),
  sentinels: [127, 126, 125, 124],
  continuesWord: (id) => id % 3 === 0,
  endsSentence: (id) => id % 11 === 0,
}

/** A row of documents of these lengths, without special tokens. */
export const rowOf = (lengths: readonly number[], random: Random): TextRow => {
  const starts: number[] = []
  let size = 0
  for (const length of lengths) {
    starts.push(size)
    size += length
  }
  return { ids: Uint16Array.from({ length: size }, () => 7 + random.integer(110)), starts, part: 0, endsDocument: true }
}

export const documentsOf = (row: TextRow): TextRow[] =>
  row.starts.map((start, i) => ({ ...row, ids: row.ids.slice(start, row.starts[i + 1]), starts: [0] }))

export const noOther = (): Row => {
  throw new Error('no further row is needed here')
}

export const build = (
  type: ModelType,
  head: HeadType,
  { seed = 1, std = 0.15, ...more }: { seed?: number; std?: number } & Record<string, unknown> = {},
): Model => {
  const definition = models[type] as ModelDefinition
  const config = definition.config.parse({ ...definition.presets.test, vocabSize: vocabulary.size, ...more }) as object
  const model = buildModel(definition, config, head)
  model.initialize({ std, generator: new Generator(seed) })
  return model.to({ device: testDevice }).requireGrad(true)
}

export const random = (label: string): Random => createRandom(`objectives test`).fork(label)
