// The device `strict` of native/strict-device.cpp: CPU memory that refuses to be mixed with other memory. For tests only.
import { native } from './native.ts'

/** What the strict device has counted since the process started. */
export interface StrictDeviceCounts {
  operators: number
  /** Times that the host would have waited for a device: values and sizes that were read, copies to the host. */
  waits: number
  /** Copies of tensors from and to the CPU. */
  uploads: number
  downloads: number
}

/** Adds the device `strict` to this process. Before the first backward pass. */
export const enableStrictDevice = (): void => native.enableStrictDevice()

/** Counts of the strict device; undefined before it is enabled. */
export const strictDeviceCounts = (): StrictDeviceCounts | undefined => native.strictDevice()
