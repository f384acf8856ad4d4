// The task `reward`: its loss against TRL (golden/reward.json, made by make-reward.py) and against the definitions by hand, scores that do
// not depend on the batch, the scale of rewards, the metrics, and runs of every variant that learn.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadModel, saveModel } from '../../../src/checkpoint/index.ts'
import { createRandom } from '../../../src/core/index.ts'
import { featureSettings, type LearnableTask, learnFromFeatures } from '../../../src/features/index.ts'
import { open, predict } from '../../../src/inference/index.ts'
import { buildModel, type Model, models } from '../../../src/models/index.ts'
import { finetune } from '../../../src/runs/index.ts'
import {
  expectDiscriminative,
  predictTask,
  type RewardPrediction,
  type RewardRecord,
  scoreRecords,
  taskConfig,
  tasks,
} from '../../../src/tasks/index.ts'
import { createRewardCriterion, type RewardExample, splitScores } from '../../../src/tasks/learning/reward-criterion.ts'
import { Generator, noGrad, scope, setThreads, Tensor } from '../../../src/tensor/index.ts'
import { placed, testDevice } from '../../device.ts'
import { chatTokenizer } from '../chat-tokenizer.ts'
import { file, lines, removeFiles } from '../input-files.ts'

setThreads(1)
afterAll(removeFiles)

interface Golden {
  pairs: [chosen: number[], rejected: number[]][]
  margins: number[]
  score: number[]
  cases: {
    [name: string]: {
      loss: number
      centering: number
      margin: boolean
      logged: { accuracy: number; margin: number }
      gradients: { [key: string]: number[] }
      embedding: number[]
    }
  }
}
const golden = JSON.parse(readFileSync(join(import.meta.dirname, 'golden', 'reward.json'), 'utf8')) as Golden
const llama = join(import.meta.dirname, '..', '..', 'adapters', 'golden', 'bases', 'llama')

const exampleOf = (sequences: readonly number[][], more: Partial<RewardExample> = {}): RewardExample => {
  const starts = sequences.map((_, i) => sequences.slice(0, i).reduce((sum, { length }) => sum + length, 0))
  return {
    ids: Uint32Array.from(sequences.flat()),
    starts,
    truncatedTokens: 0,
    pairs: [[0, 1]],
    margin: 0,
    good: undefined,
    kept: sequences.map((_, i) => i),
    ...more,
  }
}

const weight = (model: Model, end: string) => [...model.parameters()].find(([path]) => path.endsWith(end))![1]

/** Loss over the weights, summed over micro-batches, with the gradients left in the parameters. */
const lossOf = (
  model: Model,
  examples: readonly RewardExample[],
  {
    centering = 0,
    padded = true,
    micro = examples.length,
  }: { centering?: number; padded?: boolean; micro?: number } = {},
) => {
  const criterion = createRewardCriterion({ padId: 0, centering })
  const total = examples.reduce((sum, example) => sum + criterion.weights(example)['reward-model'], 0)
  model.requireGrad(true)
  for (const parameter of model.parameters().values()) parameter.grad = undefined
  let loss = 0
  const metrics: { [name: string]: number } = {}
  for (let from = 0; from < examples.length; from += micro)
    scope(() => {
      const batch = criterion.collate(examples.slice(from, from + micro), { padded, device: testDevice })
      const { terms, metrics: measured } = criterion.loss(model, batch, { metrics: true })
      terms[0].sum.mul(1 / total).backward()
      loss += terms[0].sum.item() / total
      for (const [name, { sum }] of Object.entries(measured))
        metrics[name] = (metrics[name] ?? 0) + (typeof sum === 'number' ? sum : sum.item()) / total
    })
  return { loss, metrics }
}

const expectClose = (found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number) => {
  expect(found.length).toBe(expected.length)
  for (let i = 0; i < expected.length; i++) expect(Math.abs(found[i] - expected[i])).toBeLessThan(tolerance)
}

describe('the loss of reward models', async () => {
  const model = await loadModel(llama, { head: 'reward', newHead: true })
  noGrad(() =>
    weight(model, 'classifier.weight').copy_(Tensor.from(Float32Array.from(golden.score), { shape: [1, 24] })),
  )

  it('computes a common beginning once, with the same loss, gradients and scores', async () => {
    const prompt = [5, 9, 7, 11, 6, 8]
    const examples = [
      exampleOf([
        [...prompt, 4, 12],
        [...prompt, 10, 3, 2],
      ]),
      // No beginning in common, and a third answer that no pair has.
      exampleOf([[3, 4, 5], [9, 8, 7, 6], [2]]),
      exampleOf([
        [...prompt, 4],
        [...prompt, 7],
      ]),
    ]
    const measure = async (padded: boolean, prepared: boolean) => {
      const criterion = createRewardCriterion({ padId: 0, centering: 0.01 })
      const context = { model, microTokens: 100, padded, step: 0, position: 0, seed: 0, device: testDevice }
      if (prepared) await criterion.prepare?.(examples, context)
      model.requireGrad(true)
      for (const parameter of model.parameters().values()) parameter.grad = undefined
      return scope(() => {
        const batch = criterion.collate(examples, { padded, device: testDevice })
        const { sum } = criterion.loss(model, batch).terms[0]
        sum.backward()
        const scores = splitScores(model.forward(batch.inputs).logits, batch).map((values) => [...values])
        const gradient = weight(model, 'layers.0.attention.qProj.weight').grad?.toFloat32Array() ?? []
        return { tokens: batch.tokens, loss: sum.item(), scores, gradient }
      })
    }
    const apart = await measure(false, false)
    for (const [padded, tokens] of [
      [true, apart.tokens],
      // 6 tokens for the second answer of the first example, and 6 for that of the last.
      [false, apart.tokens - 6 - 6],
    ] as const) {
      const shared = await measure(padded, true)
      expect(shared.tokens).toBe(tokens)
      expect(shared.loss).toBeCloseTo(apart.loss, 5)
      expect(shared.scores.map(({ length }) => length)).toEqual([2, 3, 2])
      expectClose(shared.scores.flat(), apart.scores.flat(), 1e-5)
      expectClose(shared.gradient, apart.gradient, 1e-5)
    }
  })

  it.each(Object.keys(golden.cases))('%s: equals that of TRL, with gradients, in any form of batch', (name) => {
    const { loss, centering, margin, logged, gradients, embedding } = golden.cases[name]
    const examples = golden.pairs.map((pair, i) => exampleOf(pair, { margin: margin ? golden.margins[i] : 0 }))
    for (const how of [{}, { padded: false }, { micro: 1 }, { micro: 2, padded: false }]) {
      const found = lossOf(model, examples, { centering, ...how })
      expect(found.loss).toBeCloseTo(loss, 5)
      expect(found.metrics.accuracy).toBeCloseTo(logged.accuracy, 5)
      expect(found.metrics.rewardMargin).toBeCloseTo(logged.margin, 5)
      const gradient = (end: string) => weight(model, end).grad!.toFloat32Array()
      expectClose(gradient('classifier.weight'), gradients['score.weight'], 1e-5)
      expectClose(
        gradient('layers.0.attention.qProj.weight'),
        gradients['model.layers.0.self_attn.q_proj.weight'],
        1e-5,
      )
      const rows = weight(model, 'embedTokens.weight').grad!.sum(1).toFloat32Array()
      expectClose(rows, embedding, 1e-5)
    }
  })

  const [a, b, c] = [
    [5, 9, 2],
    [5, 12, 30, 2],
    [7, 2],
  ]
  const single = (pair: number[][], more: Partial<RewardExample> = {}) => lossOf(model, [exampleOf(pair, more)]).loss

  it('of several answers is the mean over their pairs, so that a prompt counts once', () => {
    const pairs: [number, number][] = [
      [0, 1],
      [0, 2],
      [1, 2],
    ]
    const each = [single([a, b]), single([a, c]), single([b, c])]
    const mean = each.reduce((sum, one) => sum + one, 0) / 3
    expect(single([a, b, c], { pairs })).toBeCloseTo(mean, 6)
    const both = lossOf(model, [exampleOf([a, b, c], { pairs }), exampleOf([c, a])])
    expect(both.loss).toBeCloseTo((mean + single([c, a])) / 2, 6)
  })

  it('of rated answers is the cross entropy of their ratings, and mixes with pairs', () => {
    const scores = model.forward(
      createRewardCriterion({ padId: 0, centering: 0 }).collate([exampleOf([a, b])], {
        padded: true,
        device: testDevice,
      }).inputs,
    )
    const [first, second] = scores.logits.toFloat32Array()
    const rated = { pairs: [], good: [true, false] }
    const expected = (Math.log1p(Math.exp(-first)) + Math.log1p(Math.exp(second))) / 2
    expect(single([a, b], rated)).toBeCloseTo(expected, 6)
    const mixed = lossOf(model, [exampleOf([a, b], rated), exampleOf([a, c])], { padded: false })
    expect(mixed.loss).toBeCloseTo((expected + single([a, c])) / 2, 6)
  })

  it('has weight 0 for answers of which nothing is known', () => {
    const unknown = exampleOf([a], { pairs: [] })
    expect(createRewardCriterion({ padId: 0, centering: 0 }).weights(unknown)).toEqual({ 'reward-model': 0 })
    expect(lossOf(model, [unknown, exampleOf([a, c])]).loss).toBeCloseTo(single([a, c]), 6)
  })
})

describe('the head of reward models', () => {
  it('begins with scores of the same size in every width: N(0, 1 / sqrt(C + 1))', () => {
    const { definition, config } = {
      definition: models.llama,
      config: models.llama.adjust(models.llama.presets.test, {}),
    }
    const initialised = (head: 'reward' | 'sequence-classification') => {
      const built = buildModel(definition, config, head, { labels: ['one'] })
      built.head.initialize({ std: 0.02, generator: new Generator(3) })
      return weight(built, 'classifier.weight').toFloat32Array()
    }
    const [own, usual] = [initialised('reward'), initialised('sequence-classification')]
    expectClose(
      own,
      usual.map((value) => value / 0.02 / Math.sqrt(own.length + 1)),
      1e-6,
    )
  })
})

const task = tasks.reward
const tokenizer = chatTokenizer()
const recordOf = (answers: string[], more: Partial<RewardRecord> = {}): RewardRecord => ({
  id: '0',
  file: 'x.jsonl',
  line: 1,
  prompt: [{ role: 'user', content: 'hi' }],
  answers: answers.map((content) => [{ role: 'assistant', content }]),
  ...more,
})
const smallModel = (type: 'llama' | 'bert' | 'gpt2' = 'llama') => {
  const definition = models[type]
  const config = definition.adjust(definition.presets.test as never, { vocabSize: 270 } as never)
  const model = buildModel(definition as never, config, 'reward').eval()
  return model.initialize({ std: 0.2, generator: new Generator(5) }).to({ device: testDevice })
}

describe('scores', () => {
  const answers = ['a', 'hi hi ho', 'x'.repeat(20), 'ho', 'a b c d e']
  const records = answers.map((answer, i) => recordOf([answer], { id: String(i) }))

  it.each(['llama', 'gpt2', 'bert'] as const)('%s: do not depend on batch, order or padding', async (type) => {
    const model = smallModel(type)
    const scores = async (list: RewardRecord[], batchTokens: number) =>
      (
        await predictTask(model, tokenizer, task, list, taskConfig(task), { batchTokens, maxLength: 64 })
      ).predictions.map(({ rewards }) => rewards[0])
    const alone = await scores(records, 1)
    expect(new Set(alone).size).toBe(answers.length)
    expectClose(await scores(records, 4096), alone, 1e-5)
    expectClose((await scores(records.toReversed(), 200)).toReversed(), alone, 1e-5)
    const together = await predictTask(model, tokenizer, task, [recordOf(answers)], taskConfig(task), {
      maxLength: 64,
    })
    expectClose(together.predictions[0].rewards, alone, 1e-5)
    const prepared = expectDiscriminative(
      task.prepare(tokenizer, taskConfig(task), { maxLength: 64, headOptions: {}, facts: model.facts }),
    )
    const examples = records.flatMap((record) => prepared.encode(record))
    const batch = prepared.criterion.collate(examples, { padded: true, multipleOf: 48, device: testDevice })
    expectClose(model.forward(batch.inputs).logits.toFloat32Array(), alone, 1e-5)
    if (!model.facts.causal) return
    // Padding on the left, as generation has it; encoders read the first token.
    const length = 60
    const [ids, positions] = [new Int32Array(length * examples.length), new Int32Array(length * examples.length)]
    const mask = new Uint8Array(ids.length)
    for (const [row, { ids: own }] of examples.entries()) {
      ids.set(own, (row + 1) * length - own.length)
      mask.fill(1, (row + 1) * length - own.length, (row + 1) * length)
      positions.set(
        own.map((_, i) => i),
        (row + 1) * length - own.length,
      )
    }
    const shape = [examples.length, length]
    const left = {
      inputIds: placed(Tensor.from(ids, { shape, dtype: 'int64' })),
      positionIds: placed(Tensor.from(positions, { shape, dtype: 'int64' })),
      attentionMask: placed(Tensor.from(mask, { shape })),
    }
    expectClose(model.forward(left).logits.toFloat32Array(), alone, 1e-5)
  })

  it('are read at the end token of the answer, as the completion encoder has it', () => {
    const prepared = expectDiscriminative(
      task.prepare(tokenizer, taskConfig(task, { template: 'chatml' }), {
        maxLength: 64,
        headOptions: {},
        facts: { causal: true } as never,
      }),
    )
    const [{ ids, starts }] = prepared.encode(recordOf(['ho', 'hi ho'], { scores: [1, 0] }))
    const end = tokenizer.special.eos!.id
    expect(starts.map((_, i) => ids[(starts[i + 1] ?? ids.length) - 1])).toEqual(
      [end, end].map(() => tokenizer.tokenToId('<|im_end|>')),
    )
  })

  it('of answers that are dropped are NaN, and their pairs are no examples', async () => {
    const settings = taskConfig(task, { tooLong: 'drop' })
    const prepared = expectDiscriminative(
      task.prepare(tokenizer, settings, { maxLength: 30, headOptions: {}, facts: { causal: true } as never }),
    )
    const long = 'x'.repeat(40)
    expect(prepared.encode(recordOf(['a', long], { scores: [1, 0] }))).toEqual([])
    expect(prepared.skipped).toMatchObject({ 'completion-too-long': { count: 1 } })
    const [example] = prepared.encode(recordOf(['a', long, 'b'], { scores: [0, 2, 1] }))
    expect(example).toMatchObject({ pairs: [[1, 0]], kept: [0, 2] })
    expect(prepared.decode(recordOf(['a', long, 'b']), [{ example, logits: Float32Array.of(1, 2) }])).toEqual({
      id: '0',
      rewards: [1, Number.NaN, 2],
      logits: [1, Number.NaN, 2],
    })
  })
})

describe('metrics of rewards', () => {
  const scored = (records: RewardRecord[], predictions: Omit<RewardPrediction, 'id'>[]) =>
    scoreRecords(
      task,
      records,
      predictions.map((one) => ({ id: '0', ...one })),
      taskConfig(task),
    )
  const pair = (chosen: string, rejected: string, category?: string) =>
    recordOf([chosen, rejected], { scores: [1, 0], ...(category === undefined ? {} : { category }) })

  it('count ties half, and pairs of equal length on their own', () => {
    const records = [pair('aaaaaaaaaa', 'bbbbbbbbb'), pair('aa', 'bbbb'), pair('a', 'b')]
    const all = scored(records, [{ rewards: [2, 1] }, { rewards: [0, 3] }, { rewards: [1, 1] }])
    const { accuracy, equalLengthAccuracy, rewardMargin, calibrationError } = all.scores()
    // Right, wrong and a tie; the first and the last are as long as each other within 10 %.
    expect({ accuracy, equalLengthAccuracy, rewardMargin, calibrationError }).toEqual({
      accuracy: 0.5,
      equalLengthAccuracy: 0.75,
      rewardMargin: (1 - 3 + 0) / 3,
      calibrationError: undefined,
    })
    expect(all.details()).toMatchObject({ decisions: 3, ties: 1, equalLength: 2 })
  })

  it('compare sigma(r_w - r_l) with how often it is right', () => {
    // Four pairs with a difference of log 3, so a probability of 3/4, of which two are right: an error of 1/4.
    const d = Math.log(3)
    const sign = [1, 1, -1, -1]
    const { calibrationError } = scored(
      sign.map(() => pair('a', 'b')),
      sign.map((one) => ({ rewards: [one * d, 0], logits: [one * d, 0] })),
    ).scores()
    expect(calibrationError).toBeCloseTo(0.25, 9)
  })

  it('say how much length explains: 1 where longer is always better, -1 where it never is', () => {
    const records = [pair('aaa', 'b'), pair('aaaaa', 'bb')]
    expect(scored(records, [{ rewards: [3, 1] }, { rewards: [5, 2] }]).scores().lengthCorrelation).toBeCloseTo(1, 9)
    expect(scored(records, [{ rewards: [-3, -1] }, { rewards: [-5, -2] }]).scores().lengthCorrelation).toBeCloseTo(
      -1,
      9,
    )
  })

  it('are given by category, with intervals, and for all pairs of several answers', () => {
    const records = [pair('a', 'b', 'x'), pair('a', 'b', 'x'), pair('a', 'b', 'y')]
    const { categories } = scored(records, [
      { rewards: [1, 0] },
      { rewards: [0, 1] },
      { rewards: [1, 0] },
    ]).details() as {
      categories: { [name: string]: { accuracy: { value: number; low: number; high: number }; decisions: number } }
    }
    expect(categories.x).toMatchObject({ decisions: 2, accuracy: { value: 0.5, low: 0, high: 1 } })
    expect(categories.y).toMatchObject({ decisions: 1, accuracy: { value: 1 } })
    const three = recordOf(['a', 'b', 'c'], { scores: [3, 2, 1] })
    expect(scored([three], [{ rewards: [2, 3, 1] }]).scores().accuracy).toBeCloseTo(2 / 3, 9)
  })

  it('of ratings say on which side of 0 the score is', () => {
    const rated = (good: boolean) => recordOf(['a'], { good: [good] })
    const { accuracy } = scored(
      [rated(true), rated(false), rated(false)],
      [
        { rewards: [5], logits: [2] },
        { rewards: [-5], logits: [1] },
        { rewards: [-5], logits: [-1] },
      ],
    ).scores()
    expect(accuracy).toBeCloseTo(2 / 3, 9)
  })
})

describe('the scale of rewards', () => {
  it('is mean and standard deviation of the good answers, and changes rewards but not logits', () => {
    const records = [
      recordOf(['a', 'b'], { scores: [1, 0] }),
      recordOf(['a', 'b'], { scores: [0, 1] }),
      recordOf(['a'], { good: [true] }),
    ]
    // Good answers have the logits 1, 3 and 5: mean 3, deviation 2.
    const predictions = [[1, 100], [100, 3], [5]].map((logits) => ({ id: '0', rewards: logits, logits }))
    const measure = (count: number) => {
      const measurement = task.afterTraining!(taskConfig(task))!
      for (let i = 0; i < count; i++) measurement.add(records[i], predictions[i])
      return measurement.finish()
    }
    const measured = measure(3)
    expect(measured.headOptions).toEqual({ rewardScale: { mean: 3, deviation: 2 } })
    expect(measured.predict?.(predictions[1])).toEqual({ id: '0', rewards: [48.5, 0], logits: [100, 3] })
    // A line of JSON has null for NaN, the logit of an answer that is too long.
    const dropped = { id: '0', rewards: [null, 0], logits: [null, 3] } as unknown as RewardPrediction
    expect(measured.predict?.(dropped)).toEqual({ id: '0', rewards: [null, 0], logits: [null, 3] })
    expect(measure(1)).toEqual({ headOptions: {} })
  })
})

describe('rows of a reward model', () => {
  const read = async (rows: unknown[], settings: object = {}, labelled = true) =>
    (await task.read(file('reward.jsonl', lines(...rows)), taskConfig(task, { ...settings }), { labelled })).records
  it('are comparisons, ratings and rated steps, with a category', async () => {
    const records = await read(
      [
        { prompt: 'p', chosen: 'a', rejected: 'b', margin: 2, topic: 'x' },
        { prompt: 'p', answers: ['a', 'b', 'c'], scores: [1, 3, 2], topic: 7 },
        { prompt: 'p', completion: 'a', label: false },
        { prompt: 'p', completions: ['one', 'two'], labels: [true, false] },
      ],
      { category: 'topic' },
    )
    expect(records).toMatchObject([
      { answers: ['a', 'b'], scores: [1, 0], margin: 2, category: 'x' },
      { answers: ['a', 'b', 'c'], scores: [1, 3, 2], category: '7' },
      { answers: ['a'], good: [false] },
      { answers: ['one', 'one\ntwo'], good: [true, false] },
    ])
    await expect(read([{ prompt: 'p', completions: ['one'], labels: [true, false] }])).rejects.toThrow(
      /:1: Expected true or false for each of 1 steps in column "labels"/,
    )
    await expect(read([{ text: 'a' }])).rejects.toThrow(/Expected columns chosen and rejected, a list of answers/)
  })

  it('can be without labels', async () => {
    const records = await read(
      [
        { prompt: 'p', completion: 'a' },
        { prompt: 'p', chosen: 'a', rejected: 'b' },
      ],
      {},
      false,
    )
    expect(records.map(({ answers, scores, good }) => ({ answers, scores, good }))).toEqual([
      { answers: ['a'], scores: undefined, good: undefined },
      { answers: ['a', 'b'], scores: undefined, good: undefined },
    ])
  })
})

describe('a linear learner on features', () => {
  it('fits differences of compared answers, so that what they share does not matter', async () => {
    const random = createRandom('differences')
    const count = 200
    // One feature: large and the prompt's, and higher by 1 for the better answer in three of four pairs.
    const values = Array.from({ length: count }, (_, i) => {
      const prompt = 100 * random.float()
      return i % 8 === 0 || i % 8 === 3 ? [prompt, prompt + 1] : [prompt + 1, prompt]
    }).flat()
    const examples = Array.from({ length: count }, () => [exampleOf([[1], [2]])])
    const features = Tensor.from(Float32Array.from(values), { shape: [2 * count, 1] })
    const prepared = expectDiscriminative(
      task.prepare(tokenizer, taskConfig(task), { maxLength: 64, headOptions: {}, facts: { causal: true } as never }),
    )
    const learnable = prepared as unknown as LearnableTask
    const { fitted } = await learnFromFeatures(
      learnable,
      { examples, features, rows: examples.map(() => 2), extracted: {} as never },
      { ...featureSettings({ learner: 'logistic-regression' }, 'class'), standardize: false },
      { seed: 0 },
    )
    const scores = fitted.scores(Tensor.from(Float32Array.from([3, 2]), { shape: [2, 1] })).toFloat32Array()
    // Of a difference of 1, the better answer is the higher one with odds of 3 to 1; the learner regularises a little.
    expect(scores[1] - scores[0] - (scores[3] - scores[2])).toBeCloseTo(Math.log(3), 1)
  })
})

describe('a run', () => {
  let root: string
  let base: string
  let data: string
  const rows = () => {
    const random = createRandom('reward')
    const word = () => 'abcdefg'[random.integer(7)]
    return Array.from({ length: 120 }, () => {
      const rest = `${word()} ${word()}`
      return { prompt: `${word()} ${word()}`, chosen: ` ${rest} hi`, rejected: ` ${rest} ho` }
    })
  }
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'tunesmith-reward-'))
    base = join(root, 'base')
    data = join(root, 'pairs.jsonl')
    writeFileSync(data, lines(...rows()))
    const definition = models.llama
    const config = definition.adjust(definition.presets.test, { vocabSize: 270 })
    const model = buildModel(definition, config, 'causal-lm').initialize({ std: 0.1, generator: new Generator(1) })
    await saveModel(model, base)
    await tokenizer.save(base)
  })
  afterAll(() => rmSync(root, { recursive: true, force: true }))

  it.each([
    ['full', {}],
    ['lora', { rank: 4 }],
    ['feature-based', { learner: 'logistic-regression' }],
  ] as const)('%s: learns, stores the scale of rewards, and predicts as it evaluated', async (variant, adapter) => {
    const out = join(root, variant)
    await finetune({
      base,
      task: 'reward',
      data,
      validationShare: 0.2,
      variant,
      adapter,
      out,
      ...(variant === 'feature-based' ? {} : { budget: { epochs: 2 }, batch: { sequences: 16 }, learningRate: 5e-3 }),
      maxLength: 32,
    } as never)
    const folder = join(out, 'model')
    const evaluation = JSON.parse(readFileSync(join(folder, 'evaluation.json'), 'utf8')) as {
      metrics: { accuracy: { value: number; low: number } }
      references: { name: string }[]
    }
    expect(evaluation.metrics.accuracy.value).toBeGreaterThan(0.9)
    expect(evaluation.references.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['longer answer', 'random reward']),
    )
    const saved = readFileSync(join(folder, 'predictions.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as RewardPrediction)
    // Good answers have mean 0 and deviation 1 on the scale.
    const good = saved.map(({ rewards }) => rewards[0])
    const mean = good.reduce((sum, one) => sum + one, 0) / good.length
    expect(mean).toBeCloseTo(0, 3)
    expect(good.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (good.length - 1)).toBeCloseTo(1, 3)

    const opened = await open(folder)
    expect(opened.head).toBe('reward')
    expect(opened.model.headOptions.rewardScale).toBeDefined()
    const pairs = rows()
    const { prompt, chosen } = pairs[Number(saved[0].id)]
    const { reward, logit } = await opened.reward({ prompt, completion: chosen })
    expect(reward).toBeCloseTo(saved[0].rewards[0], 3)
    expect(logit).toBeCloseTo(saved[0].logits![0], 4)
    opened.close()
  })

  it('gives a reward for each text through `predict`', async () => {
    const model = join(root, 'full')
    const texts = ['a b hi', '\n\nHuman: a b\n\nAssistant: c d hi']
    const { head, predictions } = await predict({ model, texts })
    expect(head).toBe('reward')
    expect(predictions).toMatchObject(
      texts.map((text) => ({ text, reward: expect.any(Number), logit: expect.any(Number) })),
    )
    const opened = await open(model)
    const conversation = {
      messages: [
        { role: 'user', content: 'a b' },
        { role: 'assistant', content: 'c d hi' },
      ],
    }
    const [first, second] = await opened.reward([
      conversation,
      { ...conversation, messages: conversation.messages.slice(0, 1), completion: 'c d hi' },
    ])
    expect(first).toEqual(second)
    expect(first.reward).toBe((predictions[1] as { reward: number }).reward)
    await expect(opened.reward('')).rejects.toThrow(/Expected a text for `text`/)
    expect(() => opened.classify('a')).toThrow(/Use the method that fits: reward or embed/)
    opened.close()
  })
})
