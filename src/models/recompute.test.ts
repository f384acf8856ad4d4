// Recomputed layers run in what `recomputeIn` sets up, in both stacks of an encoder-decoder too.
import { expect, it } from 'vitest'
import { defaultDevice, tensor } from '../tensor/index.ts'
import { buildModel, type ModelDefinition, models } from './index.ts'

it.each([
  ['llama', 'causal-lm', 2],
  ['bert', 'masked-lm', 2],
  ['t5', 'seq2seq-lm', 4],
  ['bart', 'seq2seq-lm', 4],
] as const)('%s computes each layer twice in it, forward and in the backward pass', (type, head, layers) => {
  const definition: ModelDefinition = models[type]
  const model = buildModel(definition, definition.adjust(definition.presets.test, {}), head).to({
    device: defaultDevice(),
  })
  model.requireGrad(true)
  const inputIds = tensor([[5, 6, 7, 8]], { dtype: 'int64', device: defaultDevice() })
  const decoderInputIds = layers > 2 ? inputIds : undefined
  let calls = 0
  const recomputeIn = <Result>(layer: () => Result): Result => {
    calls++
    return layer()
  }
  const { hidden } = model.bodyForward({ inputIds, decoderInputIds, recompute: 2, recomputeIn })
  expect(calls).toBe(layers)
  hidden.sum().backward()
  expect(calls).toBe(2 * layers)
})
