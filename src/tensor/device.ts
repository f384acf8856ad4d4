// Names of devices, checked once: in flags and recipes by the schema, in functions by `expectDevice`, and in operators, so that a wrong
// name never reaches libtorch.
import { z } from 'zod'
import { ConfigError, didYouMean, setupCall, show } from '../core/index.ts'
import { type Dtype, dtypeFacts, expectDtype } from './dtype.ts'
import { type BuildFacts, native } from './native.ts'

/** Devices of one library for GPUs. */
interface Backend {
  /** Matches the names of its devices, and captures the number. */
  name: RegExp
  label: string
  /** Whether libtorch has it, and how many devices the machine has. */
  facts(facts: BuildFacts): { built: boolean; devices: number }
  /** What to do where libtorch does not have it. */
  missing(): string
}

const backends: Record<'cuda' | 'mps', Backend> = {
  cuda: {
    name: /^cuda(?::(\d{1,2}))?$/,
    label: 'CUDA device',
    facts: ({ cuda: built, cudaDevices: devices }) => ({ built, devices }),
    missing: () => `This libtorch has no CUDA: choose cpu, or run ${setupCall('--cuda')}.`,
  },
  mps: {
    name: /^mps(?::(\d{1,2}))?$/,
    label: 'MPS device',
    facts: ({ mps: built, mpsDevices: devices }) => ({ built, devices }),
    missing: () => 'This libtorch has no MPS, which is for the GPUs of Macs: choose cpu.',
  },
}
const offered = 'Choose cpu, cuda, cuda:0 or mps.'

const backendOf = (device: string): Backend | undefined => Object.values(backends).find(({ name }) => name.test(device))

/** Whether it is the name of a CUDA device, on this machine or not. */
export const isCuda = (device: string): boolean => backends.cuda.name.test(device)

/** Whether it is the name of a GPU, on this machine or not. */
export const isGpu = (device: string): boolean => backendOf(device) !== undefined

let built: BuildFacts | undefined
/** What libtorch has and the machine; asked once. */
const facts = (): BuildFacts => {
  built ??= native.buildFacts()
  return built
}

/** Whether it is the device of tests, in a process that has it. */
const isStrictDevice = (device: unknown): boolean =>
  (device === 'strict' || device === 'strict:0') && native.strictDevice() !== undefined

/** What to say of names that other programs have. */
const unknownHint = (device: string): string =>
  /^(gpu|nvidia|metal|xpu|hip|rocm)\b/i.test(device)
    ? 'NVIDIA cards are cuda, the GPU of a Mac is mps; others are not supported. '
    : ''

/** What to do about a device that cannot be used; undefined for one that can. The CPU is answered without the addon. */
const deviceRemedy = (device: unknown): string | undefined => {
  if (device === 'cpu' || isStrictDevice(device)) return undefined
  if (typeof device !== 'string') return offered
  const backend = backendOf(device)
  if (backend === undefined) {
    const meant = didYouMean(device, ['cpu', ...Object.keys(backends)])
    return `${meant} ${unknownHint(device)}${offered}`.trimStart()
  }
  const { label, name, missing } = backend
  const { built: has, devices } = backend.facts(facts())
  if (!has) return missing()
  if (Number(name.exec(device)?.[1] ?? 0) < devices) return undefined
  if (devices === 0) return `This machine has no ${label} that libtorch can use: choose cpu.`
  return `This machine has ${devices} ${label}${devices === 1 ? '' : 's'}, numbered from 0: choose one of them, or cpu.`
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
  const wanted = expectDevice(device)
  if (dtype === 'float64' && widestDtype(wanted) !== dtype)
    throw new ConfigError(`Expected a \`dtype\` that ${wanted} computes in, got float64. Choose float32.`)
  if (expectDtype(dtype) !== undefined && !dtypeFacts(dtype!).floating)
    throw new ConfigError(
      `Expected a floating \`dtype\` for parameters, got ${dtype}. Choose float32, bfloat16, float16 or float64.`,
    )
}

/** The widest floating dtype of a device: float64, or float32 where it has no float64, as the GPUs of Macs. */
export const widestDtype = (device: string): 'float64' | 'float32' =>
  device === 'cpu' || native.hasFloat64(device) ? 'float64' : 'float32'

/** A line for people about a device that no release has been run on; undefined for others. */
export const deviceNotice = (device: string): string | undefined =>
  isGpu(device)
    ? 'No release of Tunesmith has been run on a GPU yet: the benchmark `gpu` of a clone compares this one with its CPU.'
    : undefined

/** Schema of a device in flags and recipes. */
export const deviceSchema = z.string().superRefine((device, context) => {
  const remedy = deviceRemedy(device)
  if (remedy !== undefined) context.addIssue({ code: 'custom', input: device, message: remedy })
})
