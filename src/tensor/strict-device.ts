// The device `strict` of native/strict-device.cpp: CPU memory that refuses to be mixed with other memory. For tests only.
import { defaultDevice, useByDefault } from './device.ts'
import { native } from './native.ts'

/** What the strict device has counted since the process started. */
export interface StrictDeviceCounts {
  operators: number
  /** Times that the host would have waited for a device: values and sizes that were read, copies to the host. */
  waits: number
  /** Copies of tensors from and to the CPU. */
  uploads: number
  downloads: number
  /** Times that its allocator gave cached memory back. */
  emptied: number
  /** Graphs that were captured, and times that one was replayed. */
  captures: number
  replays: number
}

/**
 * Adds the device `strict` to this process, before the first backward pass; `byDefault` makes it the device of models and runs that
 * name none.
 */
export const enableStrictDevice = ({ byDefault = false }: { byDefault?: boolean } = {}): void => {
  native.enableStrictDevice()
  if (byDefault) useByDefault('strict')
}

/** Limits the memory of the strict device in bytes: beyond it, operators throw an OutOfMemoryError. Undefined removes the limit. */
export const setStrictMemory = (bytes: number | undefined): void => native.setStrictMemory(bytes)

/**
 * Takes from the strict device what the GPUs of Macs lack: float64, and operators such as `aten::cumsum`, which are then computed on the
 * CPU and counted. Without options it has all again.
 */
export const limitStrictDevice = ({
  float64 = true,
  lacking = [],
}: {
  float64?: boolean
  lacking?: readonly string[]
} = {}): void => native.limitStrictDevice(float64, lacking)

/** How this process has the strict device; undefined where it has not. */
export const strictDeviceState = (): { byDefault: boolean } | undefined =>
  native.strictDevice() === undefined ? undefined : { byDefault: defaultDevice() !== 'cpu' }

/** Counts of the strict device; undefined before it is enabled. */
export const strictDeviceCounts = (): StrictDeviceCounts | undefined => native.strictDevice()
