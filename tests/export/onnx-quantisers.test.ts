// Quantised matrices have the bytes of onnxruntime's quantisers: onnx-quantisers.json, by make-onnx-quantisers.py.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { int4Constants, int8Constants } from '../../src/export/onnx/constants.ts'
import type { Constant } from '../../src/export/onnx/schema.ts'
import { Tensor } from '../../src/tensor/index.ts'

const golden = JSON.parse(readFileSync(new URL('onnx-quantisers.json', import.meta.url), 'utf8')) as Record<
  string,
  unknown
>

// As in make-onnx-quantisers.py.
const [rows, width] = [37, 96]
const matrix = Tensor.from(
  Float32Array.from({ length: rows * width }, (_, i) =>
    i >= (rows - 1) * width ? 0 : (((i * 7919) % 2003) - 1001) / 1000,
  ),
  { shape: [rows, width] },
)

const digest = ({ data }: Constant): string => {
  const hash = createHash('sha256')
  for (const chunk of data.chunks()) hash.update(chunk)
  return hash.digest('hex')
}

it('quantises to 8 bits as quantize_dynamic', () => {
  const { values, scales } = int8Constants('w', matrix, { byRow: false, transpose: true })
  expect(digest(values)).toBe(golden.int8)
  expect(scales[0]).toBe(golden.int8Scale)
})

it('quantises to 4 bits as MatMulNBitsQuantizer', () => {
  const { codes, scales } = int4Constants('w', matrix, 'float32')
  expect(digest(codes)).toBe(golden.int4)
  expect(digest(scales)).toBe(golden.int4Scales)
})
