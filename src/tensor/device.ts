// Names of devices, checked once: in flags and recipes by the schema, in functions by `expectDevice`, and in operators, so that a wrong
// name never reaches libtorch.
import { z } from 'zod'
import { ConfigError, setupCall, show } from '../core/index.ts'
import { type Dtype, dtypeFacts, expectDtype } from './dtype.ts'
import { native } from './native.ts'

let cuda: { built: boolean; devices: number } | undefined

/** Whether libtorch has CUDA, and how many devices the machine has; asked once. */
const cudaFacts = () => {
  const { cuda: built, cudaDevices: devices } = native.buildFacts()
  return { built, devices }
}

/** What to do about a device that cannot be used; undefined for one that can. The CPU is answered without the addon. */
const deviceRemedy = (device: unknown): string | undefined => {
  if (device === 'cpu') return undefined
  const index = typeof device === 'string' ? /^cuda(?::(\d{1,2}))?$/.exec(device)?.[1] : undefined
  if (index === undefined && device !== 'cuda') return 'Choose cpu, cuda or cuda:0.'
  cuda ??= cudaFacts()
  const { built, devices } = cuda
  if (!built) return `This libtorch has no CUDA: choose cpu, or run ${setupCall('--cuda')}.`
  if (Number(index ?? 0) < devices) return undefined
  if (devices === 0) return 'This machine has no CUDA device that libtorch can use: choose cpu.'
  return `This machine has ${devices} CUDA ${devices === 1 ? 'device' : 'devices'}, numbered from 0: choose one of them, or cpu.`
}

/**
 * The device itself, or `cpu` for none.
 * @throws ConfigError for an unknown name, and for a device that libtorch or the machine does not have
 */
export const expectDevice = (device: unknown = 'cpu'): string => {
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

/** Schema of a device in flags and recipes. */
export const deviceSchema = z.string().superRefine((device, context) => {
  const remedy = deviceRemedy(device)
  if (remedy !== undefined) context.addIssue({ code: 'custom', input: device, message: remedy })
})
