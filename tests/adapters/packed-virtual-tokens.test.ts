// Virtual tokens in packed rows: every document has its own, and logits and gradients equal those of padded rows, for
// every architecture with packed rows and every kind of head. float32, no dropout, random values instead of initial
// ones.
import { describe, expect, it } from 'vitest'
import { type AdapterType, applyAdapter } from '../../src/adapters/index.ts'
import {
  type BodyInputs,
  buildModel,
  type HeadType,
  headsOf,
  type Model,
  type ModelDefinition,
  type ModelType,
  models,
} from '../../src/models/index.ts'
import { positionsIn } from '../../src/objectives/index.ts'
import { cat, full, Generator, noGrad, scope, type Tensor, tensor, zeros } from '../../src/tensor/index.ts'
import { placed, testDevice } from '../device.ts'
import { configOf } from './methods.ts'

const methods = ['prefix-tuning', 'prompt-tuning'] as const satisfies AdapterType[]
const architectures = (Object.keys(models) as ModelType[]).filter((type) => {
  const definition = models[type] as ModelDefinition
  return definition.facts(definition.adjust(definition.presets.test, {})).packs !== false
})
const virtualTokens = 3

const make = (type: ModelType, head: HeadType, method: AdapterType, changes: Record<string, unknown> = {}) => {
  const definition = models[type] as ModelDefinition
  const config = definition.adjust(definition.presets.test, changes)
  const options = { labels: ['a', 'b', 'c'], dropout: 0 }
  const model = buildModel(definition, config, head, options)
    .initialize({ std: 0.2, generator: new Generator(1) })
    .to({ device: testDevice })
    .eval()
  const applied = applyAdapter(model, configOf(method))
  const generator = new Generator(2)
  noGrad(() => {
    for (const value of applied.trainable.values()) value.detach().normal_(0, 0.3, { generator })
  })
  return applied
}

const documents = [[5, 6, 7, 8, 9, 10, 11], [12], [13, 14, 15, 16], [17, 18, 19, 20, 21, 22, 23, 24, 25, 26], [27, 28]]
const longest = 10
const padId = 1
const long = (values: number[], shape: number[]) =>
  tensor(BigInt64Array.from(values, BigInt), { shape, device: testDevice })
/** Starts stay on the CPU on every device. */
const startsAt = (values: number[]) => tensor(BigInt64Array.from(values, BigInt))
const tokens = documents.flat()
const edgesOf = (lengths: readonly number[]) => {
  const edges = [0]
  for (const length of lengths) edges.push(edges[edges.length - 1] + length)
  return edges
}
const edges = edgesOf(documents.map(({ length }) => length))
const eachDocument = <Value>(values: (document: number[]) => Value[], filling: Value): Value[] =>
  documents.flatMap((document) => {
    const own = values(document)
    return [...own, ...Array<Value>(longest - own.length).fill(filling)]
  })

const packed = (): BodyInputs => ({
  inputIds: long(tokens, [1, tokens.length]),
  starts: startsAt(edges),
})
const padded = (): BodyInputs => ({
  inputIds: long(
    eachDocument((document) => document, padId),
    [documents.length, longest],
  ),
  attentionMask: long(
    eachDocument((document) => document.map(() => 1), 0),
    [documents.length, longest],
  ),
})

/** Rows of the text's tokens, [N,...], of [B,T,...] or [1,N,...]; or rows of documents as they are. */
const textRows = (values: Tensor, inputs: BodyInputs): Tensor => {
  const ofTokens = values.shape.slice(0, 2).join() === inputs.inputIds.shape.join()
  if (!ofTokens) return values.reshape([-1, values.shape.at(-1) as number])
  if (inputs.starts !== undefined) return values.squeeze(0)
  return cat(documents.map(({ length }, row) => values.select(0, row).narrow(0, 0, length)))
}

const furthest = (a: Tensor, b: Tensor) => a.sub(b).abs().max().item()

/** Logits by row, and gradients of a sum of them that weighs each otherwise. */
const run = (model: Model, trainable: ReadonlyMap<string, Tensor>, inputs: BodyInputs) => {
  const logits = textRows(model.forward(inputs).logits, inputs).reshape([-1, 1]).squeeze(1)
  const weights = placed(zeros([logits.shape[0]]).normal_(0, 1, { generator: new Generator(7) }))
  logits.mul(weights).sum().div(10).backward()
  const gradients = new Map([...trainable].map(([path, parameter]) => [path, parameter.grad as Tensor]))
  for (const parameter of trainable.values()) parameter.grad = undefined
  return { logits: logits.detach(), gradients }
}

const expectSame = (
  { model, trainable }: { model: Model; trainable: ReadonlyMap<string, Tensor> },
  one: BodyInputs,
  other: BodyInputs,
) => {
  const [actual, wanted] = [run(model, trainable, one), run(model, trainable, other)]
  expect(furthest(actual.logits, wanted.logits)).toBeLessThan(1e-5)
  for (const [path, gradient] of wanted.gradients) {
    const size = gradient.abs().max().item()
    expect(size, path).toBeGreaterThan(0)
    expect(furthest(actual.gradients.get(path) as Tensor, gradient) / Math.max(1, size), path).toBeLessThan(1e-5)
  }
}

/** A row of choices has a dimension more: here each document is a choice. */
const withChoices = (inputs: BodyInputs): BodyInputs => ({
  ...inputs,
  inputIds: inputs.inputIds.unsqueeze(1),
  attentionMask: inputs.attentionMask?.unsqueeze(1),
})

describe.each(architectures)('%s', (architecture) => {
  const definition = models[architecture] as ModelDefinition
  const config = definition.adjust(definition.presets.test, {})
  const heads = Object.keys(headsOf(definition, config)) as HeadType[]
  const { takesPrefixes = true } = definition.facts(definition.config.parse(config) as never)
  const taken = methods.filter((method) => takesPrefixes || method !== 'prefix-tuning')
  // Some architectures have no class for tokens in transformers, and so none here; a head by token suffices.
  const byToken = heads.includes('token-classification') ? 'token-classification' : 'causal-lm'
  describe.each(taken)('%s', (method) => {
    it.each(heads)('%s: logits and gradients of padded rows', (head) => {
      const applied = make(architecture, head, method)
      const form = head === 'multiple-choice' ? withChoices : (inputs: BodyInputs) => inputs
      expectSame(applied, form(packed()), form(padded()))
      expectSame(applied, { ...form(packed()), recompute: 2 }, form(padded()))
    })

    it('keeps documents independent of each other', () => {
      const { model } = make(architecture, byToken, method)
      const logits = noGrad(() => model.forward(packed()).logits.squeeze(0))
      documents.forEach((document, i) => {
        const alone = noGrad(() => model.forward({ inputIds: long(document, [1, document.length]) }).logits.squeeze(0))
        expect(furthest(logits.narrow(0, edges[i], document.length), alone)).toBeLessThan(1e-5)
      })
    })

    it('gives the hidden states of every layer, of the text alone', () => {
      const { model } = make(architecture, 'sequence-classification', method)
      const of = (inputs: BodyInputs) =>
        noGrad(() => model.bodyForward({ ...inputs, allHidden: true })).allHidden!.map((hidden) =>
          textRows(hidden, inputs),
        )
      const [actual, wanted] = [of(packed()), of(padded())]
      expect(actual).toHaveLength(model.facts.numLayers + 1)
      wanted.forEach((hidden, layer) => {
        expect(actual[layer].shape).toEqual([tokens.length, model.facts.hiddenSize])
        expect(furthest(actual[layer], hidden), `layer ${layer}`).toBeLessThan(1e-4)
      })
    })

    it('takes many documents, but none that is too long together with the virtual tokens', () => {
      const { model } = make(architecture, byToken, method)
      const { maxPositions } = model.facts
      if (maxPositions === undefined) return
      const most = maxPositions - virtualTokens
      const of = (lengths: number[]) => {
        const starts = edgesOf(lengths)
        const all = starts[lengths.length]
        return noGrad(() =>
          model.forward({
            inputIds: full([1, all], 5, { dtype: 'int64', device: testDevice }),
            starts: startsAt(starts),
          }),
        )
      }
      expect(of([most, 4, most]).logits.shape).toEqual([1, 2 * most + 4, 3])
      expect(() => of([2, most + 1])).toThrow(
        `at most ${most} tokens beside ${virtualTokens} virtual tokens, got ${most + 1}`,
      )
    })
  })
})

it.each(methods)('%s: given segments and positions stay with their tokens', (method) => {
  const applied = make('bert', 'sequence-classification', method)
  const typesOf = (document: number[]) => document.map((_, i) => (i > 2 ? 1 : 0))
  const positionsOf = (document: number[]) => document.map((_, i) => 2 * i + 1)
  const rows = [documents.length, longest]
  expectSame(
    applied,
    {
      ...packed(),
      typeIds: long(documents.flatMap(typesOf), [1, tokens.length]),
      positionIds: long(documents.flatMap(positionsOf), [1, tokens.length]),
    },
    {
      ...padded(),
      typeIds: long(eachDocument(typesOf, 0), rows),
      positionIds: long(eachDocument(positionsOf, 0), rows),
    },
  )
})

it.each(methods)('%s: a sliding window treats virtual tokens like others', (method) => {
  const windowed = { slidingWindow: 4 }
  const applied = make('mistral', 'causal-lm', method, windowed)
  expectSame(applied, packed(), padded())
  const [near, far] = [applied, make('mistral', 'causal-lm', method, { slidingWindow: 64 })]
  const logits = (model: Model) => noGrad(() => model.forward(packed()).logits)
  expect(furthest(logits(near.model), logits(far.model))).toBeGreaterThan(1e-3)
})

it.each(methods)('%s: one batch can be used several times', (method) => {
  const { model } = make('bert', 'sequence-classification', method)
  const inputs = packed()
  const logits = () => noGrad(() => scope(() => model.forward(inputs).logits.toFloat32Array()))
  expect(logits()).toEqual(logits())
})

it.each(methods)('%s: packed rows with a cache are refused', (method) => {
  const { model } = make('gpt2', 'causal-lm', method)
  expect(() => model.forward({ ...packed(), cache: [] })).toThrow(/no `cache` together with packed rows/)
})

it('virtual tokens count towards the positions of a batch', () => {
  const learner = { tokens: ({ ids }: { ids: number[]; starts: number[] }) => ids.length }
  const example = { ids: [1, 2, 3, 4, 5], starts: [0, 2] }
  const of = (method: AdapterType) =>
    positionsIn(learner, make('bert', 'sequence-classification', method).model)(example)
  expect(of('lora')).toBe(5)
  // Keys and values alone.
  expect(of('prefix-tuning')).toBe(5)
  expect(of('prompt-tuning')).toBe(5 + 2 * virtualTokens)
})
