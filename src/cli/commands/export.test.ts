// What `export` prints of its comparisons.
import { expect, it } from 'vitest'
import type { ProofRow } from '../../export/index.ts'
import { renderProof } from './export.ts'

const row = (target: string, check: string, value: string, more: Partial<ProofRow> = {}): ProofRow => ({
  ...{ target, consumer: 'tunesmith', check, value, ok: true },
  ...more,
})

it('prints comparisons within 80 columns, with their values in one column', () => {
  const consumer = 'onnxruntime-node 1.30.0'
  const lines = renderProof([
    row('merged', 'logits, largest relative difference', '8.01e-8', { limit: 0.0001 }),
    row('merged', 'token ids', '12 of 12 texts'),
    row('onnx:q8', 'logits against the quantised weights in float32', '0.00152', { limit: 0.5, consumer }),
    row('onnx:q8', 'token ids', '12 of 12 texts', { consumer: 'transformers.js 4.3.1' }),
    row('onnx:q8', 'macro F1 on 12,000 records, of the model, of the export, and more', '0.91234, 0.91201', {
      limit: 0.01,
    }),
  ])
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80)
  expect(lines.filter((line) => !line.startsWith(' '))).toEqual([
    'merged',
    'onnx:q8, by onnxruntime-node 1.30.0',
    'onnx:q8, by transformers.js 4.3.1',
    'onnx:q8',
  ])
  expect(
    new Set(
      ['8.01e-8', '12 of', '0.00152', '0.91234'].map((value) =>
        lines.find((line) => line.includes(value))?.indexOf(value),
      ),
    ).size,
  ).toBe(1)
})
