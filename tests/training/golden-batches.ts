// Examples of golden/accumulation.json as the criteria of four architectures take them, and the bases that they are computed with.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expandRules } from '../../src/checkpoint/index.ts'
import { type HeadType, type Model, modelKeys } from '../../src/models/index.ts'
import { type Criterion, objectives, type VocabularyFacts } from '../../src/objectives/index.ts'
import { createAnswerCriterion, createSeq2seqCriterion } from '../../src/tasks/generative/answer-criterion.ts'
import type { Tensor } from '../../src/tensor/index.ts'

interface Example {
  ids: number[]
  labels: number[]
}
type Golden = Record<
  string,
  { examples: Example[]; cases: { smoothing: number; loss: number; norms: Record<string, number> }[] }
>

/** Reads a file of golden values. */
export const readGolden = <Content>(name: string): Content =>
  JSON.parse(readFileSync(new URL(`golden/${name}.json`, import.meta.url), 'utf8')) as Content

export const accumulationGolden = readGolden<Golden>('accumulation')

export const basePath = (name: string) => fileURLToPath(new URL(`../adapters/golden/bases/${name}`, import.meta.url))

const vocabulary: VocabularyFacts = { size: 61, specialIds: new Set([0, 1, 2, 3, 4]), pad: 0, cls: 1, sep: 2, mask: 4 }
const context = { vocabulary, maxLength: 32 }
const trained = ({ labels }: Example) => [...labels.keys()].filter((i) => labels[i] !== -100)

interface Layout {
  head: HeadType
  criterion: (labelSmoothing: number) => Criterion
  example: (example: Example) => unknown
}
export const layouts: Record<string, Layout> = {
  gpt2: {
    head: 'causal-lm',
    criterion: (labelSmoothing) =>
      objectives['causal-lm'].create(
        { documents: 'separate', startToken: false, labelSmoothing, fimRate: 0 },
        context,
      ) as Criterion,
    example: ({ ids }) => ({
      ids: Uint32Array.from(ids.slice(0, -1)),
      starts: [0],
      labels: Int32Array.from(ids.slice(1)),
      trained: ids.length - 1,
      cut: 0,
    }),
  },
  llama: {
    head: 'causal-lm',
    criterion: (labelSmoothing) => createAnswerCriterion(0, labelSmoothing) as Criterion,
    example: (example) => ({
      ids: Uint32Array.from(example.ids.slice(0, -1)),
      starts: [0],
      positions: Uint32Array.from(trained(example), (i) => i - 1),
      targets: Uint32Array.from(trained(example), (i) => example.ids[i]),
    }),
  },
  'bert-masked': {
    head: 'masked-lm',
    criterion: () => objectives['masked-lm'].create(objectives['masked-lm'].config.parse({}), context) as Criterion,
    example: (example) => ({
      ids: Uint32Array.from(example.ids),
      starts: [0],
      positions: Uint32Array.from(trained(example)),
      originals: Int32Array.from(trained(example), (i) => example.labels[i]),
      cut: 0,
    }),
  },
  t5: {
    head: 'seq2seq-lm',
    criterion: (labelSmoothing) => createSeq2seqCriterion(0, 0, labelSmoothing) as Criterion,
    example: ({ ids, labels }) => ({ ids: Uint32Array.from(ids), starts: [0], targets: Uint32Array.from(labels) }),
  },
}

/** Largest difference of the norms of gradients from those of transformers, relative where they are above 1, and how many there are. */
export const compareNorms = (
  model: Model,
  gradients: ReadonlyMap<string, Tensor>,
  norms: Record<string, number>,
): { largest: number; count: number } => {
  const { numLayers } = model.facts
  const rules = modelKeys(model.definition, model.config, model.headType)
  const keys = expandRules(rules, numLayers).filter(({ theirs }) => theirs in norms)
  const squares = (path: string) => (gradients.get(path) as Tensor).square().sum().item()
  // Queries, keys and values of GPT-2 are one matrix in files.
  const errors = keys.map(({ ours, theirs }) => {
    const own = Math.sqrt(ours.reduce((sum, path) => sum + squares(path), 0))
    return Math.abs(own - norms[theirs]) / Math.max(1, norms[theirs])
  })
  return { largest: Math.max(...errors), count: keys.length }
}
