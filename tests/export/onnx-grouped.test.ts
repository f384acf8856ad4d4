// Decoders with onnxruntime's GroupQueryAttention in onnxruntime-node, against our own forward pass in float32: every
// architecture and format, with a cache, padded on either side; and what is refused.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type OnnxFormat, writeOnnx } from '../../src/export/onnx/write-onnx.ts'
import { headsOf, type Model, models } from '../../src/models/index.ts'
import { groupable, limits, oddModel, worstInBatch, worstOf, worstWithCache } from './onnx-fixture.ts'

const scratch = mkdtempSync(join(tmpdir(), 'onnx-grouped-'))
afterAll(() => rmSync(scratch, { recursive: true }))

const decoders = Object.values(models)
  .filter((one) => 'causal-lm' in headsOf(one, one.adjust(one.presets.test, {})))
  .map(({ type }) => type as keyof typeof models)

const grouped = (type: keyof typeof models): Model => oddModel(type, 'causal-lm', groupable[type])

describe('GroupQueryAttention', () => {
  it('is tested with every decoder', () => {
    expect(decoders).toHaveLength(14)
  })

  it.each(decoders)('%s in every format', async (type) => {
    const model = grouped(type)
    for (const format of Object.keys(limits) as OnnxFormat[])
      expect([format, await worstOf(model, format, 'grouped')]).toEqual([
        format,
        expect.toSatisfy((x: number) => x < limits[format]),
      ])
  })

  it.each(decoders)('%s with a cache, alone and in a batch that is padded on the left', async (type) => {
    const model = grouped(type)
    expect(await worstWithCache(model, 'grouped')).toBeLessThan(limits.fp32)
    expect(await worstInBatch(model, 'grouped', 'left')).toBeLessThan(limits.fp32)
  })

  it.each(['llama', 'gpt2', 'qwen3', 'gpt-neox'] as const)(
    '%s in a batch that is padded on the right',
    async (type) => {
      expect(await worstInBatch(grouped(type), 'grouped', 'right')).toBeLessThan(limits.fp32)
      expect(await worstInBatch(grouped(type), 'plain', 'right')).toBeLessThan(limits.fp32)
    },
  )

  it('is one node for each layer, in place of the softmax', async () => {
    const model = grouped('llama')
    const [name] = await writeOnnx(model, scratch, { operators: 'grouped' })
    const file = readFileSync(join(scratch, name), 'latin1')
    expect(file).toContain('/attention/GroupQueryAttention')
    expect(file).not.toContain('Softmax')
    const first = readFileSync(join(scratch, name))
    await writeOnnx(model, scratch, { operators: 'grouped' })
    expect(first.equals(readFileSync(join(scratch, name)))).toBe(true)
  })

  it.each([
    ['bert', 'masked-lm', /needs a decoder .* bert with the head masked-lm has none.*opset/s],
    ['t5', 'seq2seq-lm', /t5 with the head seq2seq-lm has none/],
    ['llama', 'reward', /llama with the head reward has none/],
    ['llama', 'causal-lm', /multiple of 8 elements .* got 10 in llama/],
  ] as const)('refuses %s with the head %s', async (type, head, words) => {
    await expect(writeOnnx(oddModel(type, head), scratch, { operators: 'grouped' })).rejects.toThrow(words)
  })
})
