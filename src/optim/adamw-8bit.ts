// AdamW with both averages in 8 bits, with a scale for every 256 elements.
import { z } from 'zod'
import { cat, scope, Tensor, zeros } from '../tensor/index.ts'
import { adamwSlots } from './adamw.ts'
import { defineOptimizer, eachParameter, groupFields, momentFields, type ParameterUpdate, scaled } from './optimizer.ts'

// Block-wise dynamic quantisation of a float32 tensor to 8 bits: codes of unequal steps, and the largest size of each block.
// @source arXiv:2110.02861; bitsandbytes, create_dynamic_map and the block-wise 8-bit optimizers

/** Elements that share a scale. */
const blockSize = 256

/** 256 values from -1 (or 0) to 1, closer to each other near 0. */
const dynamicMap = (signed: boolean): number[] => {
  const values = [0, 1]
  for (let i = 0; i < 7; i++) {
    const count = signed ? 2 ** i : 2 ** (i + 1)
    const bounds = Array.from({ length: count + 1 }, (_, k) => 0.1 + (0.9 * k) / count)
    for (let k = 0; k < count; k++) {
      const value = ((bounds[k] + bounds[k + 1]) / 2) * 10 ** (i - 6)
      values.push(value)
      if (signed) values.push(-value)
    }
  }
  return values.sort((a, b) => a - b)
}

/** A map as tensors: its values, and the middles between them. */
interface CodeBook {
  values: Tensor
  middles: Tensor
}

const numbersOf = (signed: boolean) => {
  const values = dynamicMap(signed)
  const middles = values.slice(1).map((value, i) => (value + values[i]) / 2)
  return { values: Float32Array.from(values), middles: Float32Array.from(middles) }
}
// Each parameter of each step reads them.
const [signedNumbers, unsignedNumbers] = [numbersOf(true), numbersOf(false)]

const bookOf = (signed: boolean, device: string): CodeBook => {
  const { values, middles } = signed ? signedNumbers : unsignedNumbers
  return { values: Tensor.from(values).to({ device }), middles: Tensor.from(middles).to({ device }) }
}

/** Number of blocks of a tensor. */
const blockCount = (size: number): number => Math.ceil(size / blockSize)

/** Codes of 8 bits and their scales: views of the state of an optimizer. */
interface BlockCodes {
  /** uint8 [elements] */
  codes: Tensor
  /** [blocks] */
  scales: Tensor
}

/** Float32 values of elements [elements], in whole blocks but for the last. */
const unpackBlocks = ({ codes, scales }: BlockCodes, signed: boolean): Tensor => {
  const { values } = bookOf(signed, codes.device)
  const sizes = scales.unsqueeze(1).expand([scales.size, blockSize]).reshape([-1]).narrow(0, 0, codes.size)
  return values.indexSelect(0, codes.to('int32')).mul(sizes)
}

/** Writes the nearest codes of values into a state. Signed values keep their sign. */
const packBlocks = (state: BlockCodes, given: Tensor, signed: boolean): void => {
  const { values, middles } = bookOf(signed, given.device)
  const missing = state.scales.size * blockSize - given.size
  const padded = missing === 0 ? given : cat([given, zeros([missing], { device: given.device })])
  const blocks = padded.view([-1, blockSize])
  const scales = blocks.abs().amax(1) // [blocks]
  state.scales.copy_(scales)
  // A block of zeros has codes of zero at any scale.
  const shares = blocks
    .div(scales.unsqueeze(1).clamp({ min: 1e-38 }))
    .view([-1])
    .narrow(0, 0, given.size)
  const nearest = shares.searchsorted(middles)
  if (!signed) {
    state.codes.copy_(nearest)
    return
  }
  // As in bitsandbytes: a small value must not become one of the other sign.
  const isNegative = given.lt(0)
  const isOther = values.indexSelect(0, nearest).lt(0).ne(isNegative).to('int64')
  const towards = isNegative.to('int64').mul(-2).add(1)
  state.codes.copy_(nearest.add(isOther.mul(towards)))
}

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
    ...momentFields(1e-8),
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
