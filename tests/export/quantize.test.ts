// Quantised blocks equal those of ggml byte for byte: SHA-256 of the blocks by libggml-base.so, from make-golden-blocks.py.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { quantizers } from '../../src/export/gguf/quantizers.ts'

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

it.each(Object.keys(golden))('%s', (name) => {
  const [type, ...weighted] = name.split(' with ')
  const quantizer = quantizers[type]
  const out = new Uint8Array((values.length / quantizer.blockSize) * quantizer.blockBytes)
  if (weighted.length > 0) quantizer.weighted!(values, out, importance)
  else quantizer.quantize(values, out)
  expect(createHash('sha256').update(out).digest('hex')).toBe(golden[name])
})

it('covers every type', () => {
  const names = Object.entries(quantizers).flatMap(([name, { weighted }]) =>
    weighted === undefined ? [name] : [name, `${name} with an importance matrix`],
  )
  expect(Object.keys(golden).sort()).toEqual(names.sort())
})
