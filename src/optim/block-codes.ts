// Block-wise dynamic quantisation of a float32 tensor to 8 bits: codes of unequal steps, and the largest size of each block.
// @source arXiv:2110.02861; bitsandbytes, create_dynamic_map and the block-wise 8-bit optimizers
import { cat, Tensor, zeros } from '../tensor/index.ts'

/** Elements that share a scale. */
export const blockSize = 256

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
export const blockCount = (size: number): number => Math.ceil(size / blockSize)

/** Codes of 8 bits and their scales: views of the state of an optimizer. */
export interface BlockCodes {
  /** uint8 [elements] */
  codes: Tensor
  /** [blocks] */
  scales: Tensor
}

/** Float32 values of elements [elements], in whole blocks but for the last. */
export const unpackBlocks = ({ codes, scales }: BlockCodes, signed: boolean): Tensor => {
  const { values } = bookOf(signed, codes.device)
  const sizes = scales.unsqueeze(1).expand([scales.size, blockSize]).reshape([-1]).narrow(0, 0, codes.size)
  return values.indexSelect(0, codes.to('int32')).mul(sizes)
}

/** Writes the nearest codes of values into a state. Signed values keep their sign. */
export const packBlocks = (state: BlockCodes, given: Tensor, signed: boolean): void => {
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
