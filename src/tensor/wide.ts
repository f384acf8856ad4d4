// Sums whose order must not matter, in the widest floating numbers that a device has.
import { widestDtype } from './device.ts'
import { Tensor } from './tensor.ts'

/** The tensor in the widest floating dtype of its device, with a gradient. */
export const widened = (tensor: Tensor): Tensor => tensor.to({ dtype: widestDtype(tensor.device) })

/** Numbers in the widest floating dtype of a device (default: the CPU). */
export const wideTensor = (
  values: Float64Array,
  { shape, device = 'cpu' }: { shape?: readonly number[]; device?: string } = {},
): Tensor =>
  Tensor.from(widestDtype(device) === 'float64' ? values : Float32Array.from(values), {
    ...(shape && { shape }),
    device,
  })
