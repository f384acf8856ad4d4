// The layers of encoders in one fused call against the separate operators, which `allHidden` turns on: the same bits.
import { afterEach, describe, expect, it, vi } from 'vitest'
import { BlockMatrix, type Linear } from '../nn/index.ts'
import {
  dropPacked,
  Generator,
  keepPacked,
  noGrad,
  packInt8Rows,
  prepareEncoderLayers,
  rand,
  setBatchInvariant,
  Tensor,
  tensor,
} from '../tensor/index.ts'
import { EncoderBody, EncoderLayer } from './encoder.ts'
import { planEncoderLayers, runEncoderLayers } from './encoder-layers.ts'
import { PreparedWeights } from './fused-weights.ts'
import { type BodyInputs, firstTokensOf, models } from './index.ts'

// Without this, a model that never made the fused call would pass: separate operators have the bits of separate operators.
vi.mock('./encoder-layers.ts', async (original) => {
  const actual = await original<typeof import('./encoder-layers.ts')>()
  return { ...actual, runEncoderLayers: vi.fn(actual.runEncoderLayers) }
})

afterEach(() => {
  setBatchInvariant(false)
  vi.clearAllMocks()
})

type Kind = 'bert' | 'distilbert' | 'roberta' | 'electra' | 'albert' | 'mpnet'

const build = (type: Kind, more: object = {}): EncoderBody => {
  const definition = models[type]
  const config = definition.config.parse({ ...definition.presets.test, ...more }) as never
  const body = definition.build(config)
  if (!(body instanceof EncoderBody)) throw new Error(`${type} is no encoder.`)
  body.initialize({ std: 0.2, generator: new Generator(3) })
  const random = new Generator(4)
  noGrad(() => {
    for (const [path, parameter] of body.parameters())
      if (/bias$|Norm/.test(path)) parameter.normal_(0.3, 0.5, { generator: random })
  })
  return body
}

const ids = (count: number, from = 0) =>
  BigInt64Array.from({ length: count }, (_, i) => BigInt(5 + ((from + i * 37) % 90)))

/** Texts of these lengths in one packed row. */
const packed = (lengths: readonly number[], from = 0): BodyInputs => {
  const edges = [0]
  for (const length of lengths) edges.push(edges[edges.length - 1] + length)
  const total = edges[lengths.length]
  return {
    inputIds: Tensor.from(ids(total, from), { shape: [1, total] }),
    starts: tensor(edges, { dtype: 'int64' }),
  }
}

const fused = ({ computedLayers }: EncoderBody) => noGrad(() => planEncoderLayers(computedLayers, EncoderLayer))

const bits = (x: Tensor) => [...new Uint32Array(x.toFloat32Array().slice().buffer)]

const expectSameBits = (body: EncoderBody, inputs: BodyInputs) =>
  noGrad(() => {
    vi.mocked(runEncoderLayers).mockClear()
    const { hidden } = body.forward(inputs)
    expect(runEncoderLayers).toHaveBeenCalledTimes(fused(body) === undefined ? 0 : 1)
    expect(bits(hidden)).toEqual(bits(body.forward({ ...inputs, allHidden: true }).hidden))
    return hidden
  })

const expectSameBitsPackedAndPadded = (body: EncoderBody): void => {
  for (const lengths of [[1], [19], [7, 1, 12], [40, 33, 25]]) expectSameBits(body, packed(lengths))
  const attentionMask = tensor([
    [1, 1, 1, 1, 1, 1],
    [1, 1, 1, 0, 0, 0],
  ])
  expectSameBits(body, { inputIds: Tensor.from(ids(12), { shape: [2, 6] }), attentionMask })
}

type Format = 'Q8_0' | 'Q4_0' | 'int8'

/** A matrix of random codes, whose scales are about 0.01; with `shuffled`, stored in another order. */
const blocksLike = ({ shape: [outputs, inputs] }: Linear, format: Format, seed: number, shuffled: boolean) => {
  const order = BigInt64Array.from({ length: outputs }, (_, i) => BigInt((i * 5 + 3) % outputs))
  const stored = shuffled ? { order: Tensor.from(order, { shape: [outputs] }) } : {}
  if (format === 'int8') {
    const weight = rand([outputs, inputs], { generator: new Generator(seed) }).sub(0.5)
    return new BlockMatrix({ format, shape: [outputs, inputs], blocks: packInt8Rows(weight), ...stored })
  }
  const bytes = format === 'Q8_0' ? 34 : 18
  const rowBytes = (inputs / 32) * bytes
  let state = seed
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24
  const codes = Uint8Array.from({ length: outputs * rowBytes }, (_, i) => {
    if (i % bytes === 0) return next()
    // 0x21 is the upper half of a float16 of about 0.01.
    return i % bytes === 1 ? 0x21 : next()
  })
  const blocks = Tensor.from(codes, { shape: [outputs, rowBytes] })
  return new BlockMatrix({ format, shape: [outputs, inputs], blocks, ...stored })
}

const useBlocks = ({ layers }: EncoderBody, chosen: (layer: number, product: number) => Format | undefined) => {
  layers.forEach(({ attention: { qProj, kProj, vProj, oProj }, mlp }, layer) => {
    ;[qProj, kProj, vProj, oProj, mlp.upProj, mlp.downProj].forEach((product, i) => {
      const format = chosen(layer, i)
      if (format !== undefined) product.useBlocks(blocksLike(product, format, 1 + layer * 6 + i, i < 2))
    })
  })
}

describe.each([true, false])('with batch-invariant kernels: %s', (invariant) => {
  it.each([
    ['bert', {}],
    ['bert', { activation: 'gelu_new', hiddenSize: 36, intermediateSize: 50, numHeads: 3, numLayers: 3 }],
    ['distilbert', {}],
    ['roberta', {}],
    ['electra', {}],
    ['albert', { activation: 'gelu' }],
  ] as const)('%s with %j has the bits of separate operators, packed and padded', (type, more) => {
    setBatchInvariant(invariant)
    const body = build(type, more)
    expect(fused(body)).toBeDefined()
    expectSameBitsPackedAndPadded(body)
  })

  it.each([
    ['bert', {}],
    ['roberta', { hiddenSize: 96, intermediateSize: 160, numHeads: 3, numLayers: 2 }],
  ] as const)('%s with %j in bfloat16 has the bits of separate operators', (type, more) => {
    setBatchInvariant(invariant)
    const body = build(type, more)
    body.to({ dtype: 'bfloat16' })
    expect(fused(body)).toBeDefined()
    expectSameBitsPackedAndPadded(body)
    body.layers[0].mlpNorm.to({ dtype: 'float32' })
    expect(fused(body)).toBeUndefined()
  })

  it.each([
    ['all in one format', () => 'Q8_0'],
    ['some dense', (layer, product) => ((layer + product) % 2 === 0 ? 'Q4_0' : undefined)],
    ['two formats', (_, product) => (product === 5 ? 'Q8_0' : 'Q4_0')],
    ['int8', () => 'int8'],
    // The query's input is quantised by rows, the key's in groups, and the value's by rows again.
    ['int8 beside blocks', (_, product) => (product % 2 === 0 ? 'int8' : 'Q4_0')],
  ] as [string, (layer: number, product: number) => Format | undefined][])(
    'has the bits of separate operators for matrices of blocks: %s',
    (_, chosen) => {
      setBatchInvariant(invariant)
      const body = build('bert', { hiddenSize: 64, intermediateSize: 96, numHeads: 4 })
      useBlocks(body, chosen)
      expect(fused(body)?.formats.split(',').length).toBe(6 * body.layers.length)
      // More than a few rows are computed in pieces of up to 128.
      const many = Array.from({ length: 75 }, (_, i) => 1 + (i % 8))
      for (const lengths of [[1], [19], [7, 1, 12], [40, 33, 25], many]) expectSameBits(body, packed(lengths))
      for (const lengths of [[7, 1, 12], many]) {
        const inputs = packed(lengths)
        const read = firstTokensOf(inputs.starts as Tensor)
        noGrad(() => {
          const some = body.forward({ ...inputs, read })
          expect(some.onlyRead).toBe(true)
          const all = body.forward(inputs).hidden.indexSelect(1, read.places)
          expect(some.hidden.sub(all).abs().max().item()).toBeLessThan(invariant ? 1e-30 : 1e-5)
        })
      }
    },
  )

  it('computes only the tokens that are read in the last layer', () => {
    setBatchInvariant(invariant)
    const body = build('bert')
    const inputs = packed([7, 1, 12])
    const read = firstTokensOf(inputs.starts as Tensor)
    noGrad(() => {
      const all = body.forward(inputs)
      const some = body.forward({ ...inputs, read })
      expect([all.onlyRead, some.onlyRead]).toEqual([false, true])
      expect(some.hidden.shape).toEqual([1, 3, 32])
      const difference = some.hidden.sub(all.hidden.indexSelect(1, read.places)).abs().max().item()
      expect(difference).toBeLessThan(invariant ? 1e-30 : 1e-5)
    })
  })
})

it('gives a text the same bits in any company, also where its weights are packed', () => {
  setBatchInvariant(true)
  const body = build('bert')
  const texts = noGrad(() => body.forward(packed([9, 30, 14])).hidden.narrow(1, 0, 9))
  const alone = () => noGrad(() => body.forward(packed([9])).hidden)
  expect(bits(alone())).toEqual(bits(texts))
  const matrices = [...body.parameters().values()].filter(({ ndim }) => ndim === 2)
  keepPacked(matrices)
  expect(bits(alone())).toEqual(bits(texts))
  dropPacked(matrices)
})

it('leaves layers to the separate operators that the fused call does not compute', () => {
  expect(fused(build('bert', { activation: 'relu' }))).toBeUndefined()
  const body = build('bert')
  expect(planEncoderLayers(body.computedLayers, EncoderLayer)).toBeUndefined()
  expect(fused(body.train())).toBeUndefined()
  expect(fused(body.eval())).toBeDefined()
  expect(fused(build('bert').to({ dtype: 'float64' }))).toBeUndefined()
  const quantized = build('bert')
  quantized.layers[1].mlp.upProj.quantize('int8')
  expect(fused(quantized)).toBeUndefined()
  // As adapters do: the layer's own function is replaced.
  const adapted = build('bert')
  const { vProj } = adapted.layers[1].attention
  const own = vProj.forward.bind(vProj)
  Object.defineProperty(vProj, 'forward', { value: (input: Tensor) => own(input).mul(2), configurable: true })
  expectSameBits(adapted, packed([9]))
  expect(fused(adapted)).toBeUndefined()
  // Its scores have a bias by distance.
  noGrad(() => {
    const inputIds = Tensor.from(ids(6), { shape: [1, 6] })
    const relative = build('mpnet')
    expect(bits(relative.forward({ inputIds }).hidden)).toEqual(
      bits(relative.forward({ inputIds, allHidden: true }).hidden),
    )
  })
})

it('refuses formats that do not fit the matrices', () => {
  const body = build('bert', { hiddenSize: 64, intermediateSize: 96, numHeads: 4 })
  useBlocks(body, () => 'Q8_0')
  const plan = fused(body)
  if (plan === undefined) throw new Error('Expected a plan.')
  const hidden = tensor([[[...Array(64).keys()]]], { dtype: 'float32' })
  const call = (changes: Partial<typeof plan>) => () =>
    noGrad(() =>
      runEncoderLayers(hidden, { ...plan, ...changes }, new PreparedWeights(prepareEncoderLayers), {}, undefined),
    )
  expect(call({})).not.toThrow()
  expect(call({ formats: 'Q8_0' })).toThrow(/Expected 6 `formats` and `orders`.* got 1 and/)
  expect(call({ formats: plan.formats.replace('Q8_0', 'Q9_0') })).toThrow(/as `format`, got Q9_0/)
  expect(call({ formats: plan.formats.replace('Q8_0', 'Q4_0') })).toThrow(/whole blocks of 18 bytes/)
  const [first, ...others] = plan.parts
  expect(call({ parts: [first?.narrow(0, 0, 32) ?? null, ...others], orders: plan.orders.map(() => null) })).toThrow(
    /Expected \[64,64\] for `qProj`.* got blocks of \[32,64\]/,
  )
})

it('records gradients of the same losses as before, by the separate operators', () => {
  const body = build('bert')
  body.requireGrad(true)
  const inputs = packed([9])
  const { hidden } = body.forward(inputs)
  expect(hidden.requiresGrad).toBe(true)
  expect(bits(hidden.detach())).toEqual(bits(noGrad(() => body.forward(inputs).hidden)))
})
