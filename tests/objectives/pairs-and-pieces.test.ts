// Examples and losses of the objectives with two texts, two models or two sides, each against a case computed by hand.
import { describe, expect, it } from 'vitest'
import type { LanguageHead } from '../../src/models/index.ts'
import { objectives, type TextRow } from '../../src/objectives/index.ts'
import { sampleTokens } from '../../src/objectives/replaced-token-detection.ts'
import { linear, scope, Tensor } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'
import { build, noOther, random, rowOf, vocabulary } from './small-models.ts'

const context = { vocabulary, maxLength: 32 }
const int64 = (rows: readonly (readonly number[])[]) => Tensor.from(rows, { dtype: 'int64', device: testDevice })
/** Five standard deviations of a binomial count. */
const bound = (trials: number, p: number) => 5 * Math.sqrt(trials * p * (1 - p))
const decode = (ids: readonly number[]) => ids.join(' ')

describe('sentence-pretraining', () => {
  const { config, create } = objectives['sentence-pretraining']
  type Pair = { ids: Uint32Array; typeIds: Uint8Array; relation: number; positions: Uint32Array; originals: Int32Array }
  const make = (input: object) => create(config.parse({ maskShare: 0.01, shortShare: 0, ...input }), context)
  const texts = ({ ids, positions, originals }: Pair) => {
    const restored = ids.slice()
    positions.forEach((position, i) => {
      restored[position] = originals[i]
    })
    const first = [...restored.subarray(1, restored.indexOf(3))]
    return [first, [...restored.subarray(first.length + 2, -1)]]
  }
  // Sentences end with 22 and 44; text continues a word with multiples of 3.
  const row: TextRow = { ids: Uint16Array.of(10, 22, 13, 14, 44, 16, 17, 19), starts: [0], part: 0 }
  const another: TextRow = { ids: Uint16Array.of(101, 103, 104), starts: [0], part: 0 }

  it('takes the next sentence for half of the pairs', () => {
    const objective = make({})
    const counts = [0, 0]
    const cuts = new Set<number>()
    for (let seed = 0; seed < 400; seed++) {
      const example = objective.example(row, random(`${seed}`), () => another) as Pair
      const [first, second] = texts(example)
      expect(first).toEqual([...row.ids.subarray(0, first.length)])
      expect(second).toEqual(example.relation === 0 ? [...row.ids.subarray(first.length)] : [101, 103, 104])
      expect([...example.typeIds]).toEqual([
        ...new Array(first.length + 2).fill(0),
        ...new Array(second.length + 1).fill(1),
      ])
      expect([example.ids[0], example.ids[first.length + 1], example.ids.at(-1)]).toEqual([2, 3, 3])
      counts[example.relation]++
      cuts.add(first.length)
    }
    expect([...cuts].sort()).toEqual([2, 5])
    expect(Math.abs(counts[1] - 200)).toBeLessThan(bound(400, 0.5))
  })

  it('swaps half of the pairs for sentence order', () => {
    const objective = make({ relation: 'sentence-order' })
    let swapped = 0
    for (let seed = 0; seed < 400; seed++) {
      const example = objective.example(row, random(`${seed}`), noOther) as Pair
      const [first, second] = texts(example)
      expect(example.relation === 1 ? [...second, ...first] : [...first, ...second]).toEqual([...row.ids])
      swapped += example.relation
    }
    expect(Math.abs(swapped - 200)).toBeLessThan(bound(400, 0.5))
  })

  it('takes a text of another document that is as long and begins with a sentence', () => {
    const objective = make({})
    const long: TextRow = { ids: Uint16Array.of(50, 52, 44, 53, 56, 22, 58, 59, 61, 62, 64), starts: [0], part: 0 }
    const seen = new Set<string>()
    for (let seed = 0; seed < 100; seed++) {
      const example = objective.example(row, random(`${seed}`), () => long) as Pair
      if (example.relation === 1) seen.add(texts(example)[1].join())
    }
    // In place of 6 and of 3 tokens: after 44, or after 22 where enough follows.
    expect([...seen].sort()).toEqual(['53,56,22', '53,56,22,58,59,61', '58,59,61'])
  })

  it('shortens one pair of ten, and exceeds the maximum length with none', () => {
    const objective = make({ shortShare: 0.1 })
    const long = rowOf([60], random('long'))
    let short = 0
    for (let seed = 0; seed < 1000; seed++) {
      const example = objective.example(long, random(`${seed}`), () => long)
      const length = objective.tokens(example)
      expect(length).toBeGreaterThanOrEqual(5)
      expect(length).toBeLessThanOrEqual(32)
      if (length < 32) short++
    }
    // One of the 28 random lengths is the full one.
    const p = (0.1 * 27) / 28
    expect(Math.abs(short - 1000 * p)).toBeLessThan(bound(1000, p))
  })

  it('has no relation label for too little text', () => {
    const objective = make({})
    const model = build('bert', 'sentence-pretraining')
    const lone = objective.example({ ids: Uint16Array.of(9), starts: [0], part: 0 }, random(''), noOther)
    expect(objective.weights(lone)).toEqual({ 'masked-lm': 1, 'next-sentence': 0 })
    const { terms } = objective.loss(model, objective.collate([lone], { padded: false, device: testDevice }))
    expect(terms.map(({ name, weight }) => [name, weight])).toEqual([
      ['masked-lm', 1],
      ['next-sentence', 0],
    ])
    expect(terms[1].sum.item()).toBe(0)
  })

  it('is the sum of two cross entropies', () => {
    const objective = make({})
    const model = build('bert', 'sentence-pretraining')
    const example = objective.example(row, random('sum'), () => another) as Pair
    const { terms, metrics } = objective.loss(
      model,
      objective.collate([example], { padded: true, device: testDevice }),
      { metrics: true },
    )
    scope(() => {
      const inputs = { inputIds: int64([[...example.ids]]), typeIds: int64([[...example.typeIds]]) }
      const { hidden, logits } = model.forward(inputs)
      const head = model.head as unknown as Record<'pooler' | 'relation', { weight: Tensor; bias: Tensor }>
      const pooled = linear(hidden.select(1, 0), head.pooler.weight, head.pooler.bias).tanh()
      const relation = linear(pooled, head.relation.weight, head.relation.bias)
      const target = Tensor.from([example.relation], { dtype: 'int64', device: testDevice })
      const place = Tensor.from([...example.positions], { dtype: 'int64', device: testDevice })
      const label = Tensor.from([...example.originals], { dtype: 'int64', device: testDevice })
      expect(terms[0].sum.item()).toBeCloseTo(
        logits.select(0, 0).indexSelect(0, place).crossEntropy(label, { reduction: 'sum' }).item(),
        4,
      )
      expect(terms[1].sum.item()).toBeCloseTo(relation.crossEntropy(target).item(), 5)
      expect((metrics.relationAccuracy.sum as Tensor).item()).toBe(relation.argmax(-1).eq(target).sum().item())
    })
  })
})

describe('span-corruption', () => {
  const { config, create } = objectives['span-corruption']
  type Spans = { inputs: Uint32Array; targets: Uint32Array }
  const objective = create(config.parse({}), context)

  it('requests rows that become inputs of the maximum length', () => {
    // 35 tokens: 5 noise in 2 spans, 30 + 2 + 1 would be 33; 34 tokens: 29 + 2 + 1 = 32.
    expect(objective.rows).toEqual({ length: 34, overlap: 0 })
    const example = objective.example(rowOf([34], random('full')), random(''), noOther) as Spans
    expect([example.inputs.length, example.targets.length]).toEqual([32, 8])
  })

  it('loses no token, and gives sentinels in order', () => {
    for (let seed = 0; seed < 200; seed++) {
      const row = rowOf([3 + (seed % 32)], random(`row ${seed}`))
      const { inputs, targets } = objective.example(row, random(`${seed}`), noOther) as Spans
      expect(inputs.at(-1)).toBe(vocabulary.eos)
      expect(targets.at(-1)).toBe(vocabulary.eos)
      expect(targets[0]).toBe(127)
      const spans: number[][] = []
      for (const id of targets.subarray(0, -1)) id >= 124 ? spans.push([]) : spans.at(-1)?.push(id)
      const restored = [...inputs.subarray(0, -1)].flatMap((id) => (id >= 124 ? spans[127 - id] : [id]))
      expect(restored).toEqual([...row.ids])
      expect(spans.every(({ length }) => length > 0)).toBe(true)
    }
  })

  it('is the cross entropy of the targets, read shifted by one', () => {
    const model = build('t5', 'seq2seq-lm')
    const examples = [20, 11].map((length, i) =>
      objective.example(rowOf([length], random(`${i}`)), random(`${i}`), noOther),
    ) as Spans[]
    const { terms } = objective.loss(model, objective.collate(examples, { padded: true, device: testDevice }))
    const sum = examples.reduce(
      (total, { inputs, targets }) =>
        total +
        scope(() => {
          const { logits } = model.forward({
            inputIds: int64([[...inputs]]),
            decoderInputIds: int64([[0, ...targets.subarray(0, -1)]]),
          })
          return logits
            .select(0, 0)
            .crossEntropy(Tensor.from([...targets], { dtype: 'int64', device: testDevice }), { reduction: 'sum' })
            .item()
        }),
      0,
    )
    expect(Math.abs(terms[0].sum.item() - sum) / sum).toBeLessThan(1e-6)
    expect(terms[0].weight).toBe(examples[0].targets.length + examples[1].targets.length)
  })

  it('handles a row of one token', () => {
    const lone = objective.example({ ids: Uint16Array.of(9), starts: [0], part: 0 }, random(''), noOther)
    expect(objective.weights(lone)).toEqual({ 'span-corruption': 0 })
    const model = build('t5', 'seq2seq-lm')
    expect(
      objective.loss(model, objective.collate([lone], { padded: true, device: testDevice })).terms[0].sum.item(),
    ).toBe(0)
  })

  it('names what a vocabulary or batch lacks', () => {
    expect(() => create(config.parse({}), { ...context, maxLength: 512 })).toThrow(
      'Expected a vocabulary with 28 sentinels',
    )
    expect(() =>
      objective.collate([objective.example(rowOf([9], random('')), random(''), noOther)], { padded: false }),
    ).toThrow('padded')
  })
})

describe('replaced-token-detection', () => {
  const { config, create, auxiliary } = objectives['replaced-token-detection']

  it('samples a token by its uniform random number', () => {
    // Scores are the log of 1, 2, 5, 2, so shares end at 0.1, 0.3, 0.8 and 1; at temperature 1/2 squares: 1, 4, 25, 4 of 34.
    const scores = Tensor.from([0, Math.log(2), Math.log(5), Math.log(2)]).unsqueeze(1)
    const uniforms = Tensor.from([0, 0.09, 0.11, 0.29, 0.31, 0.79, 0.81, 0.999999, 1])
    const ones = Tensor.from(new Array(9).fill([1]))
    const sample = (size: number, temperature: number) =>
      sampleTokens(ones, scores, null, { uniforms, size, temperature }).toArray()
    expect(sample(4, 1)).toEqual([0, 0, 1, 1, 2, 2, 3, 3, 3])
    expect(sample(4, 0.5)).toEqual([0, 1, 1, 2, 2, 2, 2, 3, 3])
    // Entries beyond the vocabulary are never drawn: shares end at 1/3 and 1.
    expect(sample(2, 1)).toEqual([0, 0, 0, 0, 0, 1, 1, 1, 1])
  })

  it('samples with the probabilities of the generator', () => {
    const r = random('draws')
    const rows = 3000
    const uniforms = Tensor.from(Float32Array.from({ length: rows }, () => r.float()))
    const scores = Tensor.from([0, Math.log(2), Math.log(5), Math.log(2)]).unsqueeze(1)
    const found = sampleTokens(Tensor.from(new Float32Array(rows).fill(1), { shape: [rows, 1] }), scores, null, {
      uniforms,
      size: 4,
      temperature: 1,
    }).toArray() as number[]
    for (const [id, share] of [0.1, 0.2, 0.5, 0.2].entries())
      expect(Math.abs(found.filter((other) => other === id).length - rows * share)).toBeLessThan(bound(rows, share))
  })

  it('weights detection by 50 and counts a sample equal to the original as original', () => {
    const objective = create(config.parse({ maskShare: 0.4 }), context)
    const model = build('electra', 'replaced-token-detection')
    const generator = build('electra', 'masked-lm', { seed: 2 })
    type Example = { ids: Uint32Array; positions: Uint32Array; originals: Int32Array; uniforms: Float32Array }
    const example = objective.example(rowOf([29], random('row')), random('masks'), noOther) as Example
    // A draw whose sample we make the original, so that one replaced token is right.
    const { ids, positions, originals, uniforms } = example
    const sampled = scope(() => {
      const head = generator.head as LanguageHead
      const { hidden } = generator.bodyForward({ inputIds: int64([[...ids]]) })
      const { weight, bias } = head.lmHead
      const logits = linear(head.prepare(hidden), weight, bias ?? null).select(0, 0)
      return [...positions].map((position, i) => {
        const shares = logits.select(0, position).softmax(0).toFloat32Array()
        let height = 0
        let id = 0
        while (id < 127 && height + shares[id] <= uniforms[i]) height += shares[id++]
        return id
      })
    })
    originals[0] = sampled[0]
    const filled = [...ids]
    positions.forEach((position, i) => {
      filled[position] = sampled[i]
    })
    const labels = filled.map((_, place) => {
      const i = positions.indexOf(place)
      return i >= 0 && sampled[i] !== originals[i] ? 1 : 0
    })
    expect(labels.filter((label) => label === 1).length).toBeGreaterThan(0)
    const { terms, metrics } = objective.loss(
      model,
      objective.collate([example], { padded: true, device: testDevice }),
      {
        auxiliary: generator,
        metrics: true,
      },
    )
    const { logits } = model.forward({ inputIds: int64([filled]) })
    const target = Tensor.from([labels], { device: testDevice })
    expect(terms[1].sum.item()).toBeCloseTo(logits.binaryCrossEntropyWithLogits(target, { reduction: 'sum' }).item(), 4)
    expect(terms.map(({ name, weight, scale }) => [name, weight, scale])).toEqual([
      ['generator', positions.length, 1],
      ['replaced-token-detection', ids.length, 50],
    ])
    expect((metrics.accuracy.sum as Tensor).item()).toBe(logits.gt(0).to('float32').eq(target).sum().item())
  })

  it('plans a generator of a quarter of the width that shares the embeddings', () => {
    const main = build('electra', 'replaced-token-detection', { hiddenSize: 128, numHeads: 2, intermediateSize: 512 })
    const plan = auxiliary?.plan(config.parse({}), main)
    expect(plan?.config).toMatchObject({
      hiddenSize: 32,
      numLayers: 2,
      numHeads: 1,
      intermediateSize: 128,
      embeddingSize: 16,
    })
    expect(plan?.head).toBe('masked-lm')
    const generator = build('electra', 'masked-lm', { ...plan?.config, seed: 3 })
    auxiliary?.tie(main, generator)
    const [ours, theirs] = [main.parameters(), generator.parameters()]
    const shared = [...theirs].filter(([path, parameter]) => ours.get(path) === parameter).map(([path]) => path)
    expect(shared).toEqual([
      'body.embedTokens.weight',
      'body.embedPositions.weight',
      'body.embedTypes.weight',
      'body.embeddingNorm.weight',
      'body.embeddingNorm.bias',
    ])
    expect((generator.head as LanguageHead).lmHead.weight).toBe(main.body.embedTokens.weight)
    // Both learn through it.
    const objective = create(config.parse({}), context)
    const batch = objective.collate([objective.example(rowOf([20], random('a')), random('b'), noOther)], {
      padded: false,
      device: testDevice,
    })
    const { terms } = objective.loss(main, batch, { auxiliary: generator })
    terms[0].sum.backward()
    const first = main.body.embedTokens.weight.grad?.abs().sum().item() ?? 0
    terms[1].sum.backward()
    const both = main.body.embedTokens.weight.grad?.abs().sum().item() ?? 0
    expect(first).toBeGreaterThan(0)
    expect(both).not.toBe(first)
    // Detection teaches the generator nothing beyond what they share.
    expect(() => auxiliary?.plan(config.parse({}), build('bert', 'masked-lm'))).toThrow('Use electra')
  })
})

describe('all objectives', () => {
  it.each(Object.entries(objectives))('%s refuses another head and an empty batch', (type, definition) => {
    expect(definition.type).toBe(type)
    const objective = definition.create(definition.config.parse({}) as never, context)
    const model = build('bert', 'sequence-classification')
    const batch = objective.collate(
      [objective.example(rowOf([20], random('a')), random('b'), () => rowOf([9], random('c')))],
      { padded: true },
    )
    expect(() => objective.loss(model, batch, { auxiliary: model })).toThrow(
      /Expected a model with the head .*, got sequence-classification/,
    )
    expect(() => objective.collate([], { padded: true, device: testDevice })).toThrow('Expected at least one example')
    expect(() => definition.config.parse({ nosuchkey: 1 })).toThrow()
    expect(() => definition.create(definition.config.parse({}) as never, { vocabulary, maxLength: 0 })).toThrow(
      'maxLength',
    )
  })

  it('describe examples with their trained tokens marked', () => {
    const row: TextRow = { ids: Uint16Array.of(10, 11, 12, 13, 14), starts: [0, 3], part: 0 }
    const shown = (type: keyof typeof objectives, input = {}) => {
      const objective = objectives[type].create(objectives[type].config.parse(input) as never, context)
      return objective.describe(objective.example(row, random('shown'), noOther), decode)
    }
    expect(shown('causal-lm')).toBe('10⟦11 12 6⟧\n13⟦14⟧')
    expect(shown('masked-lm', { replaceWithMask: 1, replaceWithRandom: 0 })).toMatch(/^2 .*⟦1[0-4]\|4⟧.* 3$/s)
    expect(shown('span-corruption')).toMatch(/^1.*127.* 6\n⟦127 1[0-4] 6⟧$/)
  })

  it('refuse shares that sum to more than one', () => {
    expect(() => objectives['masked-lm'].config.parse({ replaceWithMask: 0.9, replaceWithRandom: 0.2 })).toThrow(
      'at most 1',
    )
  })
})
