// The fused operators of text generation: attention over caches with a length for each row, the choice of tokens, and
// rows whose bits do not depend on their batch.
import { afterEach, describe, expect, it } from 'vitest'
import { createRandom } from '../core/index.ts'
import {
  attention,
  cat,
  chooseTokens,
  type Dtype,
  dropPacked,
  Generator,
  isBatchInvariant,
  keepPacked,
  linear,
  noGrad,
  ones,
  packedLinear,
  packInt8,
  randn,
  scope,
  setBatchInvariant,
  Tensor,
  tokenLogProbs,
  zeros,
} from './index.ts'
import { callable } from './operator.ts'
import { entry } from './operator-entry.ts'

const generator = new Generator(20261127)
const int64 = (...values: number[]) => Tensor.from(BigInt64Array.from(values, BigInt))
const difference = (a: Tensor, b: Tensor): number => a.to('float64').sub(b.to('float64')).abs().max().item()

const threadChoices = callable(
  'threadChoices',
  entry<(times: Tensor) => Tensor>('tunesmith::thread_choices(times)'),
) as (times: Tensor) => Tensor

describe('the threads of decoding', () => {
  /** Microseconds: until all threads were done, of the caller's part, of its processor time, of all processor time. */
  type Times = [wall: number, ownWall: number, ownCpu: number, allCpu: number]
  const [free, busy]: Times[] = [
    [60, 58, 57, 115],
    // Another process had the second core.
    [8000, 60, 58, 116],
  ]
  const repeat = (times: Times, count: number) => Array.from({ length: count }, () => times)
  const choices = (times: Times[]) => {
    const nanoseconds = BigInt64Array.from(times.flat(), (value) => BigInt(value * 1000))
    return [...threadChoices(Tensor.from(nanoseconds, { shape: [times.length, 4] })).toTypedArray()].map(Number)
  }
  const share = (chosen: number[]) => chosen.reduce((sum, one) => sum + one, 0) / chosen.length

  it('are several where the cores are free', () => expect(share(choices(repeat(free, 500)))).toBe(1))

  it('are one where others hold the cores, with rare trials', () => {
    const chosen = choices(repeat(busy, 2000))
    expect(share(chosen.slice(0, 32))).toBe(1)
    expect(share(chosen.slice(32))).toBeLessThan(0.02)
  })

  it('are several again after the cores become free', () => {
    // Regions on one thread take longer, so that the time until the next trial passes.
    const chosen = choices([...repeat(busy, 60), ...repeat([5000, 110, 110, 110], 500), ...repeat(free, 50_000)])
    expect(share(chosen.slice(-5000))).toBe(1)
  })

  it('are not judged by the region that wakes them', () => {
    const [alone, woken]: Times[] = [
      [110, 110, 110, 110],
      [300, 58, 57, 115],
    ]
    const chosen = choices([...repeat(busy, 32), ...repeat(alone, 200), woken, ...repeat(free, 500)])
    expect(share(chosen.slice(33, 200))).toBe(0)
    expect(share(chosen.slice(-400))).toBe(1)
  })

  it('refuse times of another shape', () => expect(() => threadChoices(zeros([4]))).toThrow(/int64 \[n,4\]/))
})

describe.each<Dtype>(['float32', 'bfloat16'])('%s: attention over a cache with a length for each row', (dtype) => {
  it.each([{ causal: true }, { causal: true, window: 5 }])('equals attention row by row with %j', (options) => {
    scope(() => {
      const [heads, kvHeads, size] = [4, 2, 20]
      const cache = [0, 1].map(() => randn([5, 40, kvHeads, size], { generator }).to(dtype))
      const rows = [
        { row: 3, length: 17, queries: 1 },
        { row: 0, length: 40, queries: 9 },
        { row: 4, length: 3, queries: 3 },
        { row: 1, length: 1, queries: 1 },
      ]
      const queries = rows.map((row) => randn([1, row.queries, heads, size], { generator }).to(dtype))
      const starts = [0]
      for (const row of rows) starts.push(starts[starts.length - 1] + row.queries)
      const together = noGrad(() =>
        attention(cat(queries, 1), cache[0], cache[1], {
          ...options,
          queryStarts: int64(...starts),
          keyRows: int64(...rows.map(({ row }) => row)),
          keyLengths: int64(...rows.map(({ length }) => length)),
        }),
      )
      rows.forEach(({ row, length, queries: count }, i) => {
        const [key, value] = cache.map((tensor) => tensor.narrow(0, row, 1).narrow(1, 0, length))
        const alone = attention(queries[i], key, value, options)
        expect(difference(together.narrow(1, starts[i], count), alone)).toBe(0)
      })
    })
  })

  // Heads of a group are computed together: 2, 3 and 4, and the rest of 5 and 7.
  it.each([2, 3, 4, 5, 7])('has the same bits for each of %i heads of a group as for one alone', (group) => {
    scope(() => {
      for (const [keys, size] of [
        [1, 64],
        [37, 20],
        [70, 160],
      ]) {
        const query = randn([2, 1, 2 * group, size], { generator }).to(dtype)
        const [key, value] = [0, 1].map(() => randn([2, keys, 2, size], { generator }).to(dtype))
        const mask = randn([2, 2 * group, 1, keys], { generator })
        const together = noGrad(() => attention(query, key, value, { mask }))
        for (let head = 0; head < 2 * group; head++) {
          const own = Math.floor(head / group)
          const alone = noGrad(() =>
            attention(query.narrow(2, head, 1), key.narrow(2, own, 1), value.narrow(2, own, 1), {
              mask: mask.narrow(1, head, 1),
            }),
          )
          expect(difference(together.narrow(2, head, 1), alone)).toBe(0)
        }
      }
    })
  })

  it('refuses rows and lengths outside the cache, other counts, and gradients', () => {
    const cache = zeros([2, 6, 1, 4], { dtype })
    const call = (changes: object, query = zeros([1, 2, 1, 4], { dtype })) =>
      attention(query, cache, cache, {
        queryStarts: int64(0, 1, 2),
        keyRows: int64(0, 1),
        keyLengths: int64(6, 3),
        ...changes,
      })
    expect(call({}).shape).toEqual([1, 2, 1, 4])
    for (const changes of [
      { keyRows: int64(0, 2) },
      { keyRows: int64(-1, 0) },
      { keyLengths: int64(7, 1) },
      { keyLengths: int64(1) },
      { keyRows: undefined },
      { queryStarts: undefined },
    ])
      expect(() => call(changes)).toThrow(/Expected/)
    const query = zeros([1, 2, 1, 4], { dtype })
    query.requiresGrad = true
    expect(() => call({}, query)).toThrow(/noGrad/)
  })
})

describe('chooseTokens', () => {
  it('samples by the cumulated probabilities, as the plain loop does', () => {
    const [rows, width] = [40, 300]
    const logits = randn([rows, width], { generator }).mul(3)
    const random = createRandom(5)
    const uniforms = Float64Array.from({ length: rows }, () => random.float())
    const temperatures = Float64Array.from({ length: rows }, (_, r) => [1, 0.7, 2.5, 0][r % 4])
    const [ids, logProbs] = chooseTokens(logits, Tensor.from(temperatures), Tensor.from(uniforms))
    const values = logits.toFloat32Array()
    const chosen = ids.toTypedArray()
    const logged = logProbs.toTypedArray() as Float32Array
    for (let r = 0; r < rows; r++) {
      const row = Array.from(values.subarray(r * width, (r + 1) * width))
      const heat = temperatures[r] || 1
      const weights = row.map((logit) => Math.exp(logit / heat - Math.max(...row) / heat))
      const sum = weights.reduce((a, b) => a + b)
      let left = uniforms[r] * sum
      const sampled = weights.findIndex((weight) => {
        left -= weight
        return left < 0
      })
      const expected = temperatures[r] === 0 ? row.indexOf(Math.max(...row)) : sampled
      expect(Number(chosen[r])).toBe(expected)
      expect(logged[r]).toBeCloseTo(Math.log(weights[expected] / sum), 5)
    }
  })

  it('never takes an excluded token, and the first of equal ones', () => {
    const never = Number.NEGATIVE_INFINITY
    const logits = Tensor.from(Float32Array.of(never, 1, never, 1, never, 2, never, 2), { shape: [2, 4] })
    const choose = (temperature: number, uniform: number) =>
      Array.from(
        chooseTokens(
          logits,
          Tensor.from(Float64Array.of(temperature, temperature)),
          Tensor.from(Float64Array.of(uniform, uniform)),
        )[0].toTypedArray() as BigInt64Array,
        Number,
      )
    expect(choose(0, 0)).toEqual([1, 1])
    expect(choose(1, 0)).toEqual([1, 1])
    expect(choose(1, 0.51)).toEqual([3, 3])
    expect(choose(1, 1 - 2 ** -53)).toEqual([3, 3])
  })

  it.each([1, 2, 31, 32, 33, 64, 100, 1000])('takes the first of the most likely of %i tokens', (width) => {
    const rows = 60
    const random = createRandom(width)
    // Few different values, so that most rows have equal ones.
    const draws = [Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, -0, 0, 1, 2]
    const known = (row: number) => (row % 3 === 0 ? draws : draws.slice(3))
    const logits = Float32Array.from({ length: rows * width }, (_, i) => {
      const from = known(Math.floor(i / width))
      return from[Math.floor(random.float() * from.length)]
    })
    const [ids] = chooseTokens(
      Tensor.from(logits, { shape: [rows, width] }),
      Tensor.from(new Float64Array(rows)),
      Tensor.from(new Float64Array(rows)),
      { logged: false },
    )
    const expected = Array.from({ length: rows }, (_, r) => {
      let best = 0
      for (let i = 1; i < width; i++) if (logits[r * width + i] > logits[r * width + best]) best = i
      return best
    })
    expect(Array.from(ids.toTypedArray() as BigInt64Array, Number)).toEqual(expected)
  })

  it('chooses the same tokens without log-probabilities', () => {
    const logits = randn([9, 77], { generator })
    const temperatures = Tensor.from(Float64Array.from({ length: 9 }, (_, r) => r % 3))
    const uniforms = Tensor.from(Float64Array.from({ length: 9 }, (_, r) => r / 10))
    const [logged, logProbs] = chooseTokens(logits, temperatures, uniforms)
    const [ids, none] = chooseTokens(logits, temperatures, uniforms, { logged: false })
    expect(ids.toTypedArray()).toEqual(logged.toTypedArray())
    expect([logProbs.shape, none.shape]).toEqual([[9], [0]])
  })

  it('has the log-probabilities of tokenLogProbs, to the bit', () => {
    const [hidden, weight] = [randn([7, 24], { generator }), randn([500, 24], { generator })]
    const temperatures = Tensor.from(new Float64Array(7).fill(0.8))
    const [ids, logProbs] = chooseTokens(
      linear(hidden, weight),
      temperatures,
      Tensor.from(new Float64Array(7).fill(0.4)),
    )
    const [trained] = tokenLogProbs(hidden, weight, null, ids, { temperature: 0.8 })
    expect(difference(logProbs, trained)).toBe(0)
  })

  it('refuses other shapes and temperatures', () => {
    const of = (...values: number[]) => Tensor.from(Float64Array.from(values))
    const logits = zeros([2, 3])
    expect(() => chooseTokens(logits, of(1), of(0, 0))).toThrow(/float64 \[2\]/)
    expect(() => chooseTokens(logits, of(1, -1), of(0, 0))).toThrow(/row 1/)
    expect(() => chooseTokens(logits, of(1, Number.NaN), of(0, 0))).toThrow(/temperatures/)
    expect(() => chooseTokens(zeros([3]), of(1), of(0))).toThrow(/\[B,V\]/)
  })
})

describe('setBatchInvariant', () => {
  afterEach(() => setBatchInvariant(false))

  it.each<Dtype>(['float32', 'bfloat16'])(
    'gives a row of a product the same bits in any batch, weights in %s',
    (dtype) => {
      expect(setBatchInvariant(true)).toBe(false)
      expect(isBatchInvariant()).toBe(true)
      const [input, weight] = [randn([200, 75], { generator }), randn([90, 75], { generator }).to(dtype)]
      const bias = randn([90], { generator }).to(dtype)
      const [codes, scales] = packInt8(weight)
      for (const product of [
        (x: Tensor) => linear(x, weight, bias),
        (x: Tensor) => packedLinear(x, codes, [scales], 90, bias),
        (x: Tensor) => packedLinear(x.to('bfloat16'), codes, [scales], 90, bias).to('float32'),
        (x: Tensor) => tokenLogProbs(x, weight, bias, int64(...Array(x.shape[0]).fill(7)))[0],
      ]) {
        const whole = product(input)
        for (const [from, count] of [
          [0, 1],
          [3, 16],
          [50, 17],
          [120, 80],
        ])
          expect(difference(product(input.narrow(0, from, count)), whole.narrow(0, from, count))).toBe(0)
      }
    },
  )

  it('gives the same bits with packed weights that are kept, also after they change', () => {
    setBatchInvariant(true)
    // More columns and a deeper sum than are packed at once.
    for (const [outputs, inputs] of [
      [90, 75],
      [1, 1],
      [1700, 40],
      [33, 1300],
    ]) {
      const [input, weight] = [randn([19, inputs], { generator }), randn([outputs, inputs], { generator })]
      const products = () =>
        [input, input.narrow(0, 0, 1), input.t().contiguous().t()].map((x) => linear(x, weight, null).toFloat32Array())
      const plain = products()
      expect(keepPacked([weight])).toBe(outputs * inputs)
      expect(products()).toEqual(plain)
      weight.mul_(2)
      expect(products()).toEqual(plain.map((values) => values.map((value) => 2 * value)))
      dropPacked([weight])
    }
    expect(() => keepPacked([ones([3])])).toThrow(/\[N,K\]/)
  })

  it('gives a query the same bits whatever is computed beside it, and however the row is padded', () => {
    setBatchInvariant(true)
    const [heads, size, length] = [2, 36, 50]
    const [q, k, v] = [0, 1, 2].map(() => randn([1, length, heads, size], { generator }))
    const whole = attention(q, k, v, { causal: true })
    const last = attention(q.narrow(1, length - 1, 1), k, v, { causal: true })
    expect(difference(last, whole.narrow(1, length - 1, 1))).toBe(0)
    for (const [left, right] of [
      [5, 0],
      [0, 7],
    ]) {
      const pad = (x: Tensor) => cat([ones([1, left, heads, size]), x, ones([1, right, heads, size])], 1)
      const mask = cat([zeros([1, left]), ones([1, length]), zeros([1, right])], 1)
        .ne(0)
        .reshape([1, 1, 1, -1])
      const padded = attention(pad(q), pad(k), pad(v), { causal: true, mask })
      expect(difference(padded.narrow(1, left, length), whole)).toBe(0)
    }
  })
})
