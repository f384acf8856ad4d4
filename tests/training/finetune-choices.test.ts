// Fine-tuning on choices, from end to end on an invented language, by the variants with virtual tokens: packed and padded batches teach the
// same, and the files answer as the run did.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadAdapter } from '../../src/adapters/index.ts'
import { loadTokenizer, saveModel } from '../../src/checkpoint/index.ts'
import { buildModel, type ModelDefinition, models } from '../../src/models/index.ts'
import { finetune, openSpecialists } from '../../src/runs/index.ts'
import { type ChoiceExample, type ChoicePrediction, tasks } from '../../src/tasks/index.ts'
import { Generator, inferenceMode, setThreads } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'
import { runHere } from '../e2e/run-folder.ts'
import { makeSmallData, type SmallData } from './small-run.ts'

let data: SmallData
const at = (name: string) => join(data.root, name)

/** The right choice has a certain word; two choices or three, of one word or more. */
const rows = (count: number) =>
  Array.from({ length: count }, (_, i) => {
    const wrong = ['stone', 'the river and the house'].slice(0, 1 + (i % 2))
    const label = (i * 5 + (i >> 2)) % (wrong.length + 1)
    const choices = wrong.toSpliced(label, 0, i % 3 === 0 ? 'green' : 'a green bird')
    return { question: ['light of rain', 'old rain', 'a bird'][i % 3], choices, label }
  })
const lines = (count: number) =>
  rows(count)
    .map((row) => JSON.stringify(row))
    .join('\n')

const bases = ['bert', 'gpt2'] as const

beforeAll(async () => {
  // Tensors of this size only lose by threads.
  setThreads(1)
  data = await makeSmallData()
  const tokenizer = await loadTokenizer(data.tokenizer)
  for (const name of bases) {
    const definition = models[name] as unknown as ModelDefinition
    // Without dropout in the body, whose draws depend on the form of the batch.
    const still = { hiddenDropout: 0, attentionDropout: 0, ...(name === 'gpt2' ? { embeddingDropout: 0 } : {}) }
    const config = definition.adjust(definition.presets.test, { vocabSize: tokenizer.maxId + 1, ...still })
    const model = buildModel(definition, config, name === 'bert' ? 'masked-lm' : 'causal-lm')
    model.initialize({ std: 0.15, generator: new Generator(1) })
    await saveModel(model, at(name), { tokenizer: data.tokenizer })
  }
  writeFileSync(at('rows.jsonl'), lines(96))
  writeFileSync(at('held.jsonl'), lines(18))
})
afterAll(() => data.dispose())

const settings = { text: 'question' }

const runs = new Map<string, ReturnType<typeof train>>()

/** Trained once. */
const run = (base: string, variant: string, { padded = false } = {}) => {
  const name = `${base}-${variant}-${padded ? 'padded' : 'packed'}`
  const known = runs.get(name) ?? train(base, variant, padded, at(name))
  runs.set(name, known)
  return known
}

const train = async (base: string, variant: string, padded: boolean, out: string) => {
  const { reason } = await finetune({
    base: at(base),
    task: 'multiple-choice',
    settings,
    data: at('rows.jsonl'),
    validation: at('held.jsonl'),
    variant,
    out,
    maxLength: 24,
    batch: { sequences: 16, padded },
    budget: { steps: 40 },
    evaluate: { steps: 20 },
    learningRate: 0.02,
    untrainedBaseline: false,
  } as unknown as Parameters<typeof finetune>[0])
  expect(reason).toBe('finished')
  const model = join(out, 'model')
  const said = readFileSync(join(model, 'predictions.jsonl'), 'utf8').trim().split('\n')
  const evaluation = JSON.parse(readFileSync(join(model, 'evaluation.json'), 'utf8')) as {
    metrics: { accuracy: { value: number } }
  }
  const losses = readFileSync(join(out, 'events.jsonl'), 'utf8')
    .split('\n')
    .flatMap((line) => (line.includes('"type":"step"') ? [(JSON.parse(line) as { loss: number }).loss] : []))
  return { out, model, evaluation, losses, predictions: said.map((line) => JSON.parse(line) as ChoicePrediction) }
}

describe.each(bases)('%s', (base) => {
  describe.each(['prompt-tuning', 'prefix-tuning'] as const)('%s', (variant) => {
    it('learns the same choices in packed and in padded batches', async () => {
      const [packed, padded] = [await run(base, variant), await run(base, variant, { padded: true })]
      expect(packed.losses).toHaveLength(40)
      // The head of gpt2 has dropout of its own, and padded examples lie in another order.
      const digits = base === 'bert' ? 4 : 1
      for (const [i, loss] of packed.losses.slice(0, 5).entries()) expect(loss).toBeCloseTo(padded.losses[i], digits)
      for (const { evaluation } of [packed, padded]) expect(evaluation.metrics.accuracy.value).toBeGreaterThan(0.9)
    })

    it('answers from its files as the run did', async () => {
      const { out, model, evaluation, predictions } = await run(base, variant)
      const { stdout } = await runHere(['evaluate', '--model', out, '--data', at('held.jsonl'), '--json'])
      expect(JSON.parse(stdout).metrics.accuracy).toEqual(evaluation.metrics.accuracy)
      const specialists = await openSpecialists(at(base), { chooser: model })
      const asked = rows(18).map(({ question, choices }) => ({ text: question, choices }))
      const answers = (await specialists.query('chooser', asked)).predictions as ChoicePrediction[]
      answers.forEach(({ choice, probabilities }, i) => {
        expect(choice).toBe(predictions[i].choice)
        expect(probabilities).toEqual(predictions[i].probabilities)
      })
    })

    it('gives equal logits, packed and padded, once reopened', async () => {
      const { model: folder } = await run(base, variant)
      const [{ model }, again] = [await loadAdapter(folder), await loadAdapter(folder)]
      const tokenizer = await loadTokenizer(at(base))
      const task = tasks['multiple-choice']
      const config = task.config.parse(settings)
      const { records } = await task.read(at('held.jsonl'), config)
      const prepared = task.prepare(tokenizer, config, {
        maxLength: 24,
        headOptions: model.headOptions,
        facts: model.facts,
      }) as unknown as {
        encode(record: unknown): ChoiceExample[]
        criterion: { collate(examples: ChoiceExample[], how: { padded: boolean; device: string }): { inputs: never } }
      }
      const examples = records.flatMap((record) => prepared.encode(record))
      const logits = (of: typeof model, isPadded: boolean) =>
        inferenceMode(() =>
          of
            .eval()
            .forward(prepared.criterion.collate(examples, { padded: isPadded, device: testDevice }).inputs)
            .logits.toFloat32Array(),
        )
      const packed = logits(model, false)
      expect(logits(again.model, false)).toEqual(packed)
      expect(packed.length).toBe(examples.reduce((sum, { starts }) => sum + starts.length, 0))
      for (const [i, value] of logits(model, true).entries()) expect(value).toBeCloseTo(packed[i], 4)
    })
  })
})
