// Names of devices, checked once: in flags and recipes by the schema, in functions by `expectDevice`, and in operators, so that a wrong
// name never reaches libtorch.
import { z } from 'zod'
import { ConfigError, didYouMean, setupCall, show } from '../core/index.ts'
import { type Dtype, dtypeFacts, expectDtype } from './dtype.ts'
import { native } from './native.ts'

let cuda: { built: boolean; devices: number } | undefined

const cudaName = /^cuda(?::(\d{1,2}))?$/
const offered = 'Choose cpu, cuda or cuda:0.'

/** Whether it is the name of a CUDA device, on this machine or not. */
export const isCuda = (device: string): boolean => cudaName.test(device)

/** Whether libtorch has CUDA, and how many devices the machine has; asked once. */
const cudaFacts = () => {
  const { cuda: built, cudaDevices: devices } = native.buildFacts()
  return { built, devices }
}

/** Whether it is the device of tests, in a process that has it. */
const isStrictDevice = (device: unknown): boolean =>
  (device === 'strict' || device === 'strict:0') && native.strictDevice() !== undefined

/** What to say of names that other programs have. */
const unknownHint = (device: string): string => {
  if (/^mps\b/i.test(device)) return 'The GPU of a Mac is not supported. '
  return /^(gpu|nvidia|xpu|hip|rocm)\b/i.test(device) ? 'NVIDIA cards are cuda; others are not supported. ' : ''
}

/** What to do about a device that cannot be used; undefined for one that can. The CPU is answered without the addon. */
const deviceRemedy = (device: unknown): string | undefined => {
  if (device === 'cpu' || isStrictDevice(device)) return undefined
  if (typeof device !== 'string') return offered
  if (!isCuda(device)) return `${didYouMean(device, ['cpu', 'cuda'])} ${unknownHint(device)}${offered}`.trimStart()
  const index = cudaName.exec(device)?.[1]
  cuda ??= cudaFacts()
  const { built, devices } = cuda
  if (!built) return `This libtorch has no CUDA: choose cpu, or run ${setupCall('--cuda')}.`
  if (Number(index ?? 0) < devices) return undefined
  if (devices === 0) return 'This machine has no CUDA device that libtorch can use: choose cpu.'
  return `This machine has ${devices} CUDA ${devices === 1 ? 'device' : 'devices'}, numbered from 0: choose one of them, or cpu.`
}

let standard = 'cpu'

/** Device of whatever names none: the CPU, or the strict device where a test has chosen it for its process. */
export const defaultDevice = (): string => standard

/** Makes a device that of whatever names none. For tests only. */
export const useByDefault = (device: string): void => {
  standard = expectDevice(device)
}

/**
 * The device itself, or the default one for none.
 * @throws ConfigError for an unknown name, and for a device that libtorch or the machine does not have
 */
export const expectDevice = (device: unknown = standard): string => {
  const remedy = deviceRemedy(device)
  if (remedy !== undefined) throw new ConfigError(`Expected a valid \`device\`, got ${show(device)}. ${remedy}`)
  return String(device)
}

/**
 * Checks where a model is to be placed, before any of its files is read.
 * @throws ConfigError for an unknown or absent device, and for a dtype that parameters cannot have
 */
export const expectPlacement = ({ device, dtype }: { device?: string; dtype?: Dtype }): void => {
  expectDevice(device)
  if (expectDtype(dtype) !== undefined && !dtypeFacts(dtype!).floating)
    throw new ConfigError(
      `Expected a floating \`dtype\` for parameters, got ${dtype}. Choose float32, bfloat16, float16 or float64.`,
    )
}

/** A line for people about a device that no release has been run on; undefined for others. */
export const deviceNotice = (device: string): string | undefined =>
  isCuda(device)
    ? 'No release of Tunesmith has been run on a GPU yet: the benchmark `gpu` of a clone compares this one with its CPU.'
    : undefined

/** Schema of a device in flags and recipes. */
export const deviceSchema = z.string().superRefine((device, context) => {
  const remedy = deviceRemedy(device)
  if (remedy !== undefined) context.addIssue({ code: 'custom', input: device, message: remedy })
})
