// Gradients against central differences in float64, over random shapes: independent of PyTorch's own backward formulas.
// Points where a function has a kink or a pole are kept out by the values drawn.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  cat,
  einsum,
  fullLike,
  gradients,
  noGrad,
  scaledDotProductAttention,
  scope,
  stack,
  Tensor,
  zeros,
} from '../../src/tensor/index.ts'

const seed = 20260
const numRuns = 6
const step = 1e-5
// Central differences in float64 err by about step^2 times the third derivative, and 1e-16 / step by rounding.
const tolerance = 2e-6

type Body = (...inputs: Tensor[]) => Tensor

const value = (low: number, high: number) => fc.double({ min: low, max: high, noNaN: true })

const tensorOf = (shape: readonly number[], low: number, high: number) => {
  const count = shape.reduce((product, size) => product * size, 1)
  return fc
    .array(value(low, high), { minLength: count, maxLength: count })
    .map((values) => ({ shape, values: Float64Array.from(values) }))
}

interface Input {
  shape: readonly number[]
  values: Float64Array
}

/** Largest difference between autograd's gradient and the differences', for a weighted sum of what `body` gives. */
const worst = (body: Body, inputs: Input[]): number =>
  scope(() => {
    const make = ({ shape, values }: Input) => Tensor.from(values, { shape })
    const evaluate = (changed: Input[]) => noGrad(() => scope(() => weighted(body(...changed.map(make))).item()))
    const leaves = inputs.map((input) => {
      const leaf = make(input)
      leaf.requiresGrad = true
      return leaf
    })
    const found = gradients([weighted(body(...leaves))], leaves)
    let largest = 0
    inputs.forEach((input, k) => {
      const gradient = found[k]?.toTypedArray() ?? new Float64Array(input.values.length)
      for (let i = 0; i < input.values.length; i++) {
        const moved = (by: number) =>
          evaluate(
            inputs.map((other, j) =>
              j === k ? { shape: input.shape, values: input.values.map((x, at) => (at === i ? x + by : x)) } : other,
            ),
          )
        const numeric = (moved(step) - moved(-step)) / (2 * step)
        largest = Math.max(largest, Math.abs(numeric - Number(gradient[i])) / Math.max(1, Math.abs(numeric)))
      }
    })
    return largest
  })

/** A sum with unequal weights, so that errors cannot cancel. */
const weighted = (tensor: Tensor): Tensor => {
  const weights = Float64Array.from({ length: tensor.size }, (_, i) => Math.sin(1 + 2.7 * i))
  return tensor.mul(Tensor.from(weights, { shape: tensor.shape })).sum()
}

const check = (inputs: fc.Arbitrary<Input[]>, body: Body) =>
  fc.assert(
    fc.property(inputs, (given) => {
      expect(worst(body, given)).toBeLessThan(tolerance)
    }),
    { seed, numRuns },
  )

const size = fc.integer({ min: 1, max: 3 })
const matrix = (low: number, high: number) =>
  fc.tuple(size, size).chain(([rows, columns]) => tensorOf([rows, columns], low, high).map((one) => [one]))
/** Two shapes that broadcast. */
const pair = (low: number, high: number) =>
  fc
    .tuple(size, size, fc.boolean(), fc.boolean())
    .chain(([rows, columns, wide, flat]) =>
      fc.tuple(
        tensorOf([rows, columns], low, high),
        tensorOf(flat ? [columns] : [rows, wide ? columns : 1], low, high),
      ),
    )
    .map(([a, b]) => [a, b])

describe('elementwise operators', () => {
  const smooth: Record<string, Body> = {
    neg: (x) => x.neg(),
    exp: (x) => x.exp(),
    expm1: (x) => x.expm1(),
    square: (x) => x.square(),
    sin: (x) => x.sin(),
    cos: (x) => x.cos(),
    tanh: (x) => x.tanh(),
    erf: (x) => x.erf(),
    gelu: (x) => x.gelu(),
    'gelu tanh': (x) => x.gelu({ approximate: 'tanh' }),
    silu: (x) => x.silu(),
    sigmoid: (x) => x.sigmoid(),
    softplus: (x) => x.softplus({ beta: 2 }),
    logSigmoid: (x) => x.logSigmoid(),
    pow: (x) => x.pow(3),
  }
  it.each(Object.keys(smooth))('%s', (name) => check(matrix(-2, 2), smooth[name]))

  const positive: Record<string, Body> = {
    abs: (x) => x.abs(),
    log: (x) => x.log(),
    log2: (x) => x.log2(),
    log1p: (x) => x.log1p(),
    sqrt: (x) => x.sqrt(),
    rsqrt: (x) => x.rsqrt(),
    reciprocal: (x) => x.reciprocal(),
    relu: (x) => x.relu(),
    elu: (x) => x.neg().elu({ alpha: 0.7 }),
    leakyRelu: (x) => x.neg().leakyRelu({ negativeSlope: 0.3 }),
    clamp: (x) => x.clamp({ min: 0.1 }),
    norm: (x) => x.norm(2, -1),
    prod: (x) => x.prod(-1),
    cumprod: (x) => x.cumprod(0),
  }
  it.each(Object.keys(positive))('%s', (name) => check(matrix(0.3, 2), positive[name]))
})

describe('operators of two tensors, broadcast', () => {
  const binary: Record<string, Body> = {
    add: (a, b) => a.add(b, { alpha: 2 }),
    sub: (a, b) => a.sub(b),
    mul: (a, b) => a.mul(b),
    div: (a, b) => a.div(b),
    pow: (a, b) => a.pow(b),
    lerp: (a, b) => a.lerp(b, 0.3),
    addcmul: (a, b) => a.addcmul(b, a, { value: 0.5 }),
    addcdiv: (a, b) => a.addcdiv(b, a),
    'in place': (a, b) => a.clone().mul_(b).add_(b, { alpha: 3 }),
    mseLoss: (a, b) => a.mseLoss(b.expandAs(a), { reduction: 'none' }),
  }
  it.each(Object.keys(binary))('%s', (name) => check(pair(0.3, 2), binary[name]))
})

describe('reductions and normalization', () => {
  const rows: Record<string, Body> = {
    sum: (x) => x.sum(-1),
    mean: (x) => x.mean(0, { keepdim: true }),
    var: (x) => x.var(-1, { correction: 0 }),
    logsumexp: (x) => x.logsumexp(-1),
    cumsum: (x) => x.cumsum(0),
    softmax: (x) => x.softmax(-1),
    logSoftmax: (x) => x.logSoftmax(0),
    rmsNorm: (x) => x.rmsNorm([x.shape[1]], { eps: 0.1 }),
    layerNorm: (x) => x.layerNorm([x.shape[1]], { eps: 0.1 }),
    crossEntropy: (x) => x.crossEntropy(zeros([x.shape[0]], { dtype: 'int64' })),
    'crossEntropy smoothed': (x) =>
      x.crossEntropy(zeros([x.shape[0]], { dtype: 'int64' }), { labelSmoothing: 0.2, reduction: 'sum' }),
    binaryCrossEntropyWithLogits: (x) => x.binaryCrossEntropyWithLogits(fullLike(x, 0.3)),
    klDiv: (x) => x.logSoftmax(-1).klDiv(fullLike(x, 0.3), { reduction: 'sum' }),
  }
  it.each(Object.keys(rows))('%s', (name) => check(matrix(-2, 2), rows[name]))
})

describe('products', () => {
  const product = fc
    .tuple(size, size, size, size)
    .chain(([batch, n, k, m]) => fc.tuple(tensorOf([batch, n, k], -2, 2), tensorOf([batch, k, m], -2, 2)))
    .map(([a, b]) => [a, b])
  const forms: Record<string, Body> = {
    matmul: (a, b) => a.matmul(b),
    'matmul, broadcast': (a, b) => a.matmul(b.select(0, 0)),
    bmm: (a, b) => a.bmm(b),
    mm: (a, b) => a.select(0, 0).mm(b.select(0, -1)),
    baddbmm: (a, b) => a.matmul(b).baddbmm(a, b, { beta: 0.5, alpha: 2 }),
    addmm: (a, b) => b.select(0, 0).sum(0).addmm(a.select(0, 0), b.select(0, 0)),
    einsum: (a, b) => einsum('bij,bjk->ki', [a, b]),
    outer: (a, b) => a.flatten().outer(b.flatten()),
    dot: (a) => a.flatten().dot(a.flatten()),
    scaledDotProductAttention: (a, b) => scaledDotProductAttention(a, b.transpose(1, 2), b.transpose(1, 2).sin()),
  }
  it.each(Object.keys(forms))('%s', (name) => check(product, forms[name]))
})

describe('indexing and shape', () => {
  const index = (...values: number[]) => Tensor.from(values, { dtype: 'int64' })
  const forms: Record<string, Body> = {
    select: (x) => x.select(-1, -1),
    narrow: (x) => x.narrow(0, 1, 2),
    slice: (x) => x.slice(0, 0, 3, { step: 2 }),
    index: (x) => x.index([index(0, 2, 2)]),
    indexSelect: (x) => x.indexSelect(1, index(1, 1, 0)),
    indexAdd: (x) => x.indexAdd(0, index(1, 1), x.narrow(0, 0, 2)),
    indexPut: (x) => x.indexPut([index(0, 0)], x.narrow(0, 1, 2), { accumulate: true }),
    gather: (x) => x.gather(1, index(0, 1, 1).unsqueeze(1)),
    scatterAdd: (x) => x.scatterAdd(0, index(1, 1, 0).unsqueeze(0), x.narrow(0, 0, 1)),
    maskedFill: (x) => x.mul(x.maskedFill(x.gt(0), 3)),
    where: (x) => x.square().where(x.gt(0), x.neg()),
    topk: (x) => x.topk(2)[0],
    sort: (x) => x.sort(0)[0],
    max: (x) => x.max(1)[0],
    amin: (x) => x.amin(0),
    reshape: (x) => x.t().reshape([-1]),
    expand: (x) => x.unsqueeze(0).expand([2, -1, -1]),
    repeat: (x) => x.repeat([2, 2]),
    repeatInterleave: (x) => x.repeatInterleave(2, 0),
    flip: (x) => x.flip([0, 1]),
    roll: (x) => x.roll(1, 0),
    tril: (x) => x.tril(-1),
    diagonal: (x) => x.diagonal(),
    cat: (x) => cat([x, x.sin()], -1),
    stack: (x) => stack(x.unbind(1), 0),
    split: (x) => x.split([1, 2], 0)[1],
    to: (x) => x.to('float64').permute([1, 0]).contiguous(),
  }
  // Apart from each other and from zero, so that no step changes an order.
  const grid = Array.from({ length: 9 }, (_, i) => (i - 4.3) / 2)
  const square = fc
    .shuffledSubarray(grid, { minLength: 9 })
    .map((values): Input[] => [{ shape: [3, 3], values: Float64Array.from(values) }])
  it.each(Object.keys(forms))('%s', (name) => check(square, forms[name]))
})

describe('the check itself', () => {
  it('notices a wrong gradient', () => {
    const wrong: Body = (x) => x.square().add(x.detach().square())
    expect(worst(wrong, [{ shape: [2], values: Float64Array.of(0.5, -1) }])).toBeGreaterThan(0.1)
  })
})
