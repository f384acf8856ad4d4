// The fused dropout draws from a stream of its own, so it is held to what dropout is, not to PyTorch's mask: zeros and scaled
// values, the right share of each, one mask for forward and backward, and the same mask for the same generator.
import { describe, expect, it } from 'vitest'
import { attention, dropout, Generator, gradients, ones, Tensor, zeros } from '../../src/tensor/index.ts'

const draw = (p: number, seed: number, count = 10_000) => dropout(ones([count]), p, { generator: new Generator(seed) })

describe('dropout', () => {
  it.each([0.1, 0.5, 0.9])('drops about %d of the elements and scales the others', (p) => {
    const values = draw(p, 1).toFloat32Array()
    const kept = values.filter((value) => value !== 0)
    expect(new Set(kept.map((value) => Math.fround(value)))).toEqual(new Set([Math.fround(1 / (1 - p))]))
    // Four standard deviations of a binomial share.
    expect(Math.abs(1 - kept.length / values.length - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / values.length))
  })

  it('keeps everything at 0', () => {
    expect(draw(0, 1, 7).toArray()).toEqual([1, 1, 1, 1, 1, 1, 1])
  })

  it('gives the gradient the same mask', () => {
    const x = ones([501])
    x.requiresGrad = true
    const y = dropout(x, 0.4, { generator: new Generator(3) })
    const [gradient] = gradients([y.sum()], [x])
    expect(gradient?.toFloat32Array()).toEqual(y.toFloat32Array())
  })

  it('repeats with the seed, and advances the generator', () => {
    expect(draw(0.5, 9).equal(draw(0.5, 9))).toBe(true)
    expect(draw(0.5, 9).equal(draw(0.5, 10))).toBe(false)
    const generator = new Generator(9)
    const [first, second] = [0, 1].map(() => dropout(ones([1000]), 0.5, { generator }))
    expect(first.equal(second)).toBe(false)
  })

  it('works in bfloat16 and on empty and strided tensors', () => {
    expect(dropout(ones([0, 3]), 0.5).shape).toEqual([0, 3])
    const wide = dropout(ones([40, 3], { dtype: 'bfloat16' }).t(), 0.5, { generator: new Generator(1) })
    expect(wide.dtype).toBe('bfloat16')
    expect([...new Set(wide.toFloat32Array())].sort()).toEqual([0, 2])
  })

  it('gives a row the mask of its key, whatever rows are beside it', () => {
    // As in training: neighbours in a text, sequences and examples of a batch, heads of a token.
    const keys = [0n, 1n, 2n, 1n << 20n, 1n << 36n, (1n << 36n) + 1n, 1n << 56n]
    const masksOf = (chosen: readonly bigint[], width: number, dtype: 'float32' | 'bfloat16' = 'float32') => {
      const rowKeys = Tensor.from(BigInt64Array.from(chosen), { shape: [chosen.length] })
      const rows = dropout(ones([chosen.length, width], { dtype }), 0.5, { generator: new Generator(3), rowKeys })
      return rows.toArray() as number[][]
    }
    for (const width of [1, 7, 768, 5000]) {
      const whole = masksOf(keys, width)
      expect(masksOf([...keys].reverse(), width)).toEqual([...whole].reverse())
      for (const [i, key] of keys.entries()) expect(masksOf([key], width)[0]).toEqual(whole[i])
      expect(masksOf(keys, width, 'bfloat16')).toEqual(whole)
    }
    // Columns that a narrower row lacks change nothing either.
    expect(masksOf(keys, 7)).toEqual(masksOf(keys, 768).map((row) => row.slice(0, 7)))
  })

  it('gives different rows, uses and seeds independent masks', () => {
    const [rows, width] = [1500, 64]
    const p = 0.3
    const shifts = [0n, 20n, 36n, 56n]
    const limit = (count: number) => 5 * Math.sqrt(1 / count)
    for (const shift of shifts) {
      // The highest byte has few numbers.
      const count = shift === 56n ? 120 : rows
      const rowKeys = Tensor.from(
        BigInt64Array.from({ length: count }, (_, i) => BigInt(i) << shift),
        { shape: [count] },
      )
      const use = (generator: Generator) =>
        dropout(ones([count, width]), p, { generator, rowKeys })
          .eq(0)
          .to({ dtype: 'float32' })
          .sub(p)
      const generator = new Generator(5)
      const [first, second, other] = [use(generator), use(generator), use(new Generator(6))]
      const related = (a: Tensor, b: Tensor) => Math.abs(a.mul(b).mean().item()) / (p * (1 - p))
      expect(Math.abs(first.mean().item())).toBeLessThan(limit(first.size) * Math.sqrt(p * (1 - p)))
      for (const dim of [0, 1])
        expect(first.mean(dim).abs().max().item()).toBeLessThan(
          limit(dim === 0 ? count : width) * Math.sqrt(p * (1 - p)),
        )
      expect(related(first, second)).toBeLessThan(limit(first.size))
      expect(related(first, other)).toBeLessThan(limit(first.size))
      // Neighbours of all distances up to 8, in rows and in columns.
      for (let step = 1; step <= 8; step++)
        for (const [dim, length] of [count, width].entries()) {
          const [near, far] = [first.narrow(dim, 0, length - step), first.narrow(dim, step, length - step)]
          expect(related(near, far)).toBeLessThan(limit(near.size))
        }
    }
  })

  it('of attention gives a query the mask of its key, padded or packed', () => {
    // With equal scores and the unit matrix as values, the output shows which weights stay.
    const [size, heads] = [9, 2]
    const weightsOf = (lengths: readonly number[], packed: boolean, firstKey: bigint) => {
      const batch = packed ? 1 : lengths.length
      const longest = Math.max(...lengths)
      const tokens = packed ? lengths.reduce((sum, length) => sum + length, 0) : batch * longest
      const nothing = zeros([batch, tokens / batch, heads, 16])
      const keys: bigint[] = []
      for (const [row, length] of lengths.entries())
        for (let t = 0; t < (packed ? length : longest); t++) keys.push(firstKey + (BigInt(row) << 20n) + BigInt(t))
      const numbers = keys.map((key) => Number((key - firstKey) & 0xfffffn))
      const places = Tensor.from(BigInt64Array.from(numbers, BigInt), { shape: [batch, tokens / batch, 1] })
      const unit = places.oneHot(16).to('float32').expand(nothing.shape)
      const edges = [0]
      for (const length of lengths) edges.push(edges[edges.length - 1] + length)
      const mask = lengths.flatMap((length) => Array.from({ length: longest }, (_, t) => (t < length ? 1 : 0)))
      const output = attention(nothing, nothing, unit, {
        dropout: 0.5,
        generator: new Generator(4),
        rowKeys: Tensor.from(BigInt64Array.from(keys), { shape: [keys.length] }),
        ...(packed
          ? { queryStarts: Tensor.from(BigInt64Array.from(edges, BigInt), { shape: [edges.length] }) }
          : { mask: Tensor.from(Uint8Array.from(mask), { shape: [batch, 1, 1, longest] }).ne(0) }),
      })
      const rows = output.reshape([-1, heads * 16]).toArray() as number[][]
      return lengths.flatMap((length, row) =>
        packed ? rows.slice(edges[row], edges[row + 1]) : rows.slice(row * longest, row * longest + length),
      )
    }
    const close = (a: number[][], b: number[][]) =>
      a.every((row, i) => row.every((value, j) => Math.abs(value - b[i][j]) < 1e-6))
    const padded = weightsOf([size, 3, 6], false, 0n)
    expect(close(weightsOf([size, 3, 6], true, 0n), padded)).toBe(true)
    expect(close(weightsOf([size], true, 0n), padded.slice(0, size))).toBe(true)
    expect(close(weightsOf([size], true, 1n << 36n), padded.slice(0, size))).toBe(false)
    // Heads differ.
    expect(padded.some((row) => row.slice(0, 16).join() !== row.slice(16).join())).toBe(true)
  })

  it('refuses keys that are not one for each row', () => {
    const keys = Tensor.from(BigInt64Array.of(1n, 2n), { shape: [2] })
    expect(() => dropout(ones([3, 4]), 0.5, { rowKeys: keys })).toThrow(/int64 keys of 3 rows as `rowKeys`, got Long/)
    const heads = ones([1, 3, 1, 8])
    expect(() => attention(heads, heads, heads, { dropout: 0.5, rowKeys: keys })).toThrow(/keys of 3 rows/)
    expect(() => dropout(ones([3, 4]), 0.5, { rowKeys: ones([3]) })).toThrow(/int64 keys/)
  })

  it.each([1, 1.5, -0.1, Number.NaN])('refuses p = %d', (p) => {
    expect(() => dropout(Tensor.from([1, 2]), p)).toThrow(/dropout/)
  })
})
