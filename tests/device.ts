// The device on which tests of models run: that of TUNESMITH_TEST_DEVICE, `cpu` by default. With `strict`, a tensor that was made
// without the model's device is an error.
import type { SafetensorsFile } from '../src/checkpoint/index.ts'
import { enableStrictDevice, expectDevice, type Tensor } from '../src/tensor/index.ts'

if (process.env.TUNESMITH_TEST_DEVICE === 'strict') enableStrictDevice()
export const testDevice: string = expectDevice(process.env.TUNESMITH_TEST_DEVICE)

/** The tensor on the device of the tests. */
export const placed = (tensor: Tensor): Tensor => tensor.to({ device: testDevice })

/** A file whose tensors are on the device of the tests. */
export const placedFile = (file: SafetensorsFile): SafetensorsFile => ({
  ...file,
  tensor: (name) => placed(file.tensor(name)),
})

/** Whether tests of models run on another device than the CPU. */
export const away = testDevice !== 'cpu'

/** The end of a title of a test that another device than the CPU skips. */
export const skippedAway = (reason: string): string => (away ? ` (skipped on ${testDevice}: ${reason})` : '')

/** The reason to skip what rests on batch-invariant kernels. */
export const sameBits = 'the CPU alone computes the same bits in any batch'
