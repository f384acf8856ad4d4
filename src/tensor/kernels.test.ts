// Every fused operator of native/kernels against the plain composition of operators in float64, forward and gradient.
// The vector code is chosen by the processor; instruction-sets.test.ts runs this file with the other choices.
import { readFileSync } from 'node:fs'
import { arch, platform } from 'node:os'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  asRounded,
  both,
  compare,
  distance,
  double,
  type Fused,
  generator,
  leaf,
} from '../../tests/parity/compare-fused.ts'
import {
  activatedLinear,
  adamw_,
  addLayerNorm,
  addRmsNorm,
  arange,
  attention,
  cat,
  clipGradNorm_,
  type Dtype,
  dropout,
  embedding,
  empty,
  eye,
  fusedGelu,
  Generator,
  geglu,
  gradients,
  gradNorm,
  linear,
  linearCrossEntropy,
  memoryStatistics,
  noGrad,
  ones,
  peakRate,
  randint,
  randn,
  rotary,
  scope,
  stack,
  swiglu,
  type Tensor,
  tensor,
  zeros,
  zerosLike,
} from './index.ts'

const property = (runs: number, body: (...sizes: number[]) => void, ...limits: [number, number][]): void => {
  const sizes = limits.map(([min, max]) => fc.integer({ min, max }))
  fc.assert(
    fc.property(fc.tuple(...sizes), (values) => scope(() => body(...values))),
    { numRuns: runs, seed: 7 },
  )
}

describe('peakRate', () => {
  it('is a rate where the processor has the instructions, 0 where it has not, and refuses other kinds', () => {
    const flags = platform() === 'linux' && arch() === 'x64' ? readFileSync('/proc/cpuinfo', 'utf8') : ''
    const needed = { float32: '', 'bfloat16-tiles': 'amx_bf16', 'int8-tiles': 'amx_int8' }
    for (const kind of ['float32', 'bfloat16', 'int8', 'bfloat16-tiles', 'int8-tiles'] as const) {
      const rate = peakRate(kind)
      expect(Number.isFinite(rate)).toBe(true)
      expect(rate).toBeGreaterThanOrEqual(0)
      // Which vector code runs, and so whether it has bfloat16 and int8, is a choice; tiles are the processor's alone.
      if (kind in needed && !flags.includes(needed[kind as keyof typeof needed])) expect(rate).toBe(0)
    }
    expect(peakRate('float32')).toBeGreaterThan(0)
    expect(() => peakRate('float64')).toThrow(/Expected one of float32, .*int8-tiles as `kind`.*got float64/)
  })
})

describe.each(both)('%s: products', (dtype) => {
  const composed: Fused = (x, w, b) => {
    const y = x.matmul(w.t())
    return b === undefined ? y : y.add(b)
  }
  it('linear: random shapes, with and without bias', () => {
    property(
      12,
      (rows, depth, columns, bias) => {
        const inputs = [leaf([rows, depth], dtype), leaf([columns, depth], dtype, depth ** -0.5)]
        if (bias === 1) inputs.push(leaf([columns], dtype))
        compare(inputs, (x, w, b) => linear(x, w, b), composed)
      },
      [0, 70],
      [1, 90],
      [1, 70],
      [0, 1],
    )
  })
  it('linear: depth in several slices, more than one block of rows, leading dimensions, transposed operands', () => {
    compare([leaf([2, 210, 600], dtype), leaf([35, 600], dtype, 0.04)], (x, w) => linear(x, w), composed)
    compare(
      [leaf([33, 20], dtype), leaf([33, 13], dtype, 0.2)],
      (x, w) => linear(x.t(), w.t()),
      (x, w) => composed(x.t(), w.t()),
    )
  })
  it('linear: rows with gaps between them, more columns than a block, more depth than is packed at once', () => {
    const within: (fused: Fused) => Fused = (fused) => (x, w) => fused(x.narrow(1, 3, 300), w)
    compare([leaf([397, 310], dtype), leaf([50, 300], dtype, 0.05)], within(linear as Fused), within(composed))
    compare([leaf([21, 40], dtype), leaf([1600, 40], dtype, 0.15), leaf([1600], dtype)], linear, composed)
    compare([leaf([19, 44_000], dtype), leaf([50, 44_000], dtype, 0.005)], linear, composed, 3)
  })
  it('linear: weight gradients over many rows: in several slices, with ends that fill no tile', () => {
    compare([leaf([1500, 150], dtype), leaf([170, 150], dtype, 0.08), leaf([170], dtype)], linear, composed, 3)
    compare([leaf([2, 131, 33], dtype), leaf([301, 33], dtype, 0.2)], (x, w) => linear(x, w), composed, 3)
    compare([leaf([320, 64], dtype), leaf([256, 64], dtype, 0.1)], (x, w) => linear(x, w), composed, 3)
  })
  it('linear: many rows: blocks of both operands, a depth in parts, rows of an odd length', () => {
    const composed: Fused = (x, w) => x.matmul(w.t())
    compare([leaf([140, 77], 'bfloat16'), leaf([70, 77], 'bfloat16', 0.1)], (x, w) => linear(x, w), composed, 2)
    compare([leaf([300, 130], 'bfloat16'), leaf([801, 130], 'bfloat16', 0.1)], (x, w) => linear(x, w), composed, 2)
    compare([leaf([140, 3601], 'bfloat16'), leaf([384, 3601], 'bfloat16', 0.02)], (x, w) => linear(x, w), composed, 2)
    const within: Fused = (x, w) => linear(x.narrow(1, 3, 90), w.narrow(1, 1, 90))
    const reference: Fused = (x, w) => composed(x.narrow(1, 3, 90), w.narrow(1, 1, 90))
    compare([leaf([150, 101], 'bfloat16'), leaf([165, 99], 'bfloat16', 0.1)], within, reference, 2)
    // Rows that are the same memory, of the input and of the gradient.
    const repeated: (fused: Fused) => Fused = (fused) => (x, w) => fused(x.expand([160, 96]), w)
    const summed: (fused: Fused) => Fused = (fused) => (x, w) => (fused(x, w) as Tensor).sum(0)
    const w = leaf([70, 96], 'bfloat16', 0.1)
    compare([leaf([1, 96], 'bfloat16'), w], repeated(linear as Fused), repeated(composed), 2)
    compare([leaf([160, 96], 'bfloat16'), w], summed(linear as Fused), summed(composed), 3)
  })

  it('linear: some rows times a matrix that matrix tiles read where it lies', () => {
    compare([leaf([2, 64], dtype), leaf([70, 64], dtype, 0.15)], (x, w) => linear(x, w), composed)
    compare([leaf([16, 96], dtype), leaf([64, 96], dtype, 0.1), leaf([64], dtype)], linear, composed)
    compare([leaf([17, 32], dtype), leaf([129, 32], dtype, 0.2), leaf([129], 'float32')], linear, composed)
    compare([leaf([2, 33, 160], dtype), leaf([300, 160], dtype, 0.08)], (x, w) => linear(x, w), composed)
    const within: (fused: Fused) => Fused = (fused) => (x, w) => fused(x.narrow(1, 3, 96), w.narrow(1, 1, 96))
    compare([leaf([128, 110], dtype), leaf([65, 98], dtype, 0.1)], within(linear as Fused), within(composed))
  })
  it('linear: a float32 weight under any input', () =>
    compare([leaf([9, 20], dtype), leaf([11, 20], 'float32', 0.2), leaf([11], 'float32')], linear, composed))
})

describe.each(both)('%s: norms', (dtype) => {
  const norm = (sum: Tensor, weight: Tensor, bias: Tensor | undefined, centered: boolean): Tensor => {
    const x = centered ? sum.sub(sum.mean(-1, { keepdim: true })) : sum
    const scale = x.square().mean(-1, { keepdim: true }).add(1e-5).rsqrt()
    const y = x.mul(scale).mul(weight)
    return bias === undefined ? y : y.add(bias)
  }
  it.each([
    { residual: true, bias: true },
    { residual: false, bias: true },
    { residual: true, bias: false },
    { residual: false, bias: false },
  ])('layer and RMS norm, residual $residual, bias $bias', ({ residual, bias }) => {
    for (const shape of [
      [0, 5],
      [3, 5],
      [2, 7, 129],
      [70, 64],
    ]) {
      const width = shape[shape.length - 1]
      const inputs = [leaf(shape, dtype), leaf([width], dtype)]
      if (residual) inputs.push(leaf(shape, dtype))
      const sumOf = (x: Tensor, r?: Tensor) => asRounded(r === undefined ? x : x.add(r), dtype)
      compare(
        inputs,
        (x, w, r) => addRmsNorm(x, r ?? null, w, 1e-5),
        (x, w, r) => [sumOf(x, r), norm(sumOf(x, r), w, undefined, false)],
        2,
      )
      const split = (rest: Tensor[]): [Tensor | undefined, Tensor | undefined] =>
        residual ? [rest[0], rest[1]] : [undefined, rest[0]]
      compare(
        bias ? [...inputs, leaf([width], dtype)] : inputs,
        (x, w, ...rest) => addLayerNorm(x, split(rest)[0] ?? null, w, split(rest)[1] ?? null, 1e-5),
        (x, w, ...rest) => {
          const sum = sumOf(x, split(rest)[0])
          return [sum, norm(sum, w, split(rest)[1], true)]
        },
        2,
      )
    }
  })
  it('keeps a float32 residual stream under bfloat16 work', () => {
    const [sum, normalized] = addLayerNorm(leaf([4, 8], dtype), leaf([4, 8], 'float32'), leaf([8], dtype), null, 1e-5)
    expect([sum.dtype, normalized.dtype]).toEqual(['float32', dtype])
  })
})

describe.each(both)('%s: linear cross entropy', (dtype) => {
  const composed =
    (targets: Tensor, vocabSize: number, smoothing: number): Fused =>
    (hidden, weight, bias) => {
      const all = hidden.matmul(weight.t())
      const scores = (bias === undefined ? all : all.add(bias)).narrow(1, 0, vocabSize).logSoftmax(-1)
      const kept = targets.ge(0)
      const picked = scores
        .gather(1, targets.clamp({ min: 0 }).unsqueeze(1))
        .squeeze(1)
        .neg()
      const spread = scores.mean(-1).neg()
      const loss = picked.mul(1 - smoothing).add(spread.mul(smoothing))
      return loss.mul(kept.to({ dtype: 'float64' })).sum()
    }
  it.each([
    { rows: 7, width: 5, padded: 11, vocab: 11, bias: false, smoothing: 0, ignored: 0 },
    { rows: 30, width: 16, padded: 40, vocab: 33, bias: true, smoothing: 0, ignored: 0.5 },
    { rows: 65, width: 33, padded: 100, vocab: 97, bias: false, smoothing: 0.2, ignored: 0 },
    { rows: 100, width: 24, padded: 70, vocab: 65, bias: true, smoothing: 0.1, ignored: 0.85 },
    { rows: 5, width: 8, padded: 9, vocab: 9, bias: true, smoothing: 0, ignored: 1 },
    { rows: 0, width: 8, padded: 9, vocab: 9, bias: false, smoothing: 0, ignored: 0 },
  ])('$rows rows, $vocab of $padded classes, $ignored ignored, smoothing $smoothing', (size) => {
    const { rows, width, padded, vocab, bias, smoothing, ignored } = size
    const drawn = randint(0, vocab, [rows], { generator, dtype: 'int64' })
    const targets = drawn.maskedFill(zeros([rows]).uniform_(0, 1, { generator }).lt(ignored), -100)
    const inputs = [leaf([rows, width], dtype), leaf([padded, width], dtype, width ** -0.5)]
    if (bias) inputs.push(leaf([padded], dtype))
    const fused: Fused = (hidden, weight, offset) =>
      linearCrossEntropy(hidden, weight, offset ?? null, targets, {
        vocabSize: vocab,
        labelSmoothing: smoothing,
        chunkSize: 16,
      })[0]
    compare(inputs, fused, composed(targets, vocab, smoothing), 2)
    const [loss, count] = linearCrossEntropy(inputs[0], inputs[1], null, targets, { vocabSize: vocab })
    expect([loss.dtype, count.dtype]).toEqual(['float32', 'float32'])
    expect(count.item()).toBe(targets.ge(0).sum().item())
  })
  it('gives the padding rows of the weight exactly no gradient, and none to a hidden row that is ignored', () => {
    const hidden = leaf([4, 6], dtype)
    const weight = leaf([12, 6], dtype)
    const targets = tensor([1, -100, 3, 9], { dtype: 'int64' })
    const [loss] = linearCrossEntropy(hidden, weight, null, targets, { vocabSize: 10 })
    const [ofHidden, ofWeight] = gradients([loss], [hidden, weight])
    expect(ofWeight?.narrow(0, 10, 2).abs().max().item()).toBe(0)
    expect(ofHidden?.narrow(0, 1, 1).abs().max().item()).toBe(0)
  })
  it('takes no memory for gradients of what is not trained', () => {
    const [rows, width] = [4096, 64]
    const hidden = zeros([rows, width], { dtype })
    const frozen = leaf([12, width], dtype)
    const bias = zeros([12], { dtype })
    const targets = zeros([rows], { dtype: 'int64' })
    const before = memoryStatistics().inUse
    const [loss] = linearCrossEntropy(hidden, frozen, bias, targets)
    expect(memoryStatistics().inUse - before).toBeLessThan(rows * width)
    loss.backward()
    expect(frozen.grad).toBeDefined()
    expect(bias.grad).toBeUndefined()
  })
  it('gives the same loss without gradients', () => {
    const hidden = leaf([9, 6], dtype)
    const weight = leaf([12, 6], dtype)
    const targets = arange(9, { dtype: 'int64' })
    const loss = () => linearCrossEntropy(hidden, weight, null, targets)[0].item()
    expect(noGrad(loss)).toBe(loss())
  })
})

describe.each(both)('%s: rotary and embedding', (dtype) => {
  it.each([
    { size: 64, rotated: 64, interleaved: false, perBatch: false },
    { size: 10, rotated: 6, interleaved: false, perBatch: true },
    { size: 10, rotated: 6, interleaved: true, perBatch: false },
    { size: 8, rotated: 8, interleaved: true, perBatch: true },
  ])('rotary: $rotated of $size, interleaved $interleaved, angles per batch row $perBatch', (kind) => {
    const { size, rotated, interleaved, perBatch } = kind
    const angles = randn(perBatch ? [2, 5, rotated / 2] : [5, rotated / 2], { generator })
    const table = (x: Tensor) => (perBatch ? double(x) : double(x).unsqueeze(0)).unsqueeze(2)
    const [cos, sin] = [table(angles.cos()), table(angles.sin())]
    compare(
      [leaf([2, 5, 3, size], dtype)],
      (x) => rotary(x, angles.cos(), angles.sin(), { interleaved }),
      (x) => {
        const turned = x.narrow(3, 0, rotated)
        const pairs = interleaved
          ? turned.reshape([2, 5, 3, rotated / 2, 2])
          : turned.reshape([2, 5, 3, 2, rotated / 2])
        const dim = interleaved ? 4 : 3
        const [a, b] = [pairs.select(dim, 0), pairs.select(dim, 1)]
        const result = stack([a.mul(cos).sub(b.mul(sin)), b.mul(cos).add(a.mul(sin))], dim).reshape([2, 5, 3, rotated])
        return cat([result, x.narrow(3, rotated, size - rotated)], 3)
      },
    )
  })
  it('embedding: repeated ids, padding, no ids', () => {
    for (const { shape, paddingIdx } of [
      { shape: [3, 29], paddingIdx: -1 },
      { shape: [40], paddingIdx: 3 },
      { shape: [0], paddingIdx: -1 },
    ]) {
      const ids = randint(0, 11, shape, { generator, dtype: 'int64' })
      compare(
        [leaf([11, 17], dtype)],
        (weight) => embedding(weight, ids, { paddingIdx }),
        (weight) => {
          const rows = weight.indexSelect(0, ids.reshape([-1]))
          const learns = ids.reshape([-1]).ne(paddingIdx).unsqueeze(1).to({ dtype: 'float64' })
          return rows
            .mul(learns)
            .add(rows.detach().mul(learns.neg().add(1)))
            .reshape([...shape, 17])
        },
      )
    }
  })
})

type Seen = { causal?: boolean; window?: number; mask?: Tensor; kept?: Tensor; scale?: number; softcap?: number }
const composedAttention =
  ({ causal = false, window = 0, mask, kept, scale, softcap }: Seen): Fused =>
  (query, key, value) => {
    const [, T, H, D] = query.shape
    const [, S, K] = key.shape
    const group = (x: Tensor) =>
      x
        .unsqueeze(3)
        .expand([x.shape[0], S, K, H / K, D])
        .reshape([x.shape[0], S, H, D])
        .permute([0, 2, 1, 3])
    const products = query
      .permute([0, 2, 1, 3])
      .matmul(group(key).transpose(2, 3))
      .mul(scale ?? D ** -0.5)
    const scores = softcap === undefined ? products : products.div(softcap).tanh().mul(softcap)
    const distances = arange(T)
      .add(S - T)
      .unsqueeze(1)
      .sub(arange(S).unsqueeze(0))
    let seen = distances.eq(distances)
    if (causal) seen = seen.logicalAnd(distances.ge(0))
    if (window > 0) seen = seen.logicalAnd(distances.abs().lt(window))
    if (mask?.dtype === 'bool') seen = seen.logicalAnd(mask)
    const masked = mask === undefined || mask.dtype === 'bool' ? scores : scores.add(double(mask))
    const top = S === 0 ? 0 : masked.detach().amax(-1, { keepdim: true })
    const powers = masked
      .sub(top)
      .exp()
      .mul(seen.to({ dtype: 'float64' }))
    const sums = powers.sum(-1, { keepdim: true })
    const weights = powers.div(sums.add(sums.eq(0).to({ dtype: 'float64' })))
    return (kept === undefined ? weights : weights.mul(kept)).matmul(group(value)).permute([0, 2, 1, 3])
  }
const heads = (sizes: { B?: number; T: number; S?: number; H?: number; K?: number; D: number }, dtype: Dtype) => {
  const { B = 1, T, S = T, H = 1, K = H, D } = sizes
  return [leaf([B, T, H, D], dtype), leaf([B, S, K, D], dtype), leaf([B, S, K, D], dtype)]
}

describe.each(both)('%s: attention', (dtype) => {
  it.each([
    { B: 2, T: 5, H: 4, K: 2, D: 8 },
    { B: 2, T: 33, H: 2, K: 2, D: 64 },
    { B: 1, T: 100, S: 230, H: 2, K: 1, D: 20 },
    { B: 1, T: 205, H: 1, K: 1, D: 16 },
    { B: 2, T: 7, S: 3, H: 2, K: 1, D: 5 },
    { B: 1, T: 3, S: 0, D: 4 },
    { B: 1, T: 9, H: 2, K: 2, D: 256 },
    { B: 3, T: 13, H: 3, K: 3, D: 32 },
    { B: 1, T: 17, S: 49, H: 2, K: 1, D: 40 },
  ])('plain, causal, window and masks at %o', (sizes) => {
    const { B, T, S = T, H = 1 } = sizes
    const variants: Seen[] = [
      {},
      { causal: true, scale: 0.3 },
      { causal: true, scale: -0.2 },
      { scale: 0 },
      { causal: true, window: 7 },
      { window: 5 },
      { mask: randn([B, 1, T, S], { generator }).gt(-0.5) },
      { mask: randn([B, 1, 1, S], { generator }).gt(-0.5), causal: true },
      { mask: randn([H, T, S], { generator }) },
      { causal: true, window: 7, softcap: 0.7 },
      { mask: randn([H, T, S], { generator }), softcap: 3 },
    ]
    for (const options of variants)
      compare(heads(sizes, dtype), (q, k, v) => attention(q, k, v, options), composedAttention(options), 2)
  })
  it('reads the views of a packed projection, and packed sequences as separate ones', () => {
    compare(
      [leaf([2, 40, 3, 2, 16], dtype)],
      (x) => attention(x.select(2, 0), x.select(2, 1), x.select(2, 2), { causal: true }),
      (x) => composedAttention({ causal: true })(x.select(2, 0), x.select(2, 1), x.select(2, 2)),
      2,
    )
    const starts = [0, 5, 5, 40, 100]
    const parts = (x: Tensor) => starts.slice(1).map((end, i) => x.narrow(1, starts[i], end - starts[i]))
    compare(
      heads({ T: 100, H: 2, D: 16 }, dtype),
      (q, k, v) => attention(q, k, v, { queryStarts: tensor(starts, { dtype: 'int64' }), causal: true }),
      (q, k, v) => {
        const [qs, ks, vs] = [parts(q), parts(k), parts(v)]
        const full = qs.map((x, i) => composedAttention({ causal: true })(x, ks[i], vs[i]) as Tensor)
        return cat(full, 1)
      },
      2,
    )
  })
  it('dropout: scales the remaining probabilities, with the same mask in backward', () => {
    const size = 48
    const options = () => ({ dropout: 0.3, generator: new Generator(5) })
    // With equal scores and the unit matrix as values, the output shows which probabilities stay.
    const nothing = zeros([1, size, 2, size], { dtype })
    const unit = eye(size, size, { dtype }).reshape([1, size, 1, size]).expand([1, size, 2, size])
    const shown = attention(nothing, nothing, unit, options()).permute([0, 2, 1, 3])
    const share = shown.gt(0).to({ dtype: 'float32' }).mean().item()
    expect(Math.abs(share - 0.7)).toBeLessThan(0.03)
    const kept = double(shown.gt(0)).div(0.7)
    compare(
      heads({ T: size, H: 2, D: 16 }, dtype),
      (q, k, v) => attention(q, k, v, options()),
      composedAttention({ kept }),
      2,
    )
  })
  it.each([3, 40])('gives zeros, and no gradient, to one of %i queries whose keys are all masked', (T) => {
    const inputs = heads({ T, D: 8 }, dtype)
    const seen = Array.from({ length: T }, (_, i) => (i === 1 ? 0 : 1))
    const output = attention(inputs[0], inputs[1], inputs[2], { mask: tensor(seen).ne(0).reshape([T, 1]) })
    expect(output.select(1, 1).abs().max().item()).toBe(0)
    const [ofQuery] = gradients([output.sum()], inputs)
    expect(ofQuery?.select(1, 1).abs().max().item()).toBe(0)
    expect(ofQuery?.isnan().sum().item()).toBe(0)
  })
  it('gives no gradient to keys that no query sees', () => {
    const [query, key, value] = heads({ T: 30, D: 8 }, dtype)
    const long = (values: number[]) => tensor(values, { dtype: 'int64' })
    const output = attention(query.narrow(1, 0, 20), key, value, {
      queryStarts: long([0, 20, 20]),
      keyStarts: long([0, 18, 30]),
    })
    const found = gradients([output.sum()], [key, value])
    for (const gradient of found) {
      expect(gradient?.narrow(1, 18, 12).abs().max().item()).toBe(0)
    }
    expect(found[1]?.narrow(1, 0, 18).abs().max().item()).toBeGreaterThan(0)
  })
})

describe('dropout', () => {
  it.each([0.1, 0.5, 0.9])('drops a share of %f, evenly, and the backward uses the same mask', (p) => {
    const input = ones([1000, 1003])
    input.requiresGrad = true
    const output = dropout(input, p, { generator: new Generator(3) })
    const dropped = output.eq(0).to({ dtype: 'float32' })
    expect(Math.abs(dropped.mean().item() - p)).toBeLessThan(0.002)
    // Five standard deviations of the mean of a row or column of independent draws.
    const limit = 5 * Math.sqrt((p * (1 - p)) / 1000)
    for (const dim of [0, 1]) expect(dropped.mean(dim).sub(p).abs().max().item()).toBeLessThan(limit)
    expect(output.max().item()).toBeCloseTo(1 / (1 - p), 4)
    const [gradient] = gradients([output.sum()], [input])
    expect(gradient?.equal(output)).toBe(true)
  })
  it('is a function of the generator, which it advances', () => {
    const stream = new Generator(11)
    const state = stream.state()
    const draw = () => dropout(ones([64, 64]), 0.5, { generator: stream })
    const [first, second] = [draw(), draw()]
    expect(first.equal(second)).toBe(false)
    stream.setState(state)
    expect(draw().equal(first)).toBe(true)
  })
})

describe('optimizer', () => {
  it.each(both)('adamw_ with %s gradients follows the formula over five steps, and writes the copies', (dtype) => {
    const shapes = [[3, 5], [100, 77], [1], [0]]
    const params = shapes.map((shape) => randn(shape, { generator }))
    const expected = params.map((p) => double(p))
    const zerosOf = (list: Tensor[]) => list.map((x) => zerosLike(x))
    const [m, v, mirrorM, mirrorV] = [zerosOf(params), zerosOf(params), zerosOf(expected), zerosOf(expected)]
    const copies = params.map((p, i) => (i % 2 === 0 ? empty(p.shape, { dtype: 'bfloat16' }) : empty([0])))
    const rates = [1e-2, 2e-2, 3e-2, 4e-2]
    const decays = [0, 0.1, 0.2, 0.3]
    const shared = {
      ...{ expAvgs: m, expAvgSqs: v, workingCopies: copies, learningRates: rates, weightDecays: decays },
      ...{ beta1: 0.9, beta2: 0.95, eps: 1e-8 },
    }
    for (let step = 1; step <= 5; step++) {
      const grads = params.map((p) => randn(p.shape, { generator }).to({ dtype }))
      adamw_(params, { ...shared, grads, step, gradScale: tensor(0.5) })
      for (const [i, p] of expected.entries()) {
        const g = double(grads[i]).mul(0.5)
        p.mul_(1 - rates[i] * decays[i])
        mirrorM[i].mul_(0.9).add_(g.mul(0.1))
        mirrorV[i].mul_(0.95).add_(g.square().mul(0.05))
        const root = mirrorV[i]
          .div(1 - 0.95 ** step)
          .sqrt()
          .add(1e-8)
        p.sub_(mirrorM[i].mul(rates[i] / (1 - 0.9 ** step)).div(root))
      }
    }
    for (const [i, p] of params.entries()) expect(distance(p, expected[i])).toBeLessThan(2e-6)
    expect(copies[0].equal(params[0].to({ dtype: 'bfloat16' }))).toBe(true)
    const before = params.map((p) => p.clone())
    adamw_(params, { ...shared, grads: params, step: 6, gradScale: tensor(Number.NaN) })
    for (const [i, p] of params.entries()) expect(p.equal(before[i])).toBe(true)
  })
  it('makes backward through an updated weight an error', () => {
    const weight = leaf([3, 3], 'float32')
    const loss = weight.mul(weight).sum()
    const rest = () => [zeros([3, 3])]
    const lists = { expAvgs: rest(), expAvgSqs: rest(), workingCopies: [empty([0])], grads: rest() }
    const rates = { learningRates: [0.1], weightDecays: [0.1] }
    noGrad(() => adamw_([weight], { ...lists, ...rates, beta1: 0.9, beta2: 0.99, eps: 1e-8, step: 1 }))
    expect(() => loss.backward()).toThrow(/modified by an inplace operation/)
  })
  it.each(both)('%s gradients: global norm, clipping in place, norms that are not finite', (dtype) => {
    const grads = [[100, 77], [5], [0], [9, 4]].map((shape) => randn(shape, { generator }).to({ dtype }))
    grads.push(randn([6, 7], { generator }).to({ dtype }).t())
    const norm = Math.sqrt(grads.reduce((sum, g) => sum + double(g).square().sum().item(), 0))
    expect(gradNorm(grads).item() / norm).toBeCloseTo(1, 6)
    const before = grads.map((g) => double(g))
    expect(clipGradNorm_(grads, 1e9).item() / norm).toBeCloseTo(1, 6)
    for (const [i, g] of grads.entries()) expect(distance(g, before[i])).toBe(0)
    expect(clipGradNorm_(grads, 2, 0.5).item() / norm).toBeCloseTo(0.5, 6)
    for (const [i, g] of grads.entries())
      expect(distance(g, before[i].mul(2 / norm))).toBeLessThan(dtype === 'bfloat16' ? 4e-3 : 1e-6)
    expect(gradNorm([tensor([1, Number.NaN])]).item()).toBeNaN()
    expect(gradNorm([tensor([1, Number.POSITIVE_INFINITY])]).item()).toBe(Number.POSITIVE_INFINITY)
    expect(gradNorm([]).item()).toBe(0)
  })
})

describe('NaN', () => {
  it('is propagated by every fused operator', () => {
    const bad = ones([1, 3, 1, 40])
    bad.select(1, 1).fill_(Number.NaN)
    const flat = bad.reshape([3, 40])
    const fine = ones([40])
    const results = {
      linear: linear(flat, ones([2, 40])),
      fusedGelu: fusedGelu(flat),
      swiglu: swiglu(flat, flat),
      geglu: geglu(flat, flat),
      activatedLinear: activatedLinear(flat, flat, ones([2, 40]), null, 'silu'),
      addLayerNorm: addLayerNorm(flat, null, fine, null, 1e-5)[1],
      addRmsNorm: addRmsNorm(flat, null, fine, 1e-5)[1],
      attention: attention(bad, ones([1, 3, 1, 40]), ones([1, 3, 1, 40])),
      linearCrossEntropy: linearCrossEntropy(flat, ones([7, 40]), null, zeros([3], { dtype: 'int64' }))[0],
      bfloat16: flat.to({ dtype: 'bfloat16' }).matmul(ones([40, 1], { dtype: 'bfloat16' })),
    }
    for (const [name, result] of Object.entries(results)) expect(result.isnan().sum().item(), name).toBeGreaterThan(0)
  })
})

describe('the same call twice', () => {
  it('gives equal bits in values and gradients', () => {
    const hidden = leaf([300, 96], 'bfloat16')
    const weight = leaf([130, 96], 'bfloat16')
    const targets = randint(0, 130, [300], { generator, dtype: 'int64' })
    const once = () => {
      const [, normalized] = addLayerNorm(hidden, null, leafOnes, null, 1e-5)
      const view = normalized.reshape([1, 300, 2, 48])
      const mixed = attention(view, view, view, { causal: true, dropout: 0.1, generator: new Generator(1) })
      const [loss] = linearCrossEntropy(mixed.reshape([300, 96]), weight, null, targets)
      return [loss, ...gradients([loss], [hidden, weight, leafOnes])] as Tensor[]
    }
    const leafOnes = leaf([96], 'bfloat16')
    const [first, second] = [once(), once()]
    for (const [i, x] of first.entries()) expect(x.equal(second[i])).toBe(true)
  })
})
