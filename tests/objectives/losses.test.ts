// Losses against plain operators, and their equality over padded, packed and split batches.
import { describe, expect, it } from 'vitest'
import type { BodyInputs, Model } from '../../src/models/index.ts'
import { type Objective, objectives, type TextRow, vocabularyLoss } from '../../src/objectives/index.ts'
import { scope, Tensor } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'
import { build, documentsOf, noOther, random, rowOf, vocabulary } from './small-models.ts'

const context = { vocabulary, maxLength: 48 }
const lengths = [[12], [5, 9, 3], [1, 20], [30, 2], [8], [17]]
const rows = lengths.map((documents, i) => rowOf(documents, random(`row ${i}`)))
const other = (r: ReturnType<typeof random>): TextRow => rows[r.integer(rows.length)]

type Loss = { values: Record<string, number>; weights: Record<string, number>; gradient: Float32Array }

/** Sums of the terms of one batch after another, and the gradient of all by the body's parameters. */
const measure = (
  objective: Objective,
  model: Model,
  batches: readonly (readonly unknown[])[],
  how: { padded: boolean; multipleOf?: number },
  auxiliary?: Model,
): Loss => {
  for (const parameter of model.parameters().values()) parameter.grad = undefined
  const values: Record<string, number> = {}
  const weights: Record<string, number> = {}
  for (const examples of batches)
    scope(() => {
      const { terms } = objective.loss(model, objective.collate(examples, { ...how, device: testDevice }), {
        auxiliary,
      })
      const said: Record<string, number> = {}
      for (const example of examples)
        for (const [name, weight] of Object.entries(objective.weights(example))) said[name] = (said[name] ?? 0) + weight
      for (const { name, sum, weight } of terms) {
        expect(sum.dtype).toBe('float32')
        expect(weight).toBe(said[name])
        values[name] = (values[name] ?? 0) + sum.item()
        weights[name] = (weights[name] ?? 0) + weight
      }
      terms
        .map(({ sum }) => sum)
        .reduce((a, b) => a.add(b))
        .backward()
    })
  const gradients = [...model.body.parameters().values()].flatMap(({ grad }) =>
    Array.from(grad?.toFloat32Array() ?? []),
  )
  return { values, weights, gradient: Float32Array.from(gradients) }
}

const expectEqual = (a: Loss, b: Loss) => {
  expect(a.weights).toEqual(b.weights)
  for (const name of Object.keys(b.values))
    expect(Math.abs(a.values[name] - b.values[name]) / Math.abs(b.values[name]), name).toBeLessThan(1e-6)
  const most = Math.max(...b.gradient.map(Math.abs))
  expect(most).toBeGreaterThan(0)
  const apart = a.gradient.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b.gradient[i])), 0)
  expect(apart / most).toBeLessThan(1e-5)
}

const one = (objective: Objective, row: TextRow, label: string) => objective.example(row, random(label), other)

const causal = (input: object = {}, more: object = {}) =>
  objectives['causal-lm'].create(objectives['causal-lm'].config.parse(input), { ...context, ...more })
const masked = (input: object = {}) =>
  objectives['masked-lm'].create(objectives['masked-lm'].config.parse(input), context)

describe.each([
  ['causal-lm', 'gpt2', {}],
  ['causal-lm', 'llama', {}],
  ['causal-lm', 'gpt2', { documents: 'joined', startToken: true }],
  ['masked-lm', 'bert', {}],
  ['masked-lm', 'roberta', {}],
  ['masked-lm', 'bert', { documents: 'joined', wholeWords: true, maxNgram: 3 }],
  ['sentence-pretraining', 'bert', {}],
  ['sentence-pretraining', 'bert', { relation: 'sentence-order' }],
  ['replaced-token-detection', 'electra', {}],
  ['span-corruption', 't5', {}],
] as const)('%s on a small %s with %o', (type, architecture, input) => {
  const definition = objectives[type]
  const objective = definition.create(definition.config.parse(input) as never, context)
  const model = build(architecture, definition.head)
  const auxiliary = definition.auxiliary && build(architecture, 'masked-lm', { seed: 2 })
  const examples = rows.map((row, i) => one(objective, row, `${i}`))
  const whole = measure(objective, model, [examples], { padded: true }, auxiliary)

  it('gives the same loss and gradient without padding, or refuses packed batches', () => {
    const unpadded = () => measure(objective, model, [examples], { padded: false }, auxiliary)
    if (objective.unpadded) expectEqual(unpadded(), whole)
    else expect(unpadded).toThrow('Expected padded batches')
  })

  it('gives the same loss with more padding', () => {
    expectEqual(measure(objective, model, [examples], { padded: true, multipleOf: 16 }, auxiliary), whole)
  })

  it('gives the same loss for any split into micro-batches', () => {
    for (const split of [[examples.slice(0, 2), examples.slice(2)], examples.map((example) => [example])])
      expectEqual(measure(objective, model, split, { padded: !objective.unpadded }, auxiliary), whole)
  })

  it('makes examples that depend on row and random numbers alone', () => {
    rows.forEach((row, i) => {
      const before = { ...row, ids: row.ids.slice(), starts: [...row.starts] }
      expect(one(objective, row, `${i}`)).toEqual(examples[i])
      expect(row).toEqual(before)
    })
  })

  it('stays within the maximum length, and counts its tokens', () => {
    const long = rowOf([200, 50], random('long'))
    const example = one(objective, long, 'long')
    const { inputs, tokens } = objective.collate([example], { padded: !objective.unpadded, device: testDevice })
    expect(inputs.inputIds.shape[1]).toBeLessThanOrEqual(context.maxLength)
    expect(tokens).toBe(objective.tokens(example))
    expect(objective.cut(example)).toBeGreaterThan(0)
  })

  it('counts correct predictions with `metrics`', () => {
    const batch = objective.collate(examples, { padded: true, device: testDevice })
    const { metrics } = objective.loss(model, batch, { auxiliary, metrics: true })
    for (const { sum, weight } of Object.values(metrics)) {
      expect((sum as Tensor).item()).toBeGreaterThanOrEqual(0)
      expect((sum as Tensor).item()).toBeLessThanOrEqual(weight)
    }
    expect(Object.keys(metrics)).toContain('accuracy')
    expect(objective.loss(model, batch, { auxiliary }).metrics).toEqual({})
  })
})

/** The loss as PyTorch's documentation would write it: logits of everything, then the labelled ones. */
const plainLoss = (
  model: ReturnType<typeof build>,
  inputs: BodyInputs,
  places: readonly number[],
  labels: readonly number[],
) =>
  scope(() => {
    const logits = model.forward(inputs).logits.flatten(0, 1)
    const picked = logits.indexSelect(0, Tensor.from(places, { dtype: 'int64', device: testDevice }))
    const target = Tensor.from(labels, { dtype: 'int64', device: testDevice })
    return {
      sum: picked.crossEntropy(target, { reduction: 'sum' }).item(),
      correct: picked.argmax(-1).eq(target).sum().item(),
    }
  })

const int64 = (rowsOfIds: readonly (readonly number[])[]) =>
  Tensor.from(rowsOfIds, { dtype: 'int64', device: testDevice })

describe('causal-lm', () => {
  it('is the cross entropy of each next token', () => {
    const objective = causal()
    const model = build('gpt2', 'causal-lm')
    const row = { ids: Uint16Array.of(10, 11, 12, 20, 21), starts: [0, 3], part: 0 }
    const example = objective.example(row, random(''), noOther)
    expect(objective.weights(example)).toEqual({ 'causal-lm': 4 })
    const { terms, metrics } = objective.loss(
      model,
      objective.collate([example], { padded: false, device: testDevice }),
      { metrics: true },
    )
    // 10 -> 11, 11 -> 12, 12 -> end of text; 20 -> 21. Nothing predicts 20.
    const first = plainLoss(model, { inputIds: int64([[10, 11, 12]]) }, [0, 1, 2], [11, 12, 6])
    const second = plainLoss(model, { inputIds: int64([[20]]) }, [0], [21])
    expect(terms[0].sum.item()).toBeCloseTo(first.sum + second.sum, 4)
    expect((metrics.accuracy.sum as Tensor).item()).toBe(first.correct + second.correct)
  })

  it('joins documents with end-of-text', () => {
    const objective = causal({ documents: 'joined' })
    const model = build('gpt2', 'causal-lm')
    const row = { ids: Uint16Array.of(10, 11, 12, 20, 21), starts: [0, 3], part: 0 }
    const example = objective.example(row, random(''), noOther)
    const { terms } = objective.loss(model, objective.collate([example], { padded: false, device: testDevice }))
    const plain = plainLoss(model, { inputIds: int64([[10, 11, 12, 6, 20]]) }, [0, 1, 2, 3, 4], [11, 12, 6, 20, 21])
    expect(terms[0].sum.item()).toBeCloseTo(plain.sum, 4)
  })

  it('gives documents of a row the loss that they have alone', () => {
    for (const architecture of ['gpt2', 'llama'] as const) {
      const objective = causal()
      const model = build(architecture, 'causal-lm')
      const packed = rows.map((row, i) => one(objective, row, `${i}`))
      const alone = rows.flatMap(documentsOf).map((row, i) => one(objective, row, `${i}`))
      expectEqual(
        measure(objective, model, [packed], { padded: false }),
        measure(
          objective,
          model,
          alone.map((example) => [example]),
          { padded: true },
        ),
      )
    }
  })

  it('makes examples of exactly the maximum length from rows of the requested length', () => {
    const objective = causal({}, { maxLength: 16 })
    expect(objective.rows).toEqual({ length: 17, overlap: 1 })
    for (const documents of [[17], [10, 7], [3, 3, 3, 3, 5]]) {
      const row = { ...rowOf(documents, random('exact')), endsDocument: false }
      const example = objective.example(row, random(''), noOther)
      expect(objective.tokens(example)).toBe(16)
      expect(objective.cut(example)).toBe(0)
      expect(objective.weights(example)).toEqual({ 'causal-lm': 16 })
    }
  })

  it('handles a row with nothing to predict', () => {
    const objective = causal()
    const model = build('gpt2', 'causal-lm')
    const lone = objective.example({ ids: Uint16Array.of(9), starts: [0], part: 0 }, random(''), noOther)
    expect(objective.weights(lone)).toEqual({ 'causal-lm': 0 })
    const { terms } = objective.loss(model, objective.collate([lone], { padded: false, device: testDevice }))
    expect(terms[0].sum.item()).toBe(0)
  })
})

/** Of each layer that the loss runs: how many tokens it makes. */
const tokensMade = (objective: Objective, model: Model, batch: ReturnType<Objective['collate']>): number[] => {
  const layers = (model.body as unknown as { layers: { mlp: { forward(x: Tensor): Tensor } }[] }).layers
  const made: number[] = []
  for (const { mlp } of layers) {
    const own = mlp.forward.bind(mlp)
    mlp.forward = (x) => {
      made.push(x.shape[1])
      return own(x)
    }
  }
  objective.loss(model, batch)
  return made
}

describe('label smoothing of a language model', () => {
  const labels = Tensor.from(BigInt64Array.of(3n, 7n, 1n), { shape: [3], device: testDevice })
  it.each(['gpt2', 'bert'] as const)(
    'is the smoothed cross entropy of PyTorch in training, and the plain one in evaluations: %s',
    (type) => {
      const model = build(type, type === 'bert' ? 'masked-lm' : 'causal-lm')
      const head = model.head as never as Parameters<typeof vocabularyLoss>[0]
      const { hidden } = model
        .eval()
        .bodyForward({ inputIds: Tensor.from(BigInt64Array.of(5n, 6n, 7n), { shape: [1, 3], device: testDevice }) })
      const rows = hidden.flatten(0, 1)
      const { logits: shaped } = model
        .eval()
        .forward({ inputIds: Tensor.from(BigInt64Array.of(5n, 6n, 7n), { shape: [1, 3], device: testDevice }) })
      const logits = shaped.flatten(0, 1)
      const weights = Tensor.from(Float32Array.of(1, 0.5, 2), { shape: [3], device: testDevice })
      const each = (labelSmoothing: number) => logits.crossEntropy(labels, { reduction: 'none', labelSmoothing })
      for (const training of [true, false]) {
        if (training) model.train()
        else model.eval()
        const wanted = each(training ? 0.2 : 0)
        const plain = vocabularyLoss(head, rows, labels, { labelSmoothing: 0.2 }).sum.item()
        expect(plain).toBeCloseTo(wanted.sum().item(), 4)
        const weighed = vocabularyLoss(head, rows, labels, { labelSmoothing: 0.2, weights }).sum.item()
        expect(weighed).toBeCloseTo(wanted.mul(weights).sum().item(), 4)
      }
    },
  )
})

describe('masked-lm', () => {
  it('computes the predicted tokens alone in the last layer of packed rows', () => {
    const model = build('bert', 'masked-lm')
    const objective = masked()
    const examples = rows.map((row, i) => one(objective, row, `${i}`))
    const batch = objective.collate(examples, { padded: false, device: testDevice })
    const made = tokensMade(objective, model, batch)
    expect(made).toEqual([...made.slice(1).map(() => batch.tokens), batch.trained])
    expect(batch.trained).toBeLessThan(batch.tokens / 4)
  })

  it('is the cross entropy of the masked tokens', () => {
    const objective = masked()
    const model = build('bert', 'masked-lm')
    const examples = rows.slice(0, 3).map((row, i) => one(objective, row, `${i}`)) as {
      ids: Uint32Array
      starts: number[]
      positions: Uint32Array
      originals: Int32Array
    }[]
    const { terms, metrics } = objective.loss(
      model,
      objective.collate(examples, { padded: true, device: testDevice }),
      { metrics: true },
    )
    let sum = 0
    let correct = 0
    for (const { ids, starts, positions, originals } of examples)
      for (const [i, start] of starts.entries()) {
        const end = starts[i + 1] ?? ids.length
        expect(ids[start]).toBe(vocabulary.cls)
        expect(ids[end - 1]).toBe(vocabulary.sep)
        const own = [...positions.keys()].filter((p) => positions[p] >= start && positions[p] < end)
        if (own.length === 0) continue
        const places = own.map((p) => positions[p] - start)
        const plain = plainLoss(
          model,
          { inputIds: int64([[...ids.subarray(start, end)]]) },
          places,
          own.map((p) => originals[p]),
        )
        sum += plain.sum
        correct += plain.correct
      }
    expect(Math.abs(terms[0].sum.item() - sum) / sum).toBeLessThan(1e-6)
    expect((metrics.accuracy.sum as Tensor).item()).toBe(correct)
  })
})

describe('sentence-pretraining', () => {
  const definition = objectives['sentence-pretraining']
  const objective = definition.create(definition.config.parse({}), context)
  const examples = rows.map((row, i) => one(objective, row, `${i}`))

  it('computes the first and the predicted tokens alone in the last layer of packed rows', () => {
    const batch = objective.collate(examples, { padded: false, device: testDevice })
    const made = tokensMade(objective, build('bert', definition.head), batch)
    expect(made).toEqual([...made.slice(1).map(() => batch.tokens), rows.length + (batch.trained as number)])
    expect(batch.trained).toBeGreaterThan(rows.length)
    expect(batch.trained).toBeLessThan(batch.tokens / 4)
  })

  it('gives the loss and gradient of a last layer that computes every token', () => {
    const model = build('bert', definition.head)
    const whole = build('bert', definition.head)
    const forward = whole.bodyForward.bind(whole)
    whole.bodyForward = (inputs) => forward({ ...inputs, read: undefined })
    for (const split of [[examples], examples.map((example) => [example])])
      expectEqual(
        measure(objective, model, split, { padded: false }),
        measure(objective, whole, split, { padded: false }),
      )
    const batch = objective.collate(examples, { padded: false, device: testDevice })
    const right = (of: Model) =>
      Object.values(objective.loss(of, batch, { metrics: true }).metrics).map(({ sum }) => (sum as Tensor).item())
    expect(right(model)).toEqual(right(whole))
  })
})
