// Quantised blocks equal those of ggml byte for byte: SHA-256 of the blocks by libggml-base.so, from make-golden-blocks.py.
// src/tensor/instruction-sets.test.ts runs this file with other vector code too.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { quantizers } from '../../src/export/gguf/mixes.ts'
import { encodeRows, Tensor } from '../../src/tensor/index.ts'

const golden = JSON.parse(readFileSync(new URL('golden/blocks.json', import.meta.url), 'utf8')) as Record<
  string,
  string
>
const [rows, width] = [16, 1024]
let state = 12345
const next = (): number => {
  state = Number((BigInt(state) * 1664525n + 1013904223n) % 4294967296n)
  return state / 2 ** 32 - 0.5
}
const sum = () => next() + next() + next() + next()
const values = Float32Array.from(
  { length: rows * width },
  (_, i) => sum() * (i < width ? 0.01 : 1) * (i >= 3 * width && i < 3 * width + 300 ? 0 : 1),
)
// Inputs of very different sizes, and columns without any.
const importance = Float32Array.from({ length: width }, (_, i) =>
  (i >= 40 && i < 60) || (i >= 512 && i < 768) ? 0 : (sum() * (i % 7 === 0 ? 30 : 1)) ** 2,
)

// Rows of 96 are no whole number of eight blocks. Their values are multiples of 1/8 and zeros: many ties.
const narrow = 96
const eighths = values.slice(0, 170 * narrow).map((value) => Math.max(0, Math.floor(value * 8) / 8))

it.each(Object.keys(golden))('%s', (name) => {
  const [type] = name.split(' ')
  const [given, columns] = name.includes('rows of 96') ? [eighths, narrow] : [values, width]
  const weights = name.includes('importance') ? Tensor.from(importance.slice(0, columns)) : null
  const blocks = encodeRows(Tensor.from(given, { shape: [given.length / columns, columns] }), type, weights)
  const { blockSize, blockBytes } = quantizers[type]
  expect(blocks.shape).toEqual([given.length / columns, (columns / blockSize) * blockBytes])
  const out = new Uint8Array(blocks.size)
  blocks.copyInto(out)
  expect(createHash('sha256').update(out).digest('hex')).toBe(golden[name])
})

it('covers every type', () => {
  const names = Object.entries(quantizers).flatMap(([name, { weighted, blockSize }]) =>
    [name, ...(narrow % blockSize === 0 ? [`${name} in rows of 96`] : [])].flatMap((rows) =>
      weighted ? [rows, `${rows} with an importance matrix`] : [rows],
    ),
  )
  expect(Object.keys(golden).sort()).toEqual(names.sort())
})

// Two blocks of 256 may be searched at once, so that an odd number leaves one.
it.each(Object.entries(quantizers).flatMap(([name, { blockSize }]) => (blockSize === 256 ? [name] : [])))(
  '%s: the blocks of a row do not depend on how many it has',
  (type) => {
    const { blockBytes, weighted } = quantizers[type as keyof typeof quantizers]
    const whole = Tensor.from(values, { shape: [rows, width] })
    for (const columns of weighted ? [undefined, Tensor.from(importance)] : [undefined])
      for (const count of [1, 3]) {
        const few = encodeRows(whole.narrow(1, 0, 256 * count), type, columns?.narrow(0, 0, 256 * count))
        const all = encodeRows(whole, type, columns).narrow(1, 0, count * blockBytes)
        expect(few.contiguous().toArray(), `${count} blocks`).toEqual(all.contiguous().toArray())
      }
  },
)

it('refuses rows that are no whole blocks, unknown types, and importance that has no effect', () => {
  const rows = Tensor.from(values.slice(0, 192), { shape: [2, 96] })
  expect(() => encodeRows(rows, 'Q4_K')).toThrow(/Expected rows of whole blocks of 256 values \(Q4_K\).*\[2, 96\]/)
  expect(() => encodeRows(rows, 'Q9_0')).toThrow(/Expected one of Q4_0, .* MXFP4, .* as `format`.*got Q9_0/)
  const weights = Tensor.from(importance.slice(0, 96))
  expect(() => encodeRows(rows, 'Q8_0', weights)).toThrow(/Expected no `columns` for Q8_0.*got some/)
  expect(() => encodeRows(rows, 'Q4_0', weights.narrow(0, 0, 32))).toThrow(
    /Expected float32 \[96\] as `columns` for Q4_0/,
  )
})
