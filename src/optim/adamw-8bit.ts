// AdamW with both averages in 8 bits, with a scale for every 256 elements.
import { z } from 'zod'
import { scope, type Tensor } from '../tensor/index.ts'
import { adamwSlots } from './adamw.ts'
import { type BlockCodes, blockCount, blockSize, packBlocks, unpackBlocks } from './block-codes.ts'
import { eachParameter, scaled } from './each-parameter.ts'
import { averageField, defineOptimizer, groupFields, type ParameterUpdate } from './optimizer.ts'

/** Smaller parameters keep averages in float32: they take no memory, and norms and biases are sensitive. */
const smallest = 4096
/** Elements whose averages are float32 at the same time. */
const pieceSize = 4096 * blockSize

const isPacked = (shape: readonly number[]): boolean => shape.reduce((product, size) => product * size, 1) >= smallest

interface Settings {
  beta1: number
  beta2: number
  eps: number
}

/** One step on some elements, with averages in float32. @source bitsandbytes, kOptimizerStatic8bit2StateBlockwise */
const step = (
  { beta1, beta2, eps }: Settings,
  { learningRate, weightDecay, count }: ParameterUpdate,
  { weight, gradient, first, second }: { weight: Tensor; gradient: Tensor; first: Tensor; second: Tensor },
): void => {
  first.mul_(beta1).add_(gradient, { alpha: 1 - beta1 })
  second.mul_(beta2).addcmul_(gradient, gradient, { value: 1 - beta2 })
  const correction = Math.sqrt(1 - beta2 ** count)
  const root = second.sqrt().add_(correction * eps)
  weight.addcdiv_(first, root, { value: (-learningRate * correction) / (1 - beta1 ** count) })
  if (weightDecay !== 0) weight.mul_(1 - learningRate * weightDecay)
}

/** State: 2 bytes per element and 8 per 256 of them; 8 per element of parameters below 4,096; 4 more for bfloat16 masters. */
export const adamw8bit = defineOptimizer({
  type: 'adamw-8bit',
  source: 'arXiv:2110.02861; bitsandbytes.optim.AdamW8bit',
  summary: 'AdamW with averages in 8 bits; 2.03 bytes of state per element.',
  config: z.strictObject({
    type: z.literal('adamw-8bit').describe('AdamW with averages in 8 bits: a quarter of the memory of its state'),
    beta1: averageField(0.9).describe('decay of the average gradient'),
    beta2: averageField(0.999).describe('decay of the average squared gradient'),
    eps: z.number().gt(0).default(1e-8).describe('added to the root of the average square, for stability'),
    ...groupFields(0.01),
  }),
  defaultLearningRate: () => 1e-3,
  slots: (_, { shape }) => {
    if (!isPacked(shape)) return adamwSlots(shape)
    const size = shape.reduce((product, length) => product * length, 1)
    const codes = { shape: [size], dtype: 'uint8' } as const
    const scales = [blockCount(size)]
    return { first_codes: codes, first_scales: scales, second_codes: codes, second_scales: scales }
  },
  update: (config, updates, scale) =>
    eachParameter(updates, (update, unscaled) => {
      const { weight, slots, shape } = update
      const gradient = scaled(unscaled, scale)
      if (!isPacked(shape)) {
        step(config, update, { weight, gradient, first: slots.first_moment, second: slots.second_moment })
        return
      }
      const [flatWeight, flatGradient] = [weight.detach().view([-1]), gradient.view([-1])]
      const size = flatWeight.size
      for (let from = 0; from < size; from += pieceSize)
        scope(() => {
          const length = Math.min(pieceSize, size - from)
          const part = (name: 'first' | 'second'): BlockCodes => ({
            codes: slots[`${name}_codes`].narrow(0, from, length),
            scales: slots[`${name}_scales`].narrow(0, from / blockSize, blockCount(length)),
          })
          const [firstCodes, secondCodes] = [part('first'), part('second')]
          const [first, second] = [unpackBlocks(firstCodes, true), unpackBlocks(secondCodes, false)]
          const piece = (tensor: Tensor) => tensor.narrow(0, from, length)
          step(config, update, { weight: piece(flatWeight), gradient: piece(flatGradient), first, second })
          packBlocks(firstCodes, first, true)
          packBlocks(secondCodes, second, false)
        })
    }),
})
