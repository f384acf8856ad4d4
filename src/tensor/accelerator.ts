// Accelerators, whichever they are: copies to them that the host does not wait for, and the memory of a device.
import { memoryUsage } from 'node:process'
import { OutOfMemoryError } from '../core/index.ts'
import { expectDevice } from './device.ts'
import { withTypedErrors } from './error-messages.ts'
import { type DeviceMemory, native } from './native.ts'
import { Tensor } from './tensor.ts'

/**
 * The tensor of the CPU on a device, itself for the CPU. It is copied from pinned memory, so the host does not wait.
 * @throws ConfigError for an unknown device
 */
export const upload = (tensor: Tensor, device: string | undefined): Tensor => {
  const wanted = expectDevice(device)
  if (wanted === 'cpu') return tensor
  return Tensor.fromHandle(withTypedErrors('upload', () => native.upload(tensor.use(), wanted)))
}

/**
 * Memory of a device that libtorch has for this process; undefined for the CPU, and where libtorch is too old to count it (2.13 does).
 */
export const deviceMemory = (device: string | undefined): DeviceMemory | undefined => {
  const wanted = expectDevice(device)
  return wanted === 'cpu' ? undefined : withTypedErrors('deviceMemory', () => native.deviceMemory?.(wanted))
}

/** The same of the accelerator that this process uses or would use; undefined without one. */
export const acceleratorMemory = (): DeviceMemory | undefined =>
  withTypedErrors('acceleratorMemory', () => native.deviceMemory?.())

const shownOperators = 3

/**
 * A line about the operators that the GPU lacks and that were computed on the CPU in its place since `before`, the most frequent ones
 * first; undefined for none. Each takes two copies and a wait.
 */
export const fallbackNotice = (before: Record<string, number> = {}): string | undefined => {
  const counts = Object.entries(native.fallbacks())
    .map(([name, count]) => [name, count - (before[name] ?? 0)] as const)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
  if (counts.length === 0) return undefined
  const shown = counts.slice(0, shownOperators).map(([name, count]) => `${name} (${count})`)
  const others = counts.length > shownOperators ? ` and ${counts.length - shownOperators} others` : ''
  const all = counts.reduce((sum, [, count]) => sum + count, 0)
  return `The GPU lacks ${counts.length} ${counts.length === 1 ? 'operator' : 'operators'}: ${all} calls ran on the CPU in its place, of ${shown.join(', ')}${others}.`
}

/** How often each operator ran on the CPU because the GPU lacks it, in this process. */
export const fallbackCounts = (): Record<string, number> => native.fallbacks()

/** Restarts the `peak` of `deviceMemory` from the memory in use. */
export const resetDevicePeak = (device: string): void => native.resetDevicePeak?.(expectDevice(device))

/** Memory that the process holds on a device, freed blocks that are kept for reuse among it; on the CPU its resident memory. */
export const processMemory = (device: string | undefined): number => {
  const memory = deviceMemory(device)
  return memory === undefined ? memoryUsage.rss() : memory.inUse + memory.cached
}

/** Gives the accelerator back what its allocator keeps for reuse: blocks of the sizes of what failed would leave gaps. */
export const releaseDeviceCache = (): void => native.emptyDeviceCache?.()

/**
 * Whether memory did not suffice, so that a smaller part may be tried, for which freed memory of the accelerator is released. Call it after the
 * tensors of what failed are freed.
 */
export const isOutOfMemory = (error: unknown): error is OutOfMemoryError => {
  if (!(error instanceof OutOfMemoryError)) return false
  releaseDeviceCache()
  return true
}
