// The compositions of the fused operators, on the strict device, against the kernels of the CPU: values and gradients. Dropout drops
// the same elements on both.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createRandom } from '../../src/core/index.ts'
import { type BlockFormat, BlockMatrix, blockFormats, type IntegerFormat, QuantizedMatrix } from '../../src/nn/index.ts'
import {
  activatedLinear,
  adamw_,
  addLayerNorm,
  addRmsNorm,
  attention,
  chooseTokens,
  clipGradNorm_,
  type Dtype,
  dropout,
  embedding,
  empty,
  enableStrictDevice,
  fusedGelu,
  Generator,
  geglu,
  gradients,
  gradNorm,
  linear,
  linearCrossEntropy,
  lowRankLinear,
  noGrad,
  randn,
  rotary,
  roundedLinear,
  scope,
  softCap,
  swiglu,
  Tensor,
  tensor,
  tokenLogProbs,
  zerosLike,
} from '../../src/tensor/index.ts'
import { isFull } from '../grid.ts'
import { both, distance, generator, leaf } from './compare-fused.ts'

enableStrictDevice()

const device = 'strict'

/** A copy on the device that has a gradient where the original has one. */
const there = (x: Tensor): Tensor => {
  const copy = x.detach().to({ device })
  copy.requiresGrad = x.requiresGrad
  return copy
}
const back = (x: Tensor): Tensor => x.detach().to({ device: 'cpu' })

type Operator = (inputs: Tensor[], place: (x: Tensor) => Tensor) => Tensor | readonly Tensor[]

/** Values and gradients of an operator on both devices. @param place puts other arguments on the device of the inputs */
const agree = (inputs: readonly Tensor[], operator: Operator, limit = 1): void =>
  scope(() => {
    const listed = (result: Tensor | readonly Tensor[]) => (result instanceof Tensor ? [result] : [...result])
    const half = inputs.some(({ dtype }) => dtype === 'bfloat16')
    const tolerance = (half ? 1.6e-2 : 2e-6) * limit
    const expected = listed(operator([...inputs], (x) => x))
    const copies = inputs.map(there)
    const actual = listed(operator(copies, there))
    for (const [i, one] of actual.entries()) {
      expect(one.device).toBe('strict:0')
      expect(one.dtype).toBe(expected[i].dtype)
      expect(distance(back(one), expected[i]), `output ${i}`).toBeLessThan(tolerance)
    }
    const wanted = expected.flatMap(({ requiresGrad }, i) => (requiresGrad ? [i] : []))
    expect(actual.flatMap(({ requiresGrad }, i) => (requiresGrad ? [i] : []))).toEqual(wanted)
    const leaves = inputs.flatMap(({ requiresGrad }, i) => (requiresGrad ? [i] : []))
    if (wanted.length === 0 || leaves.length === 0) return
    const weights = wanted.map((i) => randn(expected[i].shape, { generator }).to({ dtype: expected[i].dtype }))
    const gradientsOf = (outputs: readonly Tensor[], from: readonly Tensor[], factors: Tensor[]) =>
      gradients(
        wanted.map((i) => outputs[i]),
        leaves.map((i) => from[i]),
        { gradients: factors },
      )
    const mine = gradientsOf(actual, copies, weights.map(there))
    const theirs = gradientsOf(expected, inputs, weights)
    for (const [i, one] of theirs.entries()) {
      const own = mine[i] ?? zerosLike(copies[leaves[i]])
      expect(own.dtype).toBe(inputs[leaves[i]].dtype)
      expect(distance(back(own), one ?? zerosLike(inputs[leaves[i]])), `gradient ${i}`).toBeLessThan(tolerance)
    }
  })

/** Offsets of the float16 numbers of a block, and its bytes. */
const halvesOf: Record<BlockFormat, { bytes: number; values: number; halves: number[] }> = {
  Q4_0: { bytes: 18, values: 32, halves: [0] },
  Q4_1: { bytes: 20, values: 32, halves: [0, 2] },
  Q5_0: { bytes: 22, values: 32, halves: [0] },
  Q5_1: { bytes: 24, values: 32, halves: [0, 2] },
  Q8_0: { bytes: 34, values: 32, halves: [0] },
  Q4_K: { bytes: 144, values: 256, halves: [0, 2] },
  Q5_K: { bytes: 176, values: 256, halves: [0, 2] },
  Q6_K: { bytes: 210, values: 256, halves: [208] },
}

/** Blocks of GGUF files, and int8 by rows. */
const integerFormats: readonly IntegerFormat[] = [...blockFormats, 'int8']
/** The bits of a scale below 0.01. */
const smallScale = (format: IntegerFormat) => (format === 'int8' ? 0x3b00 : 0x1c00)

interface RandomMatrix {
  outputs: number
  inputs: number
  /** The bits of the next float16 number; of int8 the upper half of the next scale, whose lower half is random. */
  scales: (random: () => number) => number
  order?: Tensor
}

/** A matrix of random codes. */
const blockMatrix = (format: IntegerFormat, { outputs, inputs, scales, order }: RandomMatrix): BlockMatrix => {
  // A row of int8 is one block.
  const byRow = { bytes: inputs + 4, values: inputs, halves: [inputs + 2] }
  const { bytes, values, halves } = format === 'int8' ? byRow : halvesOf[format]
  const random = createRandom(`blocks/${format}`)
  const rowBytes = (inputs / values) * bytes
  const blocks = Uint8Array.from({ length: outputs * rowBytes }, () => random.integer(256))
  for (let at = 0; at < blocks.length; at += bytes)
    for (const offset of halves) {
      const bits = scales(() => random.float())
      blocks[at + offset] = bits & 255
      blocks[at + offset + 1] = bits >> 8
    }
  const shape = [order?.size ?? outputs, inputs] as const
  return new BlockMatrix({ format, shape, blocks: Tensor.from(blocks, { shape: [outputs, rowBytes] }), order })
}

const ids = (values: readonly number[], shape: readonly number[] = [values.length]): Tensor =>
  Tensor.from(BigInt64Array.from(values, BigInt), { shape })

describe.each(both)('%s', (dtype) => {
  const other: Dtype = dtype === 'float32' ? 'bfloat16' : 'float32'

  it('linear', () => {
    agree([leaf([2, 5, 8], dtype), leaf([6, 8], dtype), leaf([6], dtype)], ([x, w, b]) => linear(x, w, b))
    agree([leaf([3, 8], dtype), leaf([6, 8], dtype)], ([x, w]) => linear(x, w))
    agree([leaf([3, 8], dtype), leaf([6, 8], other, 0.3), leaf([6], other)], ([x, w, b]) => linear(x, w, b))
    agree([leaf([0, 8], dtype), leaf([6, 8], dtype)], ([x, w]) => linear(x, w))
    agree([leaf([5, 8], dtype), leaf([6, 8], other, 0.3), leaf([6], other)], ([x, w, b]) => roundedLinear(x, w, b))
    const factors = [leaf([3, 8], dtype, 0.3), leaf([6, 3], dtype, 0.5)]
    for (const bias of [[leaf([6], dtype)], []])
      agree([leaf([2, 5, 8], dtype), leaf([6, 8], dtype), ...factors, ...bias], ([x, w, a, b, c]) =>
        lowRankLinear(x, w, a, b, 1.5, c),
      )
  })

  it('products with quantised matrices, whose scales may be quantised too', () => {
    // More than one block of scales, and a matrix whose end fills neither a block nor a byte.
    for (const [rows, columns] of [
      [300, 64],
      [7, 9],
    ])
      for (const format of ['int8', 'nf4', 'nf4-double'] as const) {
        const values = randn([rows, columns], { generator })
        const kept = new Map(
          [false, true].map((away) => [away, new QuantizedMatrix(away ? there(values) : values, format)]),
        )
        const matrixBeside = (x: Tensor) => kept.get(x.device !== 'cpu') as QuantizedMatrix
        const [x, bias] = [leaf([2, 5, columns], dtype), leaf([rows], dtype)]
        agree([x, bias], ([x, bias]) => matrixBeside(x).multiply(x, bias))
        agree([x], ([x]) => matrixBeside(x).multiply(x, null))
        const all = [x, leaf([3, columns], dtype), leaf([rows, 3], dtype), bias]
        agree(all, ([x, a, b, bias]) => matrixBeside(x).multiplyWithLowRank(x, { a, b, scale: 0.5 }, bias))
        agree([x], ([x]) => matrixBeside(x).dequantize().mul(1))
      }
  })

  it.each(integerFormats)('products with matrices of %s, with inputs in int8 too', (format) => {
    const inputs = 512
    const kept = new Map(
      [false, true].map((away) => {
        const matrix = blockMatrix(format, { outputs: 70, inputs, scales: () => smallScale(format) })
        if (away) matrix.move(device)
        return [away, matrix]
      }),
    )
    const beside = (x: Tensor) => kept.get(x.device !== 'cpu') as BlockMatrix
    const [x, bias] = [leaf([2, 5, inputs], dtype), leaf([70], dtype)]
    agree([x, bias], ([x, bias]) => beside(x).multiply(x, bias))
    agree([x.detach()], ([x]) => beside(x).multiply(x, null))
    agree([leaf([0, inputs], dtype)], ([x]) => beside(x).multiply(x, null))
    const zeros = x.detach().clone()
    zeros.select(0, 1).zero_()
    agree([zeros], ([x]) => beside(x).multiply(x, null))
  })

  it('activations', () => {
    for (const approximate of ['none', 'tanh'] as const)
      agree([leaf([7, 33], dtype, 2)], ([x]) => fusedGelu(x, { approximate }))
    agree([leaf([4, 19], dtype, 2), leaf([4, 19], dtype)], ([gate, up]) => swiglu(gate, up))
    for (const approximate of ['none', 'tanh'] as const)
      agree([leaf([4, 19], dtype, 2), leaf([4, 19], dtype)], ([gate, up]) => geglu(gate, up, { approximate }))
    const [gate, up, w, b] = [
      leaf([4, 19], dtype, 2),
      leaf([4, 19], dtype),
      leaf([5, 19], dtype, 0.3),
      leaf([5], dtype),
    ]
    for (const activation of ['silu', 'gelu', 'gelu-tanh'] as const) {
      agree([gate, up, w, b], ([gate, up, w, b]) => activatedLinear(gate, up, w, b, activation))
      agree([gate, w], ([gate, w]) => activatedLinear(gate, null, w, null, activation))
    }
    agree([leaf([4, 19], dtype, 6)], ([x]) => softCap(x, 3))
    agree([leaf([4, 19], dtype)], ([x]) => softCap(x, 0))
  })

  it('norms, with and without residual and bias, and of mixed types', () => {
    const [x, r, w, b] = [leaf([3, 4, 24], dtype), leaf([3, 4, 24], dtype), leaf([24], dtype), leaf([24], dtype)]
    agree([x, r, w, b], ([x, r, w, b]) => addLayerNorm(x, r, w, b, 1e-5))
    agree([x, w, b], ([x, w, b]) => addLayerNorm(x, null, w, b, 1e-5))
    agree([x, r, w], ([x, r, w]) => addLayerNorm(x, r, w, null, 1e-5))
    agree([x, r, w], ([x, r, w]) => addRmsNorm(x, r, w, 1e-6))
    agree([x, w], ([x, w]) => addRmsNorm(x, null, w, 1e-6))
    agree([x, leaf([3, 4, 24], other), leaf([24], 'float32')], ([x, r, w]) => addRmsNorm(x, r, w, 1e-6))
  })

  it('embedding', () => {
    const rows = ids([3, 0, 9, 3, 3, 1], [2, 3])
    agree([leaf([10, 6], dtype)], ([w], place) => embedding(w, place(rows)))
    agree([leaf([10, 6], dtype)], ([w], place) => embedding(w, place(rows), { paddingIdx: 3 }))
  })

  it.each([false, true])('rotary, interleaved: %s', (interleaved) => {
    for (const shape of [
      [5, 4],
      [2, 5, 4],
      [5, 2],
    ]) {
      const [cos, sin] = [randn(shape, { generator }), randn(shape, { generator })]
      agree([leaf([2, 5, 3, 8], dtype)], ([x], place) => rotary(x, place(cos), place(sin), { interleaved }))
    }
  })

  it('dropout drops the same elements', () => {
    const keys = ids([5, 2 ** 40, 7, 2 ** 52 + 1, 0, 9])
    for (const p of [0, 0.1, 0.7]) {
      agree([leaf([2, 3, 41], dtype)], ([x], place) =>
        dropout(x, p, { generator: new Generator(4), rowKeys: place(keys) }),
      )
      agree([leaf([5, 77], dtype)], ([x]) => dropout(x, p, { generator: new Generator(5) }))
    }
    const zerosOf = (place: (x: Tensor) => Tensor) =>
      dropout(place(leaf([6, 500], dtype).detach().abs().add(1)), 0.5, {
        generator: new Generator(6),
        rowKeys: place(keys),
      })
        .to({ device: 'cpu' })
        .eq(0)
    expect(zerosOf(there).equal(zerosOf((x) => x))).toBe(true)
  })

  describe('attention', () => {
    const heads = (queries: number, keys: number, options: { heads?: number; kv?: number; batch?: number } = {}) => {
      const { heads: count = 4, kv = 2, batch = 2 } = options
      return [
        leaf([batch, queries, count, 8], dtype),
        leaf([batch, keys, kv, 8], dtype),
        leaf([batch, keys, kv, 8], dtype),
      ]
    }

    it('of batch rows: causal, windows, grouped heads, scale, cap', () => {
      for (const options of [
        {},
        { causal: true },
        { causal: true, window: 3 },
        { window: 2 },
        { scale: 0.5, softcap: 2 },
        { causal: true, softcap: 1.5 },
      ])
        for (const [queries, keys] of [
          [6, 6],
          [3, 7],
        ])
          agree(heads(queries, keys), ([q, k, v]) => attention(q, k, v, options))
    })

    it('with masks, and rows that see nothing', () => {
      const seen = tensor(
        [
          [1, 1, 1, 0, 0],
          [0, 0, 0, 0, 0],
        ],
        { dtype: 'bool' },
      ).view([2, 1, 1, 5])
      agree(heads(5, 5), ([q, k, v], place) => attention(q, k, v, { mask: place(seen), causal: true }))
      const added = randn([2, 4, 5, 5], { generator })
      added.select(0, 1).select(0, 2).fill_(Number.NEGATIVE_INFINITY)
      agree(heads(5, 5), ([q, k, v], place) => attention(q, k, v, { mask: place(added) }))
    })

    it('of packed sequences, also with keys of their own', () => {
      const queryStarts = ids([0, 4, 4, 5, 11])
      for (const options of [{}, { causal: true }, { causal: true, window: 2 }, { softcap: 2 }])
        agree(heads(11, 11, { batch: 1 }), ([q, k, v]) => attention(q, k, v, { queryStarts, ...options }))
      const keyStarts = ids([0, 6, 8, 8, 15])
      agree(heads(11, 15, { batch: 1 }), ([q, k, v]) => attention(q, k, v, { queryStarts, keyStarts, causal: true }))
    })

    it('over rows of a cache', () => {
      const [q, k, v] = [...heads(7, 9, { batch: 1 }).slice(0, 1), ...heads(7, 9, { batch: 3 }).slice(1)]
      const [queryStarts, keyRows, keyLengths] = [ids([0, 2, 3, 7]), ids([2, 0, 2]), ids([5, 9, 6])]
      noGrad(() =>
        agree(
          [q, k, v].map((x) => x.detach()),
          ([q, k, v]) => attention(q, k, v, { queryStarts, keyRows, keyLengths, causal: true }),
        ),
      )
    })

    it('with dropout, which drops the same weights', () => {
      const options = { dropout: 0.4, causal: true }
      const rowKeys = ids([5, 2, 2 ** 36 + 1, 7, 0, 9, 11, 3, 2 ** 20, 1])
      agree(heads(5, 5), ([q, k, v]) => attention(q, k, v, { ...options, generator: new Generator(8) }))
      agree(heads(5, 5), ([q, k, v], place) =>
        attention(q, k, v, { ...options, generator: new Generator(8), rowKeys: place(rowKeys) }),
      )
      agree(heads(10, 10, { batch: 1 }), ([q, k, v], place) =>
        attention(q, k, v, {
          ...options,
          queryStarts: ids([0, 3, 10]),
          generator: new Generator(8),
          rowKeys: place(rowKeys),
        }),
      )
    })
  })

  describe('losses over a vocabulary', () => {
    const [rows, width, vocab] = [9, 12, 21]
    const parts = () => [leaf([rows, width], dtype), leaf([vocab, width], dtype, 0.5), leaf([vocab], dtype)]
    const targets = ids([3, -100, 0, 19, 7, 7, -100, 12, 1])

    it('cross entropy in chunks, with ignored rows, smoothing, padding classes and a cap', () => {
      for (const options of [
        {},
        { chunkSize: 4 },
        { chunkSize: 2, labelSmoothing: 0.2, vocabSize: 20 },
        { softcap: 2, chunkSize: 5 },
      ])
        agree(parts(), ([x, w, b], place) => linearCrossEntropy(x, w, b, place(targets), options), 4)
      agree(parts().slice(0, 2), ([x, w], place) => linearCrossEntropy(x, w, null, place(targets)), 4)
      agree(
        parts().map((part, i) => (i === 0 ? part : part.detach())),
        ([x, w, b], place) => linearCrossEntropy(x, w, b, place(targets), { chunkSize: 4 }),
        4,
      )
    })

    it('log-probabilities of tokens in chunks, with temperature and cap', () => {
      const known = ids([3, 2, 0, 19, 7, 7, 5, 12, 1])
      for (const options of [
        {},
        { chunkSize: 4 },
        { temperature: 0.7, chunkSize: 2 },
        { softcap: 2, temperature: 1.3 },
      ])
        agree(parts(), ([x, w, b], place) => tokenLogProbs(x, w, b, place(known), options), 4)
      agree(
        parts().map((part, i) => (i === 0 ? part : part.detach())),
        ([x, w, b], place) => tokenLogProbs(x, w, b, place(known), { chunkSize: 4 }),
        4,
      )
    })
  })
})

describe.each(integerFormats)('a matrix of %s', (format) => {
  const bits = (x: Tensor) => Buffer.from(back(x).contiguous().toFloat32Array().buffer).toString('base64')

  it('has the bits of the kernel, whatever its scales, also by row, in another order, and after it came back', () => {
    // Every float16 number, infinities and NaN among them.
    const scales = (random: () => number) => Math.floor(random() * 65536)
    const order = ids([6, 0, 0, 3])
    for (const given of [undefined, order]) {
      const [here, moved] = [0, 1].map(() => blockMatrix(format, { outputs: 9, inputs: 1024, scales, order: given }))
      moved.move(device)
      expect(moved.codes.device).toBe('strict:0')
      const [own, theirs] = [here.dequantize().toFloat32Array(), back(moved.dequantize()).toFloat32Array()]
      expect(theirs.findIndex((value, i) => !Object.is(value, own[i]))).toBe(-1)
      const rows = ids([2, 0, 3, 2], [2, 2])
      const [some, others] = [here.rows(rows), back(moved.rows(there(rows)))]
      expect(others.shape).toEqual([2, 2, 1024])
      const wanted = some.flatten().toFloat32Array()
      expect(
        others
          .flatten()
          .toFloat32Array()
          .findIndex((value, i) => !Object.is(value, wanted[i])),
      ).toBe(-1)
      expect(moved.isFinite).toBe(own.every(Number.isFinite))
      const x = randn([3, 1024], { generator })
      moved.move('cpu')
      expect(bits(moved.multiply(x, null))).toBe(bits(here.multiply(x, null)))
    }
  })

  // The size of what is unpacked at once is the same for all formats.
  const isChosen = isFull || format === integerFormats[0]
  it.runIf(isChosen)('of more rows than are unpacked at once has the same values, and parts of it (test:full)', () => {
    const scales = () => smallScale(format)
    const [here, moved] = [0, 1].map(() => blockMatrix(format, { outputs: 700, inputs: 8192, scales }))
    moved.move(device)
    expect(bits(moved.dequantize())).toBe(bits(here.dequantize()))
    expect(moved.isFinite).toBe(true)
    const x = randn([2, 8192], { generator })
    expect(distance(back(moved.multiply(there(x), null)), here.multiply(x, null))).toBeLessThan(4e-6)
    const rows = ids([600, 4, 4])
    const part = moved.select(there(rows))
    expect(part.shape).toEqual([3, 8192])
    expect(bits(part.dequantize())).toBe(bits(here.select(rows).dequantize()))
  })
})

it('chooses the same tokens', () => {
  const logits = randn([40, 50], { generator }).mul(3)
  const random = new Float64Array(40)
  for (let i = 0; i < 40; i++) random[i] = ((i * 7919) % 1000) / 1000
  const heat = Float64Array.from(random, (_, i) => [0, 0.5, 1, 2.5][i % 4])
  const [temperatures, uniforms] = [Tensor.from(heat), Tensor.from(random)]
  const [expected, expectedLogs] = chooseTokens(logits, temperatures, uniforms)
  const [actual, actualLogs] = chooseTokens(there(logits), temperatures, uniforms)
  expect(actual.toTypedArray()).toEqual(expected.toTypedArray())
  expect(distance(back(actualLogs), expectedLogs)).toBeLessThan(1e-6)
  expect(chooseTokens(there(logits), temperatures, uniforms, { logged: false })[1].shape).toEqual([0])
})

describe('updates', () => {
  const shapes = [[3, 5], [7], [2, 2, 4]]
  const random = () => shapes.map((shape) => randn(shape, { generator }))

  it('norms and clipping', () => {
    const grads = random()
    const mine = grads.map(there)
    expect(gradNorm(mine).item()).toBeCloseTo(gradNorm(grads).item(), 5)
    for (const [most, scale] of [
      [0.5, 1],
      [100, 1],
      [1, 0.25],
    ]) {
      expect(clipGradNorm_(mine, most, scale).item()).toBeCloseTo(clipGradNorm_(grads, most, scale).item(), 5)
      for (const [i, one] of grads.entries()) expect(distance(back(mine[i]), one)).toBeLessThan(1e-6)
    }
  })

  it('AdamW, with bfloat16 copies and a factor of the gradients', () => {
    const [weights, averages, grads] = [random(), random(), random()]
    const squares = random().map((x) => x.abs())
    const copies = weights.map((x, i) => (i === 1 ? empty([0], { dtype: 'bfloat16' }) : x.to({ dtype: 'bfloat16' })))
    const run = (place: (x: Tensor) => Tensor) => {
      const lists = [weights, averages, squares, copies].map((list) =>
        list.map((x) => (x.size === 0 ? x : place(x.clone()))),
      )
      const [params, expAvgs, expAvgSqs, workingCopies] = lists
      const fixed = { beta1: 0.9, beta2: 0.95, eps: 1e-8 }
      const rates = { learningRates: [0.1, 0.01, 0.2], weightDecays: [0.1, 0, 0.01] }
      for (const step of [3, 4])
        adamw_(params, {
          ...fixed,
          ...rates,
          expAvgs,
          expAvgSqs,
          workingCopies,
          grads: grads.map(place),
          step,
          gradScale: step === 3 ? undefined : tensor(0.5),
        })
      return lists.flat().map(back)
    }
    const expected = run((x) => x)
    for (const [i, one] of run(there).entries())
      expect(distance(one, expected[i])).toBeLessThan(one.dtype === 'bfloat16' ? 1e-2 : 1e-6)
  })
})

describe('every fused operator', () => {
  const composed = [
    ...[
      'linear',
      'rounded_linear',
      'low_rank_linear',
      'attention',
      'linear_cross_entropy',
      'token_log_probs',
      'add_layer_norm',
    ],
    ...['add_rms_norm', 'gelu', 'soft_cap', 'swiglu', 'rotary', 'embedding', 'dropout', 'grad_norm', 'clip_grad_norm_'],
    ...['adamw_', 'unpack_matrix', 'packed_linear', 'choose_tokens', 'geglu', 'activated_linear'],
    'packed_low_rank_linear',
  ]
  /** Why the others need no composition in the addon. */
  const others = {
    'composed in src/nn/plain-blocks.ts': ['unpack_blocks', 'finite_blocks', 'block_embedding', 'block_linear'],
    'quantised on the CPU, then moved': ['pack_int8', 'pack_int8_rows', 'pack_nf4', 'pack_scales', 'encode_rows'],
    'layers, which are computed operator by operator elsewhere': [
      ...['prepare_decoder_layers', 'decoder_layers', 'prepare_encoder_layers', 'encoder_layers'],
    ],
    "settings and layouts of the CPU's kernels": [
      ...[
        'set_batch_invariant',
        'batch_invariant',
        'set_products',
        'uses_own_products',
        'peak_rate',
        'instruction_set',
      ],
      ...['keep_packed', 'keep_packed_blocks', 'drop_packed', 'use_large_pages'],
    ],
  }

  it('has a composition, or a reason to have none', () => {
    const sources = ['functions', 'fused-layers'].map((name) =>
      readFileSync(new URL(`../../src/tensor/${name}.ts`, import.meta.url), 'utf8'),
    )
    const found = new Set([...sources.join().matchAll(/tunesmith::(\w+)\(/g)].map(([, name]) => name))
    expect([...found].sort()).toEqual([...composed, ...Object.values(others).flat()].sort())
  })
})
