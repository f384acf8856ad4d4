// Compositions of adapters against those of the package `adapters` (make-composition.py): equal logits, and equal gradients
// of what is trained.
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { loadAdapter } from '../../src/adapters/index.ts'
import { openSafetensors } from '../../src/checkpoint/index.ts'
import type { Tensor } from '../../src/tensor/index.ts'
import { placedFile } from '../device.ts'

const openPlaced = async (path: string) => placedFile(await openSafetensors(path))

const golden = join(dirname(fileURLToPath(import.meta.url)), 'composition')
const largest = (values: Tensor): number => values.abs().max().item()
// The bias of a key shifts all scores alike: its gradient is zero but for rounding.
const relative = (actual: Tensor, wanted: Tensor): number =>
  largest(actual.sub(wanted)) / Math.max(largest(wanted), 1e-2)

it.each(readdirSync(golden))('%s has the logits and gradients of its reference', async (name) => {
  const expected = await openPlaced(join(golden, name, 'expected.safetensors'))
  const { model, applied } = await loadAdapter(join(golden, name), { trainable: true })
  const inputIds = expected.tensor('ids')
  const attentionMask = expected.tensor('mask')
  const { logits } = model.forward({ inputIds, attentionMask })
  const seen = (values: Tensor) => (values.ndim === 3 ? values.mul(attentionMask.unsqueeze(2)) : values)
  expect(relative(seen(logits), seen(expected.tensor('logits')))).toBeLessThan(1e-5)
  logits.mul(expected.tensor('weights')).sum().backward()
  const gradients = new Map(
    [...applied.trainable].map(([path, { grad }]) => [path.replace(/\.adapters\.default\./, '.adapter.'), grad]),
  )
  const { penalty } = applied.beginTraining({ totalSteps: 1, parameters: applied.trainable }) ?? {}
  expect(penalty !== undefined).toBe(expected.tensors.has('regularization'))
  if (penalty !== undefined)
    expect(penalty.loss().mul(penalty.scale).item()).toBeCloseTo(expected.tensor('regularization').item(), 5)
  const wanted = [...expected.tensors.keys()].filter((key) => key.startsWith('gradient.'))
  expect(new Set(wanted)).toEqual(new Set([...gradients.keys()].map((path) => `gradient.${path}`)))
  for (const key of wanted) {
    const gradient = gradients.get(key.slice('gradient.'.length))
    expect(relative(gradient as Tensor, expected.tensor(key)), key).toBeLessThan(1e-4)
  }
})
