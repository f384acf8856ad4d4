// Loads the addon, as the only file. Independent of single operators.
import { accessSync, constants, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads'
import { buildFolders, installAddon, packageRoot, SetupError, setupCall } from '../core/index.ts'
import { type ProductChoices, productDtypes, productForms, storedProducts } from './product-choices.ts'
import type { StrictDeviceCounts } from './strict-device.ts'

/** An operator's schema in libtorch's dispatcher. */
export interface OperatorSchema {
  id: number
  inPlace: boolean
  arguments: { name: string; type: string; optional: boolean; hasDefault: boolean; keywordOnly: boolean }[]
  returns: string[]
}

/** Version and features of libtorch, and the machine's devices. */
export interface BuildFacts {
  torchVersion: string
  /** libtorch's own description of its build. */
  config: string
  cpuCapability: string
  mkl: boolean
  oneDnn: boolean
  openMp: boolean
  cuda: boolean
  cudaDevices: number
  /** The same of Metal Performance Shaders, for the GPU of a Mac. */
  mps: boolean
  mpsDevices: number
  threads: number
}

/** Statistics of the CPU allocator of this process, in bytes. */
export interface MemoryStatistics {
  /** Memory of tensors. */
  inUse: number
  /** Freed memory that is cached for reuse. */
  cached: number
  /** Largest `inUse` since the start or `resetPeakMemory`. */
  peak: number
  /** Limit of `setMemoryLimit`. */
  limit: number | undefined
  /** Memory that the system could still provide. */
  available: number
}

/** Memory of an accelerator, in bytes. */
export interface DeviceMemory {
  device: string
  /** Memory of tensors. */
  inUse: number
  /** Freed memory that libtorch keeps for reuse. */
  cached: number
  /** Largest `inUse` since the start or `resetDevicePeak`. */
  peak: number
  /** Memory that nobody has, and all memory of the device. */
  free: number
  total: number
  /** Limit of `setMemoryLimit` for this device. */
  limit?: number
}

type Handle = number
type External = object
type Bits = ArrayBufferView

/** What a plan counted. */
export interface PlanRecord {
  peak: number
  /** Peak of memory in use and cached together. */
  peakHeld: number
  /** Operators and phases, by the numbers in the tables. */
  names: string[]
  phases: string[]
  /** Rows of block, bytes (negative when freed), operator, phase. */
  events: Float64Array
  /** Rows of phase, operator, computed operations, operations of a plain composition. */
  operations: Float64Array
}

/** The addon's functions; handles are numbers, 0 means no tensor. */
export interface Native {
  operator(name: string, overload: string): OperatorSchema
  call(id: number, ...values: unknown[]): unknown
  fromBytes(bytes: Bits, shape: readonly number[], dtype: number): Handle
  copyInto(handle: Handle, target: Bits): void
  mapFile(path: string): { external: External; bytes: number }
  releaseFile(file: External): void
  mapTensor(file: External, byteOffset: number, shape: readonly number[], dtype: number): Handle
  item(handle: Handle): number | boolean | bigint
  shape(handle: Handle): number[]
  strides(handle: Handle): number[]
  dtype(handle: Handle): number
  device(handle: Handle): string
  isContiguous(handle: Handle): boolean
  sameStorage(a: Handle, b: Handle): boolean
  joinRows(handles: Handle[]): Handle
  freeMany(handles: Float64Array): void
  guard(handle: Handle): External
  share(handle: Handle): Handle
  adopt(handle: Handle): Handle
  liveTensors(all: boolean): number
  /** Rejects with `errno` and `syscall` for an error of the system, with `notFinite` for a part with NaN or infinity. */
  writeTensors(
    path: string,
    header: Uint8Array,
    parts: [tensor: Handle, format: string, columns: Handle, finite: boolean][],
    hashed: boolean,
    cancel: Uint8Array,
  ): Promise<string>
  backward(roots: Handle[], gradients: (Handle | null)[] | undefined, retainGraph: boolean): void
  gradientsOf(
    roots: Handle[],
    inputs: Handle[],
    gradients: (Handle | null)[] | undefined,
    retainGraph: boolean,
    createGraph: boolean,
    allowUnused: boolean,
  ): Handle[]
  attachBackward(
    outputs: Handle[],
    inputs: Handle[],
    callback: (gradients: Handle[], saved: Handle[]) => Handle[],
    saved: Handle[],
  ): Handle[]
  requiresGrad(handle: Handle): boolean
  setRequiresGrad(handle: Handle, value: boolean): void
  isLeaf(handle: Handle): boolean
  retainGrad(handle: Handle): void
  grad(handle: Handle): Handle
  setGrad(handle: Handle, gradient: Handle | null): void
  clearGrads(handles: Handle[]): void
  watchGradients(handles: Handle[], callback: ((position: number) => void) | undefined): void
  setGradMode(enabled: boolean): boolean
  gradMode(): boolean
  enterInference(): void
  leaveInference(): void
  generator(seed: bigint): External
  seedGenerator(generator: External, seed: bigint): void
  generatorState(generator: External): Handle
  setGeneratorState(generator: External, state: Handle): void
  seedDefault(seed: bigint): void
  setThreads(count: number): void
  threads(): number
  setDeterministic(deterministic: boolean): void
  deterministic(): boolean
  buildFacts(): BuildFacts
  memoryStatistics(): MemoryStatistics
  setMemoryLimit(bytes: number | undefined): void
  trimMemory(): void
  resetPeakMemory(): void
  beginPlan(): void
  setPlanning(on: boolean): void
  planPhase(name: string): void
  plannedBlock(handle: Handle): number
  endPlan(): PlanRecord
  upload(handle: Handle, device: string): Handle
  hasFloat64(device: string): boolean
  fallbacks(): Record<string, number>
  // Absent where libtorch has no `at::accelerator::Graph`, as before 2.13. Without a device, that of the accelerator.
  deviceMemory?(device?: string): DeviceMemory | undefined
  setDeviceMemoryLimit?(device: string, bytes: number | undefined): boolean
  emptyDeviceCache?(): void
  resetDevicePeak?(device?: string): void
  hasGraphs?(device: string): boolean
  beginGraph?(): External
  endGraph?(graph: External): void
  replayGraph?(graph: External): void
  freeGraph?(graph: External): void
  enableStrictDevice(): void
  setStrictMemory(bytes?: number): void
  limitStrictDevice(float64: boolean, operators: readonly string[]): void
  strictDevice(): StrictDeviceCounts | undefined
  // Process groups: absent where libtorch has no Gloo.
  openStore(host: string, port: number, server: boolean, timeoutMs: number): External
  openFileStore(path: string, processes: number, timeoutMs: number): External
  openStoreAgain(store: External, timeoutMs: number): External
  closeStore(store: External): void
  storePort(store: External): number
  storeSet(store: External, key: string, value: string): void
  storeGet(store: External, key: string): string | undefined
  storeDelete(store: External, key: string): boolean
  storeAdd(store: External, key: string, amount: number): number
  makeGroup(
    name: string,
    store: External,
    prefix: string,
    rank: number,
    size: number,
    address: string,
    networkInterface: string,
    connectMs: number,
    timeoutMs: number,
  ): void
  dropGroup(name: string): void
  startWatch(store: External, prefix: string, rank: number, names: string[], times: number[]): void
  watchFailure(urgent: boolean): string | undefined
  stopWatch(): void
}

/** The record that set-up wrote of the addon. */
export interface NativeBuild {
  addon: string
  libtorch: string
  version: string
}

/**
 * The record of the addon that this process loads.
 *
 * @throws SetupError where there is none, or its files are missing or unreadable.
 */
export const readNativeBuild = (): NativeBuild => {
  const root = packageRoot()
  const records = buildFolders(root).flatMap((folder) => readRecord(folder) ?? [])
  const usable = records.find((build) => isReadable(build.addon) && isReadable(build.libtorch))
  if (usable !== undefined) return usable
  if (records.length === 0) throw new SetupError(`The native addon is not built. Run ${setupCall('', { root })}.`)
  const [{ addon, libtorch }] = records
  const missing = isReadable(addon) ? libtorch : addon
  throw new SetupError(
    `Expected ${missing === addon ? 'the native addon' : 'libtorch'} in \`${missing}\`, which is missing or which this ` +
      `user may not read. Run ${setupCall('', { root })} as this user; or, in an image, run it with TUNESMITH_CACHE set to a ` +
      'folder that every user can read.',
  )
}

/** Paths inside the package are stored relative to the record. */
const readRecord = (folder: string): NativeBuild | undefined => {
  let text: string
  try {
    text = readFileSync(join(folder, 'native.json'), 'utf8')
  } catch {
    return undefined
  }
  const build = JSON.parse(text) as NativeBuild
  return { ...build, addon: resolve(folder, build.addon), libtorch: resolve(folder, build.libtorch) }
}

const isReadable = (path: string): boolean => {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}

/** The record, after building the addon where this process may. */
const findBuild = (): NativeBuild => {
  try {
    return readNativeBuild()
  } catch (error) {
    if (!(error instanceof SetupError) || !installAddon()) throw error
    return readNativeBuild()
  }
}

const loadedKey = 'tunesmith:native'
const productsKey = 'tunesmith:products'

/** Chooses who multiplies matrices, as it was measured on this machine. */
const chooseProducts = (loaded: Native, { addon }: NativeBuild): void => {
  // Workers take what their parent took: the file may have changed meanwhile.
  const known = getEnvironmentData(productsKey) as ProductChoices | 'unknown' | undefined
  const choices = known ?? storedProducts(addon)?.choices ?? 'unknown'
  setEnvironmentData(productsKey, choices)
  if (choices === 'unknown') return
  const { id } = loaded.operator('tunesmith::set_products', '')
  for (const dtype of productDtypes)
    loaded.call(id, dtype === 'bfloat16', ...productForms.map((form) => choices[dtype][form]))
}

// Debian's libtorch loads MPI and UCX. UCX tests its memory hooks by growing and shrinking the heap, without checking that the
// growth succeeded: where the heap cannot grow, since V8's code follows it, a page in use is unmapped. It also replaces Node's
// signal handlers. These variables disable both; other builds of libtorch ignore them.
const disableUcxHooks = () => {
  process.env.UCX_MEM_EVENTS ??= 'n'
  process.env.UCX_HANDLE_ERRORS ??= 'none'
}

// A waiting OpenMP thread spins. libgomp's default is milliseconds, during which, on a busy machine, it occupies the core that
// the other threads need: several times slower. This number of turns, about 0.1 ms, bridges the time between two operators;
// after it a thread sleeps. Values that the user has set are kept.
const limitSpinning = () => {
  if (process.env.OMP_WAIT_POLICY === undefined) process.env.GOMP_SPINCOUNT ??= '10000'
}

// Without it, libtorch refuses operators that the GPU of a Mac lacks; it reads it once, when it is loaded.
const computeElsewhere = () => {
  process.env.PYTORCH_ENABLE_MPS_FALLBACK ??= '1'
}

const load = (): Native => {
  // A process can hold one build only, so a worker takes its parent's, also when set-up has made another one meanwhile.
  const build = (getEnvironmentData(loadedKey) as NativeBuild | undefined) ?? findBuild()
  setEnvironmentData(loadedKey, build)
  const module = { exports: {} }
  disableUcxHooks()
  limitSpinning()
  computeElsewhere()
  try {
    process.dlopen(module, build.addon)
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error)
    throw new SetupError(`Cannot load the native addon (${reason}). Run ${setupCall()} to build it again.`)
  }
  const loaded = module.exports as Native
  chooseProducts(loaded, build)
  return loaded
}

/**
 * The addon's functions. The first use of one loads the addon, so help, completion and schemas work without it. Loading
 * makes them own properties, so later calls do not pass the proxy.
 */
export const native: Native = Object.create(
  new Proxy(
    {},
    {
      get: (_target, name) => {
        if (typeof name === 'symbol' || Object.keys(native).length > 0) return undefined
        Object.assign(native, load())
        return Reflect.get(native, name)
      },
    },
  ),
)
