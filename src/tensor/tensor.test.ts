import { describe, expect, it } from 'vitest'
import {
  arange,
  catRows,
  type Dtype,
  dtypeFacts,
  dtypes,
  full,
  ones,
  randn,
  Tensor,
  type TypedArray,
  zeros,
} from './index.ts'

describe('Tensor.from', () => {
  it('takes nested numbers as float32, booleans as bool', () => {
    const numbers = Tensor.from([
      [1, 2.5],
      [-3, 4],
    ])
    expect([numbers.dtype, numbers.shape, numbers.toArray()]).toEqual([
      'float32',
      [2, 2],
      [
        [1, 2.5],
        [-3, 4],
      ],
    ])
    const booleans = Tensor.from([true, false])
    expect([booleans.dtype, booleans.toArray()]).toEqual(['bool', [true, false]])
    expect(Tensor.from(3).shape).toEqual([])
    expect(Tensor.from([]).shape).toEqual([0])
    expect(Tensor.from([[], []]).shape).toEqual([2, 0])
  })

  it.each(dtypes)('round-trips %s through its typed array', (dtype) => {
    const { array, floating, bytes } = dtypeFacts(dtype)
    const source = new array(6)
    for (let i = 0; i < 6; i++) {
      const value = dtype === 'bool' ? i % 2 : i * 3
      source[i] = (typeof source[i] === 'bigint' ? BigInt(value) : value) as never
    }
    const tensor = Tensor.from(source, { shape: [2, 3], dtype })
    expect([tensor.dtype, tensor.shape, tensor.size]).toEqual([dtype, [2, 3], 6])
    const back = tensor.toTypedArray()
    expect(back).toEqual(source)
    expect(back.constructor).toBe(array)
    expect(back.byteLength).toBe(6 * bytes)
    expect(typeof floating).toBe('boolean')
  })

  it.each(dtypes)('makes %s of nested numbers', (dtype) => {
    const values = dtype === 'bool' ? [[1, 0]] : [[1, 2]]
    const tensor = Tensor.from(values, { dtype })
    expect(tensor.dtype).toBe(dtype)
    expect(tensor.to('float64').toArray()).toEqual(values)
  })

  it('makes int64 token ids of number[] and of every integer typed array, also inside an array of rows', () => {
    const ids = [101, 2054, 102]
    const rows = [
      ids,
      Int32Array.from(ids),
      Uint32Array.from(ids),
      Uint16Array.from(ids),
      BigInt64Array.from(ids, BigInt),
    ]
    for (const row of rows) {
      const tensor = Tensor.from([row], { dtype: 'int64' })
      expect([tensor.dtype, tensor.shape, tensor.toArray()]).toEqual(['int64', [1, 3], [ids]])
    }
    const mixed = Tensor.from(rows, { dtype: 'int64' })
    expect([mixed.shape, mixed.toArray()]).toEqual([[5, 3], rows.map(() => ids)])
    expect(Tensor.from([ids, ids], { dtype: 'int64', shape: [3, 2] }).shape).toEqual([3, 2])
  })

  it('keeps the dtype of typed rows, and makes int64 of bigints exactly', () => {
    expect(Tensor.from([Int32Array.of(1), Int32Array.of(2)]).dtype).toBe('int32')
    expect(Tensor.from([Int32Array.of(1), Float32Array.of(2)]).dtype).toBe('float32')
    const big = 2n ** 62n + 1n
    const tensor = Tensor.from([[big], [-1n]])
    expect([tensor.dtype, [...tensor.toTypedArray()]]).toEqual(['int64', [big, -1n]])
    expect(Tensor.from([1n, 2n], { dtype: 'float32' }).toArray()).toEqual([1, 2])
    expect(Tensor.from([true, 0, 2n], { dtype: 'bool' }).toArray()).toEqual([true, false, true])
    expect(Tensor.from([true, 2, 3n], { dtype: 'int64' }).toArray()).toEqual([1, 2, 3])
  })

  it('takes 16-bit floats as raw bits from a Uint16Array, and converts other arrays', () => {
    // 1.0, -2.0, +inf and NaN in each format.
    expect(Tensor.from(Uint16Array.of(0x3f80, 0xc000, 0x7f80), { dtype: 'bfloat16' }).toArray()).toEqual([
      1,
      -2,
      Infinity,
    ])
    expect(Tensor.from(Uint16Array.of(0x3c00, 0xc000, 0x7c00), { dtype: 'float16' }).toArray()).toEqual([
      1,
      -2,
      Infinity,
    ])
    // 1 + 2^-8 lies half way between two bfloat16 values: to even, so down to 1; 1 + 3 * 2^-8 goes up.
    const rounded = Tensor.from([1 + 2 ** -8, 1 + 3 * 2 ** -8], { dtype: 'bfloat16' })
    expect([...rounded.toTypedArray()]).toEqual([0x3f80, 0x3f82])
    expect([...Tensor.from(Float32Array.of(65504, 1e6), { dtype: 'float16' }).toTypedArray()]).toEqual([0x7bff, 0x7c00])
  })

  it('copies, so that changing the array later changes nothing', () => {
    const source = Float32Array.of(1, 2)
    const tensor = Tensor.from(source)
    source[0] = 9
    expect(tensor.toArray()).toEqual([1, 2])
    expect(Tensor.from(new Float32Array([0, 5, 6, 0]).subarray(1, 3)).toArray()).toEqual([5, 6])
  })

  it('holds 64-bit integers that no number can', () => {
    const big = 2n ** 60n + 1n
    expect(Tensor.from(BigInt64Array.of(big)).item()).toBe(big)
    expect(Tensor.from(BigInt64Array.of(-big)).item()).toBe(-big)
    expect(Tensor.from(BigInt64Array.of(7n)).item()).toBe(7)
    expect(Tensor.from(BigUint64Array.of(2n ** 64n - 1n)).toTypedArray()[0]).toBe(2n ** 64n - 1n)
    expect(Tensor.from(BigUint64Array.of(2n ** 64n - 1n)).item()).toBe(2n ** 64n - 1n)
  })

  it.each<[string, () => unknown, RegExp]>([
    ['uneven rows', () => Tensor.from([[1, 2], [3]]), /Expected rows of one length .* got 2 and 1\. Pad them first/],
    ['uneven typed rows', () => Tensor.from([new Int8Array(2), new Int8Array(3)]), /got 2 and 3/],
    ['typed rows beside numbers', () => Tensor.from([new Int8Array(1), 1]), /Expected rows of one depth/],
    [
      'rows beside typed rows of another depth',
      () => Tensor.from([[[1]], new Int8Array(1)]),
      /Expected rows of one depth/,
    ],
    ['a bigint beyond int64', () => Tensor.from([2n ** 63n]), /range of dtype int64/],
    ['a bigint beyond int32', () => Tensor.from([2n ** 40n], { dtype: 'int32' }), /range of dtype int32/],
    ['a negative uint64', () => Tensor.from([-1], { dtype: 'uint64' }), /range of dtype uint64/],
    ['mixed depth', () => Tensor.from([[1], 2] as never), /Expected/],
    ['strings', () => Tensor.from(['a'] as never), /Expected numbers/],
    ['nothing', () => Tensor.from(undefined as never), /Expected numbers/],
    ['null', () => Tensor.from([null] as never), /Expected numbers/],
    ['a wrong count', () => Tensor.from([1, 2, 3], { shape: [2] }), /Expected 2 elements for shape \[2\], got 3/],
    ['a negative size', () => Tensor.from([1], { shape: [-1] }), /Expected whole sizes/],
    ['a fractional size', () => Tensor.from([1], { shape: [0.5, 2] }), /Expected whole sizes/],
    [
      'an unknown dtype',
      () => Tensor.from([1], { dtype: 'float8' as Dtype }),
      /Expected one of float32, .* for `dtype`, got "float8"/,
    ],
    ['an unknown device', () => Tensor.from([1], { device: 'moon' }), /device/i],
    [
      'too large an int8',
      () => Tensor.from([128], { dtype: 'int8' }),
      /Expected whole numbers within the range of dtype int8, got 128/,
    ],
    ['a fraction as int64', () => Tensor.from([1.5], { dtype: 'int64' }), /whole/],
    [
      'an array that contains itself',
      () => {
        const circular: unknown[] = []
        circular.push(circular)
        return Tensor.from(circular as never)
      },
      /at most 64 dimensions/,
    ],
    ['a DataView', () => Tensor.from(new DataView(new ArrayBuffer(4)) as never), /Expected/],
    ['a clamped array', () => Tensor.from(new Uint8ClampedArray(2) as never), /Expected/],
  ])('refuses %s', (_, make, message) => {
    expect(make).toThrow(message)
  })
})

describe('values out', () => {
  it('copies into memory of the right size only', () => {
    const target = new Float32Array(4)
    full([2, 2], 3).copyInto(target)
    expect([...target]).toEqual([3, 3, 3, 3])
    const bytes = new Uint8Array(8)
    Tensor.from(BigInt64Array.of(-1n)).copyInto(bytes)
    expect([...bytes]).toEqual(new Array(8).fill(255))
    expect(() => ones([2]).copyInto(new Float32Array(3))).toThrow(/expected an array of 8 bytes, got 12/)
    expect(() => ones([2]).copyInto([] as never)).toThrow(/expected a typed array/)
  })

  it('reads strided tensors row-major', () => {
    const tensor = Tensor.from([
      [1, 2, 3],
      [4, 5, 6],
    ]).t()
    expect(tensor.isContiguous).toBe(false)
    expect(tensor.strides).toEqual([1, 3])
    expect([...tensor.toFloat32Array()]).toEqual([1, 4, 2, 5, 3, 6])
    expect(tensor.toArray()).toEqual([
      [1, 4],
      [2, 5],
      [3, 6],
    ])
  })

  it('gives float32 whatever the dtype', () => {
    for (const dtype of ['bfloat16', 'float16', 'float64', 'int32'] as const)
      expect([...Tensor.from([1, -2], { dtype }).toFloat32Array()]).toEqual([1, -2])
  })

  it('item wants one element', () => {
    expect(Tensor.from([[5]]).item()).toBe(5)
    expect(Tensor.from([true]).item()).toBe(true)
    expect(() => ones([2]).item()).toThrow(/item/)
    expect(() => zeros([0]).item()).toThrow(/item/)
  })

  it('handles empty tensors', () => {
    expect(zeros([0, 3]).toArray()).toEqual([])
    expect(zeros([2, 0]).toArray()).toEqual([[], []])
    expect(zeros([0]).toTypedArray()).toEqual(new Float32Array(0) as TypedArray)
  })
})

describe('catRows', () => {
  const table = arange(24).view([6, 4])

  it('gives a view of rows that follow one another, of a transposed matrix too', () => {
    for (const whole of [table, table.t(), table.narrow(1, 1, 2), table.view([6, 2, 2])])
      for (const parts of [whole.chunk(2, 0), [whole.narrow(0, 0, 1), whole.narrow(0, 1, 2)]]) {
        const joined = catRows(parts)
        const count = parts.reduce((sum, { shape }) => sum + shape[0], 0)
        expect(joined.toArray()).toEqual(whole.narrow(0, 0, count).toArray())
        expect([joined.sharesStorageWith(table), joined.strides]).toEqual([true, whole.strides])
      }
  })

  it.each<[string, () => Tensor[]]>([
    ['in another order', () => [table.narrow(0, 2, 2), table.narrow(0, 0, 2)]],
    ['with a gap', () => [table.narrow(0, 0, 2), table.narrow(0, 3, 2)]],
    ['twice the same', () => [table.narrow(0, 0, 2), table.narrow(0, 0, 2)]],
    ['of two tensors', () => [table.narrow(0, 0, 2), arange(24).view([6, 4]).narrow(0, 2, 2)]],
    ['of other strides', () => [table.narrow(0, 0, 2).narrow(1, 0, 2), table.t().narrow(0, 2, 2).narrow(1, 0, 2)]],
  ])('copies rows %s', (_, make) => {
    const parts = make()
    const joined = catRows(parts)
    expect(joined.toArray()).toEqual(parts.flatMap((part) => part.toArray()))
    expect(joined.sharesStorageWith(table)).toBe(false)
  })

  it('refuses rows that do not fit, and records nothing for backward', () => {
    expect(() => catRows([table, ones([2, 3])])).toThrow(/cat/)
    expect(() => catRows([])).toThrow()
    const weight = ones([4, 2])
    weight.requiresGrad = true
    expect(catRows(weight.chunk(2, 0)).requiresGrad).toBe(false)
  })
})

describe('a tensor as text', () => {
  // The form of the values is PyTorch's: brackets, columns of one width, four decimals, whole floats with a dot.
  it.each<[string, () => Tensor, string]>([
    ['a scalar', () => Tensor.from(1.5), 'tensor(1.5000, shape=[], dtype=float32)'],
    ['whole floats', () => Tensor.from([1, 2]), 'tensor([1., 2.], shape=[2], dtype=float32)'],
    ['integers', () => arange(3), 'tensor([0, 1, 2], shape=[3], dtype=int64)'],
    ['booleans', () => Tensor.from([true, false]), 'tensor([ true, false], shape=[2], dtype=bool)'],
    [
      'columns',
      () =>
        Tensor.from([
          [1, -2.5],
          [10, 0.25],
        ]),
      'tensor([[ 1.0000, -2.5000],\n        [10.0000,  0.2500]], shape=[2, 2], dtype=float32)',
    ],
    [
      'special values',
      () => Tensor.from([Number.NaN, Infinity, -Infinity, 1]),
      'tensor([ nan,  inf, -inf,   1.], shape=[4], dtype=float32)',
    ],
    ['very small beside', () => Tensor.from([1e-8, 1]), 'tensor([1.0000e-08, 1.0000e+00], shape=[2], dtype=float32)'],
    ['empty', () => zeros([0, 2]), 'tensor([], shape=[0, 2], dtype=float32)'],
    ['a dtype', () => ones([2], { dtype: 'bfloat16' }), 'tensor([1., 1.], shape=[2], dtype=bfloat16)'],
    [
      'long ones cut',
      () => arange(2000),
      'tensor([   0,    1,    2, ..., 1997, 1998, 1999], shape=[2000], dtype=int64)',
    ],
  ])('shows %s', (_, make, text) => {
    expect(String(make())).toBe(text)
  })

  it('shows three dimensions with an empty line between blocks, and the gradient flag', () => {
    const tensor = zeros([2, 1, 2])
    tensor.requiresGrad = true
    expect(String(tensor)).toBe(
      'tensor([[[0., 0.]],\n\n        [[0., 0.]]], shape=[2, 1, 2], dtype=float32, requiresGrad=true)',
    )
  })

  it('is short for large tensors', () => {
    expect(String(randn([300, 400, 5])).length).toBeLessThan(5000)
    expect(String(randn([1_000_000])).length).toBeLessThan(200)
  })

  it('survives shapes that hold nothing but are long', () => {
    expect(String(zeros([2 ** 40, 0]))).toBe(`tensor([], shape=[${2 ** 40}, 0], dtype=float32)`)
    expect(() => zeros([2 ** 40, 0]).toArray()).toThrow(/toArray/)
    expect(zeros([2, 0, 2 ** 40]).toArray()).toEqual([[], []])
  })

  it('prints 64-bit integers exactly', () => {
    expect(String(Tensor.from(BigInt64Array.of(2n ** 60n + 1n)))).toContain('1152921504606846977')
  })
})

describe('errors', () => {
  it.each<[string, () => unknown, string, RegExp]>([
    [
      'shapes',
      () => ones([2, 3]).matmul(ones([2, 3])),
      'ShapeError',
      /^matmul\(\[2, 3\] float32, \[2, 3\] float32\): /,
    ],
    [
      'broadcast',
      () => ones([2]).add(ones([3])),
      'ShapeError',
      /^add\(\[2\] float32, \[3\] float32\): .*size of tensor a \(2\)/,
    ],
    [
      'dtype',
      () => ones([2, 2]).matmul(ones([2, 2], { dtype: 'int64' })),
      'ShapeError',
      /^matmul\(\[2, 2\] float32, \[2, 2\] int64\): /,
    ],
    ['an index out of range', () => ones([2]).select(0, 5), 'ShapeError', /^select\(\[2\] float32, 0, 5\): /],
    [
      'a gathered index out of range',
      () => ones([2]).indexSelect(0, Tensor.from([7], { dtype: 'int64' })),
      'ShapeError',
      /^indexSelect\(/,
    ],
    ['a dim out of range', () => ones([2]).sum(3), 'ShapeError', /Dimension out of range/],
    [
      'a device that is not there',
      () => zeros([1], { device: 'cuda:99' }),
      'ConfigError',
      /^Expected a valid `device`, got "cuda:99"\. /,
    ],
    ['memory no machine has', () => zeros([2 ** 45]), 'OutOfMemoryError', /not enough memory/],
    ['chunks without end', () => zeros([0]).chunk(2 ** 31), 'ShapeError', /Expected at most 1048576 for `chunks`/],
    ['a size beyond counting', () => zeros([2 ** 40, 2 ** 40]), 'TunesmithError', /^zeros\(/],
  ])('of %s are typed, in one line with operator and shapes', (_, fail, name, message) => {
    let error: Error | undefined
    try {
      fail()
    } catch (caught) {
      error = caught as Error
    }
    expect(error?.message).toMatch(message)
    expect(error?.message).not.toMatch(/\n|\.cpp|\.h:/)
    if (name !== 'TunesmithError') expect(error?.name).toBe(name)
  })

  it('stay in one line when the user passes a string with line breaks', () => {
    expect(() => ones([1]).div(1, { roundingMode: 'a\nb' as never })).toThrow(/^[^\n]*$/)
    expect(() => ones([1]).add('a\nb' as never)).toThrow(/^[^\n]*$/)
  })
})
