// The fused decoding step of decoder layers against separate operators, which `allHidden` turns on.
import { describe, expect, it } from 'vitest'
import { models } from '../models/index.ts'
import { BlockMatrix, Linear } from '../nn/index.ts'
import {
  type Dtype,
  decoderLayers,
  dropPacked,
  encodeRows,
  Generator,
  getThreads,
  keep,
  keepPacked,
  noGrad,
  ones,
  packInt8Rows,
  prepareDecoderLayers,
  setBatchInvariant,
  setThreads,
  Tensor,
  useLargePages,
  usesOwnProducts,
  zeros,
} from '../tensor/index.ts'
import { KvCache } from './kv-cache.ts'
import { type Piece, SlotCache } from './slot-cache.ts'

const build = (type: 'llama' | 'mistral' | 'qwen2' | 'qwen3', more: object, dtype: Dtype) => {
  const definition = models[type]
  const config = definition.config.parse({ ...definition.presets.test, initializerRange: 0.2, ...more }) as never
  const body = definition.build(config)
  body.initialize({ std: 0.2, generator: new Generator(3) })
  const draws = new Generator(4)
  for (const [path, parameter] of body.parameters())
    if (path.endsWith('bias')) parameter.normal_(0, 0.2, { generator: draws })
  return { body: body.to({ dtype }), numLayers: definition.facts(config).numLayers }
}

const ids = (rows: number, length: number, from: number) =>
  Tensor.from(
    BigInt64Array.from({ length: rows * length }, (_, i) => BigInt((from + i * 37) % 128)),
    { shape: [rows, length] },
  )

describe.each([
  ['llama', {}, 1],
  ['llama', { attentionBias: true, mlpBias: true, hiddenSize: 36, intermediateSize: 50, headDim: 10 }, 3],
  ['mistral', {}, 16],
  ['qwen2', {}, 5],
  ['qwen3', {}, 2],
  ['qwen2', { useSlidingWindow: true, slidingWindow: 3, maxWindowLayers: 1 }, 2],
] as const)('%s with %j, %i rows', (type, more, rows) => {
  it.each([
    ['float32', 2e-5],
    ['bfloat16', 4e-2],
  ] as const)('gives in %s the hidden states of separate operators', (dtype, tolerance) => {
    const { body, numLayers } = build(type, more, dtype)
    // The first row has two tokens of padding before it.
    const maskOf = (length: number) =>
      noGrad(() => {
        const mask = ones([rows, length], { dtype: 'bool' })
        mask.narrow(0, 0, 1).narrow(1, 0, 2).fill_(0)
        return mask
      })
    const [fused, plain] = [new KvCache(numLayers, 4), new KvCache(numLayers, 40)]
    const forward = (cache: KvCache, input: Tensor, allHidden: boolean) => {
      const pastLength = cache.length
      const attentionMask = maskOf(pastLength + input.shape[1])
      return body.forward({ inputIds: input, cache: cache.layers, pastLength, attentionMask, allHidden }).hidden
    }
    noGrad(() => {
      for (const cache of [fused, plain]) forward(cache, ids(rows, 9, 1), true)
      for (let step = 0; step < 8; step++) {
        const input = ids(rows, 1, step * 11)
        const ours = forward(fused, input, false).to('float32')
        const theirs = forward(plain, input, true).to('float32')
        const scale = theirs.abs().max().item()
        expect(ours.sub(theirs).abs().max().item() / scale).toBeLessThan(tolerance)
      }
    })
    expect(fused.length).toBe(17)
  })

  it('gives the bits of separate operators, and those of a row alone, when they are batch-invariant', () => {
    const { body, numLayers } = build(type, more, 'float32')
    const kept = [...body.parameters().values()].filter(({ ndim }) => ndim === 2)
    const forward = (cache: KvCache, input: Tensor, allHidden: boolean) =>
      body.forward({ inputIds: input, cache: cache.layers, pastLength: cache.length, allHidden }).hidden
    const before = setBatchInvariant(true)
    try {
      noGrad(() => {
        const [fused, plain, alone] = [0, 1, 2].map(() => new KvCache(numLayers, 40))
        for (const cache of [fused, plain]) forward(cache, ids(rows, 9, 1), true)
        forward(alone, ids(rows, 9, 1).narrow(0, rows - 1, 1), true)
        for (let step = 0; step < 4; step++) {
          if (step === 2) keepPacked(kept)
          const input = ids(rows, 1, step * 11)
          const ours = forward(fused, input, false).toFloat32Array()
          expect(ours).toEqual(forward(plain, input, true).toFloat32Array())
          const last = forward(alone, input.narrow(0, rows - 1, 1), false).toFloat32Array()
          expect(ours.slice(-last.length)).toEqual(last)
        }
      })
    } finally {
      setBatchInvariant(before)
      dropPacked(kept)
    }
  })
})

describe('layers in bfloat16', () => {
  const rows = 20
  const sizes = { hiddenSize: 68, intermediateSize: 150, numHeads: 4, numKvHeads: 2, headDim: 18 }
  /** Hidden states of a step of some of 20 rows, which have their own texts. */
  const hidden = (body: ReturnType<typeof build>['body'], numLayers: number, first: number, count: number) => {
    const cache = new KvCache(numLayers, 12)
    const step = (input: Tensor, allHidden: boolean) =>
      body.forward({
        inputIds: input.narrow(0, first, count),
        cache: cache.layers,
        pastLength: cache.length,
        allHidden,
      }).hidden
    step(ids(rows, 1, 1), true)
    for (let token = 0; token < 3; token++) step(ids(rows, 1, 7 * token), false)
    return step(ids(rows, 1, 5), false).to('float32')
  }
  const difference = (a: Tensor, b: Tensor) =>
    (a.sub(b).abs().max().item() as number) / (b.abs().max().item() as number)

  // The first token comes from a library elsewhere, which promises no such bits.
  it.skipIf(!usesOwnProducts(true, 0))(
    'have in a row the same bits beside any others from five rows on, and nearly so beside fewer',
    () =>
      noGrad(() => {
        const { body, numLayers } = build('llama', sizes, 'bfloat16')
        const all = hidden(body, numLayers, 0, rows)
        for (const [first, count] of [
          [0, 5],
          [3, 6],
          [7, 13],
        ])
          expect(hidden(body, numLayers, first, count).equal(all.narrow(0, first, count))).toBe(true)
        const pair = hidden(body, numLayers, 4, 2)
        expect(hidden(body, numLayers, 5, 1).equal(pair.narrow(0, 1, 1))).toBe(true)
        expect(difference(pair, all.narrow(0, 4, 2))).toBeLessThan(4e-2)
      }),
  )

  it('are not rounded between float32 hidden states, where the matrices alone are in bfloat16', () =>
    noGrad(() => {
      const { body, numLayers } = build('llama', sizes, 'float32')
      const matrices = [...body.modules()].flatMap(([, module]) => (module instanceof Linear ? [module] : []))
      for (const { weight } of matrices) weight.copy_(weight.to('bfloat16').to('float32'))
      const wanted = hidden(body, numLayers, 0, rows)
      for (const matrix of matrices) matrix.quantize('bfloat16')
      expect(difference(hidden(body, numLayers, 0, rows), wanted)).toBeLessThan(2e-5)
    }))
})

describe('several tokens of packed rows', () => {
  it.each([
    ['llama', {}],
    ['qwen2', { useSlidingWindow: true, slidingWindow: 3, maxWindowLayers: 1 }],
  ] as const)('of %s with %j have the bits of separate operators and of one token after the other', (type, more) => {
    const { body, numLayers } = build(type, more, 'float32')
    const texts = [3, 11, 6].map((length, row) => Array.from({ length }, (_, i) => (5 * row + 37 * i + 1) % 128))
    const forward = (cache: SlotCache, pieces: readonly Piece[], allHidden: boolean): number[] => {
      cache.begin(pieces)
      const starts = [0]
      for (const { ids } of pieces) starts.push(starts[starts.length - 1] + ids.length)
      const positions = pieces.flatMap(({ slot, ids }) => ids.map((_, i) => cache.length(slot) + i))
      const packed = (values: readonly number[]) => Tensor.from(BigInt64Array.from(values, BigInt))
      const { hidden } = body.forward({
        inputIds: packed(pieces.flatMap(({ ids }) => ids)).unsqueeze(0),
        positionIds: packed(positions).unsqueeze(0),
        starts: packed(starts),
        cache: cache.layers,
        allHidden,
      })
      cache.commit()
      return [...hidden.toFloat32Array()]
    }
    const before = setBatchInvariant(true)
    try {
      noGrad(() => {
        const [fused, plain, single] = [0, 1, 2].map(() => new SlotCache(numLayers, 4))
        for (const cache of [fused, plain, single]) {
          cache.resize(3)
          forward(cache, [{ slot: 2, ids: [1, 2] }], true)
        }
        const piece = (slot: number, from: number, to: number): Piece => ({ slot, ids: texts[slot].slice(from, to) })
        // Prompts and chunks of prompts, in any order of the slots; the cache grows meanwhile.
        for (const pieces of [
          [piece(1, 0, 7), piece(0, 0, 1)],
          [piece(2, 0, 6), piece(0, 1, 3), piece(1, 7, 11)],
        ]) {
          const ours = forward(fused, pieces, false)
          expect(ours).toEqual(forward(plain, pieces, true))
          const each = pieces.flatMap(({ slot, ids }) =>
            ids.flatMap((id) => forward(single, [{ slot, ids: [id] }], false)),
          )
          expect(ours).toEqual(each)
        }
        for (const cache of [fused, plain, single]) cache.free()
      })
    } finally {
      setBatchInvariant(before)
    }
  })
})

describe('useLargePages', () => {
  it('changes no value of any tensor', () => {
    for (const size of [0, 1, 1000, 5_000_000]) {
      const tensor = ones([size])
      expect(typeof useLargePages(tensor)).toBe('boolean')
      expect(tensor.sum().item()).toBe(size)
    }
  })
})

describe('decoderLayers', () => {
  const parts = (): (Tensor | null)[] => {
    const matrix = (outputs: number, inputs: number) => [zeros([outputs, inputs]), null]
    const attention = [...matrix(8, 8), ...matrix(4, 8), ...matrix(4, 8), ...matrix(8, 8), null, null]
    return [ones([8]), ...attention, ones([8]), ...matrix(12, 8), ...matrix(12, 8), ...matrix(8, 12)]
  }
  const rowsFrom = (from: number, count: number) =>
    Tensor.from(BigInt64Array.of(BigInt(from), BigInt(count)), { shape: [1, 2] })
  const changed = () => ({
    changes: [ones([2, 8]), ones([8, 2]), ...Array(12).fill(null)],
    scales: Array(7).fill(0.5),
    changedRows: rowsFrom(0, 1),
  })
  const fitting = () => ({
    keys: [zeros([1, 6, 1, 4])],
    values: [zeros([1, 6, 1, 4])],
    past: Tensor.from(BigInt64Array.of(2n)),
    slots: null,
    cos: ones([1, 2]),
    sin: zeros([1, 2]),
    positions: null,
    mask: null,
    parts: parts(),
    formats: '',
    orders: [],
    changes: [],
    scales: [],
    changedRows: null,
    eps: 1e-6,
    windows: [0],
    scale: 0.5,
  })
  const call = (changes: Record<string, unknown> = {}, stream = zeros([1, 1, 8])) => {
    const { parts, formats, orders, ...others } = { ...fitting(), ...changes }
    return noGrad(() => decoderLayers(stream, { layers: prepareDecoderLayers({ parts, formats, orders }), ...others }))
  }

  it('takes arguments that fit', () => {
    expect(call().shape).toEqual([1, 1, 8])
    expect(call(changed()).shape).toEqual([1, 1, 8])
  })

  it.each<[string, Record<string, unknown>]>([
    ['a full cache', { past: Tensor.from(BigInt64Array.of(6n)) }],
    ['a negative past', { past: Tensor.from(BigInt64Array.of(-1n)) }],
    ['a past of other rows', { past: Tensor.from(BigInt64Array.of(1n, 1n)) }],
    ['a slot that is none', { slots: Tensor.from(BigInt64Array.of(1n)) }],
    ['buffers of other shapes', { values: [zeros([1, 5, 1, 4])] }],
    ['angles of another size', { cos: ones([1, 3]) }],
    ['a position beyond the tables', { positions: Tensor.from(BigInt64Array.of(1n)) }],
    ['positions of other rows', { positions: Tensor.from(BigInt64Array.of(0n, 0n)) }],
    ['a mask of another length', { mask: ones([1, 1, 1, 9], { dtype: 'bool' }) }],
    ['changes of no rows', { changes: Array(14).fill(null), scales: Array(7).fill(1) }],
    ['changed rows that are none', { ...changed(), changedRows: rowsFrom(1, 1) }],
    ['changes of other sizes', { ...changed(), changes: [zeros([2, 7]), ...changed().changes.slice(1)] }],
    ['half a change', { ...changed(), changes: [null, ...changed().changes.slice(1)] }],
    ['too few parts', { parts: [ones([8])] }],
    ['windows of other layers', { windows: [0, 0] }],
    ['keys of other layers', { keys: [], values: [] }],
    ['formats of other layers', { formats: 'Q8_0' }],
  ])('refuses %s', (_, changes) => {
    expect(() => call(changes)).toThrow(/Expected/)
  })

  it.each([
    ['many tokens', [2, 2, 8]],
    ['packed tokens that are not those of `past`', [1, 2, 8]],
    ['another width', [1, 1, 9]],
    ['too many rows', [65, 1, 8]],
  ])('refuses a stream of %s', (_, shape) => {
    expect(() => call({}, zeros(shape))).toThrow(/Expected/)
  })

  it('takes the rows of tables at positions, and packed rows, as angles of each row', () => {
    const generator = new Generator(6)
    const table = () => noGrad(() => zeros([9, 2]).normal_(0, 1, { generator }))
    const [cos, sin] = [table(), table()]
    const given = parts().map((part) => part && noGrad(() => part.uniform_(-1, 1, { generator })))
    const stream = noGrad(() => zeros([3, 1, 8]).normal_(0, 1, { generator }))
    const positions = Tensor.from(BigInt64Array.of(4n, 0n, 8n))
    const run = (angles: Record<string, unknown>, input: Tensor) => {
      const caches = () => [noGrad(() => ones([3, 6, 1, 4]))]
      const past = Tensor.from(BigInt64Array.of(2n, 0n, 3n))
      return call({ parts: given, keys: caches(), values: caches(), past, ...angles }, input)
    }
    const pick = (one: Tensor) => one.indexSelect(0, positions).unsqueeze(1)
    const wanted = run({ cos: pick(cos), sin: pick(sin) }, stream)
    const found = run({ cos, sin, positions }, stream)
    const packed = run({ cos, sin, positions: positions.unsqueeze(0) }, stream.transpose(0, 1))
    expect(found.toFloat32Array()).toEqual(wanted.toFloat32Array())
    expect([packed.shape, packed.toFloat32Array()]).toEqual([[1, 3, 8], wanted.toFloat32Array()])
  })

  it('names an option that is missing', () => {
    expect(() => call({ eps: undefined })).toThrow(/missing argument `eps`/)
  })

  it('refuses parts that do not fit each other, and gradients', () => {
    for (let i = 0; i < 18; i++)
      expect(() => call({ parts: parts().map((part, k) => (k === i ? zeros([7, 7]) : part)) })).toThrow(/Expected/)
    const { parts: given, formats, orders, ...others } = fitting()
    const layers = prepareDecoderLayers({ parts: given, formats, orders })
    expect(() => decoderLayers(zeros([1, 1, 8]), { layers, ...others })).toThrow(/noGrad/)
  })

  describe('with weights that were checked before', () => {
    const prepared = () => {
      const { parts: given, formats, orders, ...others } = fitting()
      const layers = prepareDecoderLayers({ parts: given, formats, orders })
      const run = () => noGrad(() => decoderLayers(ones([1, 1, 8]), { layers, ...others }).toFloat32Array())
      return { given, layers, run, others }
    }

    it('computes with values that changed in place, as with those checked anew', () => {
      const { given, run } = prepared()
      const before = run()
      for (const part of given) if (part !== null) noGrad(() => part.uniform_(-1, 1, { generator: new Generator(1) }))
      expect(run()).not.toEqual(before)
      expect(run()).toEqual(call({ parts: given }, ones([1, 1, 8])).toFloat32Array())
    })

    it('refuses a weight that was freed', () => {
      const { given, run } = prepared()
      run()
      given[1]?.free()
      expect(run).toThrow(/Expected live weights, got layers with one that was freed/)
    })

    it('refuses other tensors in their place', () => {
      const { others } = prepared()
      for (const layers of [zeros([0], { dtype: 'uint8' }), zeros([3])])
        expect(() => noGrad(() => decoderLayers(ones([1, 1, 8]), { layers, ...others }))).toThrow(
          /Expected what `prepareDecoderLayers` gave as `layers`, got another tensor/,
        )
    })
  })
})

describe('layers wide enough for several threads', () => {
  it.each(['float32', 'bfloat16', 'Q8_0', 'int8'] as const)('have in %s the bits of one thread', (format) => {
    const sizes = { hiddenSize: 128, intermediateSize: 192, numHeads: 4, numKvHeads: 2, headDim: 32, numLayers: 6 }
    const quantised = format === 'Q8_0' || format === 'int8'
    const { body, numLayers } = build('llama', sizes, quantised ? 'float32' : format)
    if (quantised)
      for (const [, module] of body.modules())
        if (module instanceof Linear) {
          const { shape, weight } = module
          const encode = () => (format === 'int8' ? packInt8Rows(weight) : encodeRows(weight, format))
          module.useBlocks(new BlockMatrix({ format, shape, blocks: noGrad(encode) }))
        }
    const run = (threads: number) => {
      const before = getThreads()
      setThreads(threads)
      const invariant = setBatchInvariant(quantised)
      try {
        return noGrad(() => {
          const cache = new KvCache(numLayers, 40)
          body.forward({ inputIds: ids(16, 9, 1), cache: cache.layers, pastLength: 0, allHidden: true })
          return Array.from({ length: 6 }, (_, step) => {
            const inputs = { inputIds: ids(16, 1, step * 11), cache: cache.layers, pastLength: cache.length }
            return [...body.forward(inputs).hidden.toFloat32Array()]
          })
        })
      } finally {
        setBatchInvariant(invariant)
        setThreads(before)
      }
    }
    const alone = run(1)
    for (let round = 0; round < 3; round++) expect(run(2)).toEqual(alone)
  })
})

describe('weights of a model that change while a text grows', () => {
  const inPlace = (weight: Tensor, changed: Tensor) => weight.copy_(changed)
  it.each<[string, (weight: Tensor, changed: Tensor, layer: { weight: Tensor }) => unknown]>([
    ['in place', inPlace],
    ['by another tensor', (_, changed, layer) => (layer.weight = keep(changed))],
    ['by taking over another tensor', (weight, changed) => weight.become(changed)],
  ])('%s are those of the next token', (_, change) => {
    for (const packed of [false, true]) {
      const { body, numLayers } = build('llama', {}, 'float32')
      const step = (cache: KvCache | SlotCache, id: number, allHidden: boolean) => {
        const inputIds = Tensor.from(BigInt64Array.of(BigInt(id)), { shape: [1, 1] })
        if (cache instanceof KvCache)
          return body.forward({ inputIds, cache: cache.layers, pastLength: cache.length, allHidden }).hidden
        cache.begin([{ slot: 0, ids: [id] }])
        const positionIds = Tensor.from(BigInt64Array.of(BigInt(cache.length(0))), { shape: [1, 1] })
        const starts = Tensor.from(BigInt64Array.of(0n, 1n))
        const { hidden } = body.forward({ inputIds, positionIds, starts, cache: cache.layers, allHidden })
        cache.commit()
        return hidden
      }
      noGrad(() => {
        const caches = [0, 1].map(() => (packed ? new SlotCache(numLayers, 8) : new KvCache(numLayers, 8)))
        for (const cache of caches) if (cache instanceof SlotCache) cache.resize(1)
        const compare = (id: number) => {
          const [ours, theirs] = caches.map((cache, i) => step(cache, id, i === 1).toFloat32Array())
          for (const [i, value] of ours.entries()) expect(value).toBeCloseTo(theirs[i], 4)
          return [...ours]
        }
        compare(3)
        const before = compare(5)
        const layer = (body as unknown as { layers: { mlp: { upProj: { weight: Tensor } } }[] }).layers[0].mlp.upProj
        change(layer.weight, layer.weight.mul(-2), layer)
        const after = compare(5)
        expect(after.every((value, i) => Math.abs(value - before[i]) < 1e-3)).toBe(false)
      })
    }
  })
})
