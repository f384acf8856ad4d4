// Learning from a teacher: loss and gradients are those of PyTorch (golden/distillation.json, by make-distillation.py), however the batch is
// divided; runs with a teacher learn what it knows, and refuse a teacher that does not fit.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { applyAdapter } from '../../src/adapters/index.ts'
import { loadModel, loadTokenizer, saveModel } from '../../src/checkpoint/index.ts'
import { createRandom } from '../../src/core/index.ts'
import { buildModel, models } from '../../src/models/index.ts'
import { type Criterion, distilled, type Teacher } from '../../src/objectives/index.ts'
import { finetune, pretrain, resume } from '../../src/runs/index.ts'
import { createAnswerCriterion } from '../../src/tasks/generative/answer-criterion.ts'
import { Generator, noGrad, randn, setThreads } from '../../src/tensor/index.ts'
import { computeGradients } from '../../src/training/index.ts'
import { build } from '../objectives/small-models.ts'
import { accumulationGolden, basePath, compareNorms, layouts, readGolden } from './golden-batches.ts'
import { eventsOf as eventsIn, makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

interface Case {
  divergence: Teacher['divergence']
  temperature: number
  share: number
  loss: number
  norms: Record<string, number>
}
const golden = readGolden<Record<string, Case[]>>('distillation')

it.each(Object.entries(golden).flatMap(([name, cases]) => cases.map((one) => ({ name, ...one }))))(
  'of $name by $divergence at temperature $temperature, $share of the loss',
  async ({ name, divergence, temperature, share, loss, norms }) => {
    const { head, criterion, example } = layouts[name]
    const load = () => loadModel(basePath(name), { head, dropout: 0 })
    const [model, teacher] = [await load(), await load()]
    model.train().requireGrad(true)
    noGrad(() => {
      for (const parameter of teacher.parameters().values()) parameter.mul_(3)
    })
    const objective = distilled(criterion(0), { model: teacher, weight: share, temperature, divergence })
    for (const microTokens of [16, 1000]) {
      const found = await computeGradients(
        { model, objective, parameters: model.parameters() },
        accumulationGolden[name].examples.map(example),
        { microTokens, padded: false, recompute: 0, generator: new Generator(1) },
      )
      expect(found.microBatches > 3).toBe(microTokens === 16)
      expect(Math.abs(found.loss - loss) / loss).toBeLessThan(1e-4)
      expect(Object.keys(found.terms)).toContain('distillation')
      const { largest, count } = compareNorms(model, found.gradients, norms)
      expect(largest).toBeLessThan(1e-4)
      expect(count).toBeGreaterThan(15)
      found.release()
    }
  },
)

it('has the gradients of parts of a batch where its tokens are more than fit at once, with an adapter on the output layer', async () => {
  const model = build('llama', 'causal-lm').requireGrad(false)
  const targets = ['qProj', 'lmHead']
  const { trainable } = applyAdapter(model, { type: 'lora', rank: 4, targets } as never, { seed: 0 })
  noGrad(() => {
    for (const [name, factor] of trainable)
      if (name.endsWith('.b')) factor.add_(randn(factor.shape, { generator: new Generator(4) }).mul(0.3))
  })
  const teacher = build('llama', 'causal-lm', { seed: 9 }).requireGrad(false).eval()
  const how = { weight: 0.5, temperature: 2, divergence: 'forward-kl' } as const
  const objective = distilled(createAnswerCriterion(0), { model: teacher, ...how }) as Criterion
  const examples = Array.from({ length: 12 }, (_, k) => {
    const ids = Uint32Array.from({ length: 60 }, (_, i) => 7 + ((i * 13 + k * 7) % 100))
    const weights = Float32Array.from({ length: 59 }, (_, i) => 1 + (i % 2))
    return { ids, starts: [0], positions: Uint32Array.from(weights.keys()), targets: ids.slice(1), weights }
  })
  const computed = async (microTokens: number) => {
    const settings = { microTokens, padded: false, recompute: 0, generator: new Generator(1) }
    const { gradients, loss, release } = await computeGradients(
      { model, objective, parameters: trainable },
      examples,
      settings,
    )
    const norms = new Map([...gradients].map(([name, gradient]) => [name, gradient.square().sum().item()]))
    release()
    return { loss, norms }
  }
  const [parts, whole] = [await computed(64), await computed(4096)]
  expect(parts.loss).toBeCloseTo(whole.loss, 5)
  for (const [name, norm] of whole.norms) {
    expect(norm, name).toBeGreaterThan(1e-6)
    expect(Math.abs(parts.norms.get(name)! / norm - 1), name).toBeLessThan(1e-3)
  }
})

describe('a run', () => {
  let data: SmallData
  const at = (name: string) => join(data.root, name)
  const things = ['house', 'river', 'bird', 'stone']
  /** Texts with one of four things in them; labels say which, or are drawn. */
  const rows = (from: number, to: number, labelOf: (i: number) => string) =>
    Array.from({ length: to - from }, (_, k) => {
      const i = from + k
      const text = `the ${['old', 'small', 'green', 'light of'][(i >> 2) % 4]} ${things[i % 4]} walks ${i % 3 === 0 ? 'under' : 'over'}`
      return JSON.stringify({ text, label: labelOf(i) })
    }).join('\n')
  const right = (i: number) => (i % 4 < 2 ? 'one' : 'two')

  beforeAll(async () => {
    setThreads(1)
    data = await makeSmallData()
    const tokenizer = await loadTokenizer(data.tokenizer)
    const { bert } = models
    const config = bert.adjust(bert.presets.test, { vocabSize: tokenizer.maxId + 1 })
    const model = buildModel(bert, config, 'masked-lm')
    model.initialize({ std: 0.1, generator: new Generator(1) })
    await saveModel(model, at('base'), { tokenizer: data.tokenizer })
    const random = createRandom('labels')
    writeFileSync(at('right.jsonl'), rows(0, 96, right))
    writeFileSync(
      at('drawn.jsonl'),
      rows(0, 96, () => (random.integer(2) === 0 ? 'one' : 'two')),
    )
    writeFileSync(at('held.jsonl'), rows(100, 132, right))
    writeFileSync(
      at('other.jsonl'),
      rows(0, 96, (i) => things[i % 4]),
    )
  })
  afterAll(() => data.dispose())

  const recipe = (out: string, more: object = {}) =>
    ({
      base: at('base'),
      task: 'sequence-classification',
      data: at('drawn.jsonl'),
      validation: at('held.jsonl'),
      out: at(out),
      maxLength: 16,
      batch: { sequences: 8 },
      budget: { steps: 60 },
      learningRate: 0.003,
      untrainedBaseline: false,
      ...more,
    }) as unknown as Parameters<typeof finetune>[0]
  const accuracyOf = (run: string): number => {
    const text = readFileSync(join(at(run), 'model', 'evaluation.json'), 'utf8')
    const { metrics } = JSON.parse(text) as { metrics: Record<string, { value: number }> }
    return metrics.accuracy.value
  }
  const teach = (run: string, more: object = {}) => ({ distillation: { teacher: at(run), ...more } })
  const refused = (more: object) => finetune(recipe('refused', more))

  it('learns what its teacher knows, where its own labels say nothing, and goes on as it was', async () => {
    await finetune(
      recipe('teacher', { data: at('right.jsonl'), variant: 'lora', adapter: { rank: 8 }, learningRate: 0.01 }),
    )
    expect(accuracyOf('teacher')).toBeGreaterThan(0.95)
    await finetune(recipe('alone'))
    expect(accuracyOf('alone')).toBeLessThan(0.8)
    // The teacher is an adapter on the same base, which has a copy of its own here.
    const notes: string[] = []
    await finetune(recipe('taught', teach('teacher', { weight: 1 })), { onNote: (line) => notes.push(line) })
    expect(accuracyOf('taught')).toBeGreaterThan(0.95)
    expect(notes.join('\n')).toMatch(/Learns from the teacher .*teacher, which has [\d,.]+[kM]? parameters/)

    const aborter = new AbortController()
    await finetune(recipe('stopped', { ...teach('teacher', { weight: 1 }), checkpoint: { steps: 20 } }), {
      signal: aborter.signal,
      onEvent: (event) => {
        if (event.type === 'step' && event.step >= 25) aborter.abort()
      },
    })
    await resume(at('stopped'))
    const weights = (run: string) => readFileSync(join(at(run), 'model', 'model.safetensors'))
    expect(weights('stopped').equals(weights('taught'))).toBe(true)
  })

  it('quantises a teacher, which teaches nearly the same', async () => {
    await finetune(recipe('from-int8', teach('teacher', { weight: 1, precision: 'int8' })))
    expect(accuracyOf('from-int8')).toBeGreaterThan(0.95)
  })

  it('in pretraining evaluates the objective alone', async () => {
    const objective = { type: 'masked-lm' }
    await pretrain(
      smallRecipe(data, at('pretrained'), { objective, distillation: { teacher: at('base'), weight: 0.9 } }),
    )
    const events = (await eventsIn(at('pretrained'))) as { type: string }[]
    const step = events.find(({ type }) => type === 'step')
    expect(Object.keys((step as unknown as { terms: object }).terms)).toEqual(['masked-lm', 'distillation'])
    const evaluation = events.find(({ type }) => type === 'evaluation')
    expect(Object.keys((evaluation as unknown as { metrics: object }).metrics)).toContain('perplexity')
  })

  it('refuses a teacher that does not fit, and settings without effect', async () => {
    await expect(refused({ distillation: { temperature: 3 } })).rejects.toThrow(
      '`distillation.temperature` has no effect without a teacher',
    )
    await expect(refused(teach('base'))).rejects.toThrow('a teacher with weights of the head sequence-classification')
    await finetune(recipe('other', { data: at('other.jsonl'), validation: undefined, budget: { steps: 2 } }))
    await expect(refused(teach('other'))).rejects.toThrow(
      'a teacher with the labels one, two, in this order, for `distillation.teacher`',
    )
    const bytes = await makeSmallData('bpe')
    const words = await loadTokenizer(bytes.tokenizer)
    const { bert } = models
    const config = bert.adjust(bert.presets.test, { vocabSize: words.maxId + 1 })
    await saveModel(buildModel(bert, config, 'masked-lm'), at('other-words'), { tokenizer: bytes.tokenizer })
    bytes.dispose()
    await expect(refused(teach('other-words'))).rejects.toThrow('a teacher with the vocabulary of the student')
    await expect(refused({ variant: 'feature-based', ...teach('teacher') })).rejects.toThrow('`distillation`')
    await finetune({
      ...recipe('features', { variant: 'feature-based', data: at('right.jsonl') }),
      batch: undefined,
      budget: undefined,
      learningRate: undefined,
    })
    await expect(refused(teach('features'))).rejects.toThrow('whose learner was fitted on features')
    const pairs = { task: 'sentence-similarity', settings: { pair: 'label' }, validation: undefined }
    await expect(refused({ ...pairs, ...teach('base') })).rejects.toThrow('cannot learn from a teacher')
  })
})
