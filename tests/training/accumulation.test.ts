// A global batch whose micro-batches have unequal numbers of trained tokens, with and without label smoothing: its loss and gradients are
// those of transformers with num_items_in_batch, or of PyTorch over the whole batch (golden/accumulation.json, by make-accumulation.py).
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { expandRules, loadModel } from '../../src/checkpoint/index.ts'
import { type HeadType, modelKeys } from '../../src/models/index.ts'
import { type Criterion, objectives, type VocabularyFacts } from '../../src/objectives/index.ts'
import { createAnswerCriterion, createSeq2seqCriterion } from '../../src/tasks/generative/answer-criterion.ts'
import { Generator, type Tensor } from '../../src/tensor/index.ts'
import { computeGradients } from '../../src/training/index.ts'

interface Example {
  ids: number[]
  labels: number[]
}
type Golden = Record<
  string,
  { examples: Example[]; cases: { smoothing: number; loss: number; norms: Record<string, number> }[] }
>

const golden = JSON.parse(readFileSync(new URL('golden/accumulation.json', import.meta.url), 'utf8')) as Golden
const basePath = (name: string) => fileURLToPath(new URL(`../adapters/golden/bases/${name}`, import.meta.url))

const vocabulary: VocabularyFacts = { size: 61, specialIds: new Set([0, 1, 2, 3, 4]), pad: 0, cls: 1, sep: 2, mask: 4 }
const context = { vocabulary, maxLength: 32 }
const trained = ({ labels }: Example) => [...labels.keys()].filter((i) => labels[i] !== -100)

interface Layout {
  head: HeadType
  criterion: (labelSmoothing: number) => unknown
  example: (example: Example) => unknown
}
const layouts: Record<string, Layout> = {
  gpt2: {
    head: 'causal-lm',
    criterion: (labelSmoothing) =>
      objectives['causal-lm'].create({ documents: 'separate', startToken: false, labelSmoothing }, context),
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
    criterion: (labelSmoothing) => createAnswerCriterion(0, labelSmoothing),
    example: (example) => ({
      ids: Uint32Array.from(example.ids.slice(0, -1)),
      starts: [0],
      positions: Uint32Array.from(trained(example), (i) => i - 1),
      targets: Uint32Array.from(trained(example), (i) => example.ids[i]),
    }),
  },
  'bert-masked': {
    head: 'masked-lm',
    criterion: () => objectives['masked-lm'].create(objectives['masked-lm'].config.parse({}), context),
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
    criterion: (labelSmoothing) => createSeq2seqCriterion(0, 0, labelSmoothing),
    example: ({ ids, labels }) => ({ ids: Uint32Array.from(ids), starts: [0], targets: Uint32Array.from(labels) }),
  },
}

it.each(
  Object.entries(golden).flatMap(([name, { examples, cases }]) => cases.map((one) => ({ name, examples, ...one }))),
)('$name with label smoothing $smoothing', async ({ name, examples, smoothing, loss, norms }) => {
  const { head, criterion, example } = layouts[name]
  const model = await loadModel(basePath(name), { head, dropout: 0 })
  model.train().requireGrad(true)
  const { rules, numLayers } = { rules: modelKeys(model.definition, model.config, head), ...model.facts }
  const keys = expandRules(rules, numLayers).filter(({ theirs }) => theirs in norms)
  for (const microTokens of [16, 1000]) {
    const found = await computeGradients(
      { model, objective: criterion(smoothing) as Criterion, parameters: model.parameters() },
      examples.map(example),
      { microTokens, padded: false, recompute: 0, generator: new Generator(1) },
    )
    expect(found.microBatches > 3).toBe(microTokens === 16)
    expect(found.loss).toBeCloseTo(loss, 5)
    const norm = (path: string) => (found.gradients.get(path) as Tensor).square().sum().item()
    // Queries, keys and values of GPT-2 are one matrix in files.
    for (const { ours, theirs } of keys) {
      const own = Math.sqrt(ours.reduce((sum, path) => sum + norm(path), 0))
      expect(Math.abs(own - norms[theirs]), theirs).toBeLessThan(1e-5 * Math.max(1, norms[theirs]))
    }
    expect(keys.length).toBeGreaterThan(15)
    found.release()
  }
})
