// Tasks that answer by writing, on every kind of body: losses padded, packed and in parts; answers in batches of any size; scores.
// Small models with random weights.
import { describe, expect, it } from 'vitest'
import { buildModel, type Model, models } from '../../src/models/index.ts'
import { AnswerScorer, type GeneratedPrediction } from '../../src/tasks/generative/answer-scores.ts'
import {
  evaluateTask,
  type GenerativeTask,
  predictTask,
  type TaskDefinition,
  type TaskRecord,
  taskConfig,
  tasks,
} from '../../src/tasks/index.ts'
import { Generator, gradients, inferenceMode, scope, setThreads } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'
import { chatTokenizer } from './chat-tokenizer.ts'

// Tensors of this size only lose by threads.
setThreads(1)

const tokenizer = chatTokenizer()
const vocabSize = tokenizer.maxId + 1

const sizes = { vocabSize, hiddenSize: 32, numLayers: 2, numHeads: 4, intermediateSize: 48 }
const bodies = {
  llama: { ...sizes, numKvHeads: 2, maxPositions: 96 },
  qwen2: { ...sizes, numKvHeads: 2, maxPositions: 96 },
  gpt2: { ...sizes, maxPositions: 96, embeddingDropout: 0, hiddenDropout: 0, attentionDropout: 0 },
  t5: { ...sizes, headDim: 8, dropout: 0 },
  bart: { ...sizes, maxPositions: 96, hiddenDropout: 0, padTokenId: 2, eosTokenId: 1, decoderStartTokenId: 1 },
} as const

type BodyName = keyof typeof bodies

const modelOf = (name: BodyName): Model => {
  const definition = (models as unknown as Record<string, Parameters<typeof buildModel>[0]>)[name]
  const config = definition.adjust({}, bodies[name])
  const causal = definition.facts(config).causal
  const model = buildModel(definition, config, causal ? 'causal-lm' : 'seq2seq-lm')
  model.initialize({ std: 0.2, generator: new Generator(3) }).to({ device: testDevice })
  model.requireGrad(true)
  return model
}

const at = { file: 'x', line: 1 }
const records = [
  { id: 'a', ...at, source: 'hi hi ho', references: ['ho'] },
  { id: 'b', ...at, source: 'a long text about hi and ho and more of it', references: ['hi ho hi', 'ho'] },
  { id: 'c', ...at, source: 'hi', references: ['a b c d'] },
  { id: 'd', ...at, source: 'some more', references: ['ho ho'] },
] as unknown as TaskRecord[]

const task = tasks.summarization as unknown as TaskDefinition
const built = (name: BodyName, more: object = {}) => {
  const model = modelOf(name)
  const config = taskConfig(task, { prompt: 'Sum: {text}', maxNewTokens: 12, ...more })
  const prepared = task.prepare(tokenizer, config, {
    maxLength: 90,
    headOptions: {},
    facts: model.facts,
  }) as GenerativeTask
  return { model, config, prepared, examples: records.flatMap((record) => prepared.encode(record)) }
}

type Built = ReturnType<typeof built>

/** Summed loss and gradients, by parameter. */
const stepOf = ({ model, prepared }: Built, examples: Built['examples'], padded: boolean) =>
  scope(() => {
    const { terms } = prepared.criterion.loss(
      model,
      prepared.criterion.collate(examples, { padded, device: testDevice }),
    )
    const [{ sum, weight }] = terms
    const named = [...model.parameters()]
    const found = gradients(
      [sum],
      named.map(([, parameter]) => parameter),
    )
    const grads = new Map(named.map(([name], i) => [name, found[i] && Array.from(found[i].toFloat32Array())]))
    return { sum: sum.item(), weight, grads }
  })

const expectAlike = (a: ReturnType<typeof stepOf>, b: ReturnType<typeof stepOf>) => {
  expect(Math.abs(a.sum - b.sum) / a.sum).toBeLessThan(1e-5)
  expect(a.weight).toBe(b.weight)
  let largest = 0
  for (const grad of a.grads.values()) largest = Math.max(largest, ...(grad ?? []).map(Math.abs))
  expect(largest).toBeGreaterThan(1e-3)
  for (const [name, grad] of a.grads) {
    const other = b.grads.get(name)
    const apart = (grad ?? []).map((value, i) => Math.abs(value - (other?.[i] ?? 0)) / largest)
    expect(Math.max(0, ...apart), name).toBeLessThan(1e-5)
  }
}

const summed = (steps: ReturnType<typeof stepOf>[]): ReturnType<typeof stepOf> => ({
  sum: steps.reduce((sum, step) => sum + step.sum, 0),
  weight: steps.reduce((sum, step) => sum + step.weight, 0),
  grads: new Map(
    [...steps[0].grads].map(([name, first]) => [
      name,
      first?.map((_, i) => steps.reduce((sum, step) => sum + (step.grads.get(name)?.[i] ?? 0), 0)),
    ]),
  ) as ReturnType<typeof stepOf>['grads'],
})

describe.each(['llama', 'qwen2', 'gpt2'] as const)('packed conversations of %s', (name) => {
  it('have the loss and the gradients of padded ones, and of each on its own', () => {
    const one = built(name)
    const packed = stepOf(one, one.examples, false)
    expectAlike(packed, stepOf(one, one.examples, true))
    expectAlike(packed, summed(one.examples.map((example) => stepOf(one, [example], false))))
  })

  it('do not attend to each other', () => {
    const one = built(name)
    const [first, second, third] = one.examples
    const alone = stepOf(one, [third], false).sum
    const behind = (before: Built['examples'][number]) =>
      stepOf(one, [before, third], false).sum - stepOf(one, [before], false).sum
    expect(behind(first)).toBeCloseTo(alone, 3)
    expect(behind(second)).toBeCloseTo(alone, 3)
  })
})

describe.each(Object.keys(bodies) as BodyName[])('answers of %s', (name) => {
  it('have the same loss one by one, in a batch, and by the definition', () => {
    const { model, prepared, examples } = built(name)
    const padded = model.facts.packs === false
    inferenceMode(() =>
      scope(() => {
        const together = prepared.generation.losses(
          model,
          prepared.criterion.collate(examples, { padded, device: testDevice }),
        )
        expect(together.map(({ tokens }) => tokens)).toEqual(
          examples.map((example) => prepared.criterion.weights(example).answers),
        )
        examples.forEach((example, i) => {
          const [alone] = prepared.generation.losses(
            model,
            prepared.criterion.collate([example], { padded, device: testDevice }),
          )
          expect(alone.nats).toBeCloseTo(together[i].nats, 3)
          const batch = prepared.criterion.collate([example], { padded, device: testDevice })
          const logits = model.forward(batch.inputs).logits.flatten(0, 1)
          const { places, labels } = batch as unknown as { places: typeof logits; labels: typeof logits }
          const full = logits.indexSelect(0, places).logSoftmax(-1).gather(1, labels.unsqueeze(1)).sum().neg().item()
          expect(alone.nats).toBeCloseTo(full, 3)
        })
      }),
    )
  })

  it('are the same in batches of any size, and have scores', async () => {
    const { model, config } = built(name)
    const predict = (batchTokens: number) =>
      predictTask(model, tokenizer, task, records, config, { maxLength: 90, batchTokens })
    const [small, large] = [await predict(1), await predict(4096)]
    const texts = ({ predictions }: typeof small) => predictions.map((one) => (one as { answer?: string }).answer)
    expect(texts(small)).toEqual(texts(large))
    expect(small.predictions.map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd'])
    const result = await evaluateTask(model, tokenizer, task, records, config, { maxLength: 90, resamples: 20 })
    expect(Object.keys(result.metrics)).toEqual(['rouge1', 'rouge2', 'rougeL', 'rougeLsum', 'perplexity', 'ended'])
    expect(result.metrics.perplexity.value).toBeGreaterThan(1)
    expect(result.metrics.perplexity.low).toBeLessThan(result.metrics.perplexity.high)
    // What was said is read back from its line as it was.
    result.predictions.forEach((prediction, i) => {
      const line = JSON.parse(JSON.stringify(prediction)) as { [name: string]: unknown }
      expect(task.parsePrediction(line, records[i], config)).toEqual(prediction)
    })
    // Drawn texts, too, and by the seed.
    const drawn = async (samplingSeed: number, batchTokens: number) =>
      texts(
        await predictTask(
          model,
          tokenizer,
          task,
          records,
          { ...config, temperature: 1, topP: 0.9, samplingSeed } as object,
          {
            maxLength: 90,
            batchTokens,
          },
        ),
      )
    expect(await drawn(1, 1)).toEqual(await drawn(1, 4096))
    expect(await drawn(1, 4096)).not.toEqual(await drawn(5, 4096))
    expect(await drawn(1, 4096)).not.toEqual(texts(large))
    const some = await evaluateTask(model, tokenizer, task, records, config, {
      maxLength: 90,
      answers: 0,
      resamples: 5,
    })
    expect(Object.keys(some.metrics)).toEqual(['perplexity'])
    expect(some.metrics.perplexity.value).toBeCloseTo(result.metrics.perplexity.value, 3)
  })
})

it('scores of answers include only the records that have them', () => {
  const references = [['ho ho'], ['hi'], ['ho']]
  const scoreAnswers = (predictions: GeneratedPrediction[]) => {
    const scorer = new AnswerScorer({ metrics: ['exactMatch'], stemming: false })
    for (const [i, prediction] of predictions.entries()) scorer.add(references[i], prediction)
    return scorer.units()
  }
  const judged = scoreAnswers([
    { id: '0', answer: 'ho ho', ended: true, nats: 2, tokens: 2 },
    { id: '1', answer: 'no', ended: false, nats: 4, tokens: 1 },
    { id: '2', nats: 0, tokens: 1 },
  ])
  expect(judged.scores()).toEqual({ exactMatch: 0.5, perplexity: Math.exp(6 / 4), ended: 0.5 })
  expect(judged.scores([2, 1, 0])).toEqual({ exactMatch: 2 / 3, perplexity: Math.exp(8 / 5), ended: 2 / 3 })
  const theirs = scoreAnswers(references.map(([answer], i) => ({ id: `${i}`, answer })))
  expect(theirs.scores()).toEqual({ exactMatch: 1 })
})

describe('answers of an encoder-decoder', () => {
  it('begin and end with the special tokens of a text, and are truncated behind them', () => {
    const [start, text] = [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }]
    const single = [start, text, { SpecialToken: { id: '</s>', type_id: 0 } }]
    const ids = (content: string, id: number) => ({ id: content, ids: [id], tokens: [content] })
    const post_processor = {
      type: 'TemplateProcessing',
      single,
      pair: [...single, { Sequence: { id: 'B', type_id: 0 } }],
      special_tokens: { '<s>': ids('<s>', 0), '</s>': ids('</s>', 1) },
    }
    const framed = chatTokenizer({ postProcessor: post_processor })
    const encode = (maxLength: number) =>
      task
        .prepare(framed, taskConfig(task, {}), { headOptions: {}, facts: modelOf('bart').facts, maxLength })
        .encode(records[3])
    const ho = framed.encodeIds('ho ho')
    const [whole] = encode(40) as unknown as { targets: Uint32Array }[]
    expect([...whole.targets]).toEqual([0, ...ho, 1])
    const [cut] = encode(3) as unknown as { targets: Uint32Array }[]
    expect([...cut.targets]).toEqual([0, ...ho].slice(0, 3))
  })
})

describe('a base that cannot generate', () => {
  it('is refused', () => {
    const bert = models.bert.facts(models.bert.adjust({} as never, {}))
    const config = taskConfig(task, {})
    expect(() => task.prepare(tokenizer, config, { headOptions: {}, facts: bert })).toThrow(/got an encoder\./)
    const t5 = modelOf('t5').facts
    const prepare = (more: { [name: string]: unknown }) =>
      task.prepare(tokenizer, taskConfig(task, more), { headOptions: {}, facts: t5 })
    expect(() => prepare({ tooLong: 'split' })).toThrow(/split/)
    expect(() => prepare({ template: 'chatml' })).toThrow(/no effect/)
    const { facts } = modelOf('gpt2')
    const prepareGpt = (more: { [name: string]: unknown }, maxLength: number) =>
      task.prepare(tokenizer, taskConfig(task, more), { headOptions: {}, facts, maxLength })
    expect(() => prepareGpt({ maxNewTokens: 96 }, 96)).toThrow(/maxNewTokens.*--settings\.max-new-tokens/)
    // Half of the 96 positions are for the answer where nothing else is asked for.
    const own = prepareGpt({}, 96) as GenerativeTask
    expect(own.generation.generation.maxNewTokens).toBe(48)
    expect(() => prepareGpt({}, 97)).toThrow(/maxLength/)
    expect(() => prepareGpt({ maxNewTokens: 8, topP: 0.9 }, 64)).toThrow(/`topP` and `samplingSeed` need sampling/)
    expect(() => prepareGpt({ maxNewTokens: 8, temperature: 0.7, numBeams: 2 }, 64)).toThrow(/Choose one/)
  })
})
