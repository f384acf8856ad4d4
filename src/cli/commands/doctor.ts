// `tunesmith doctor`: the machine, the engine and their speed. It also works when the addon is not built.
import { execFile } from 'node:child_process'
import { readFile, statfs } from 'node:fs/promises'
import { arch, availableParallelism, cpus, freemem, totalmem } from 'node:os'
import { promisify } from 'node:util'
import { z } from 'zod'
import type { policyGradientOracle } from '../../alignment/index.ts'
import { ConfigError, formatBytes, programCall, SetupError, setupCall } from '../../core/index.ts'
import type { DeviceMemory, MeasuredProducts, ProductChoices, ProductDtype } from '../../tensor/index.ts'
import { defineCommand } from '../command.ts'
import { switchField } from '../parts/fields.ts'

type TensorModule = typeof import('../../tensor/index.ts')

interface Engine {
  libtorch: { version: string; folder: string; build: 'cpu' | 'cuda' }
  addon: string
  blas: string
  oneDnn: boolean
  openMp: boolean
  /** The instruction set that libtorch's kernels chose. */
  cpuCapability: string
  /** The one that ours chose. */
  instructionSet: string
  threads: number
  cudaDevices: number
  mpsDevices: number
  /** Memory of the accelerator, if there is one. */
  accelerator: DeviceMemory | undefined
  /** Who multiplies matrices: our kernels, or the libraries in libtorch. */
  products: ProductChoices
  /** What that follows from; absent where nothing was measured, and the processor's maker decides. */
  measuredProducts?: Pick<MeasuredProducts, 'ratios' | 'time'>
  /** GFLOP/s of a square matrix product by dtype; absent with --no-measure. */
  matmul?: Record<string, { size: number; gflops: number }>
}

/** How the gradient of an algorithm compares with the exact policy gradient. */
type AlgorithmCheck = Awaited<ReturnType<typeof policyGradientOracle>>[number]

interface Diagnosis {
  node: string
  machine: Machine
  engine?: Engine
  /** Reinforcement learning algorithms; absent without --rl. */
  algorithms?: AlgorithmCheck[]
  /** Problems, each with its remedy. Empty when all is well. */
  faults: string[]
}

export const doctor = defineCommand({
  name: 'doctor',
  summary: 'Report the hardware, the engine and its speed, and what is missing',
  example: 'tunesmith doctor --json',
  processes: 'each',
  options: z.strictObject({
    measure: z.boolean().default(true).describe('measuring of matrix products (two seconds)'),
    chooseProducts: switchField(
      "measure whose matrix products are faster here, Tunesmith's or those of libtorch's libraries, and keep the choice " +
        'for this machine (some seconds). Results of later runs differ in their last digits where it changes',
    ),
    rl: switchField('compare each reinforcement learning algorithm with the exact policy gradient of a tiny model'),
  }),
  engine: false,
  async run({ measure, chooseProducts, rl }, _args, { signal }): Promise<Diagnosis> {
    if (chooseProducts) (await import('../../distributed/index.ts')).expectOneProcess('`doctor --choose-products`')
    const faults: string[] = []
    const machine = await inspectMachine()
    if (machine.disk.free < 2 ** 30)
      faults.push(`Only ${formatBytes(machine.disk.free)} of disk are free in this folder. Free some space.`)
    let engine: Engine | undefined
    try {
      const tensor = await import('../../tensor/index.ts')
      if (chooseProducts) await measureAndStore(tensor, signal)
      engine = inspectEngine(tensor, measure, signal)
    } catch (error) {
      if (!(error instanceof SetupError)) throw error
      faults.push(error.message)
    }
    if (engine !== undefined && engine.cudaDevices === 0 && machine.gpus.length > 0) {
      faults.push(
        `This machine has an ${machine.gpus[0].name}, and this libtorch has no CUDA. Run ${setupCall('--cuda')}.`,
      )
    }
    const algorithms = rl && engine !== undefined ? await checkAlgorithms(faults) : undefined
    return { node: process.version, machine, engine, ...(algorithms === undefined ? {} : { algorithms }), faults }
  },
  render: (diagnosis) =>
    rowsOf(diagnosis)
      .map(([name, value]) => `${name.padEnd(14)}${value}`)
      .join('\n'),
  exitCode: ({ engine, algorithms = [] }) => (engine === undefined || algorithms.some(({ passed }) => !passed) ? 1 : 0),
})

/** The exact policy gradient of a tiny model against that of every algorithm. */
const checkAlgorithms = async (faults: string[]): Promise<AlgorithmCheck[]> => {
  const rows = await (await import('../../alignment/index.ts')).policyGradientOracle()
  for (const { algorithm, passed, relativeError } of rows)
    if (!passed)
      faults.push(
        `The gradient of ${algorithm} is not what it promises (relative error ${relativeError.toPrecision(3)}). Report this as a fault of Tunesmith.`,
      )
  return rows
}

const inspectEngine = (tensor: TensorModule, measure: boolean, signal: AbortSignal): Engine => {
  const facts = tensor.buildFacts()
  const build = tensor.readNativeBuild()
  const blas = /BLAS_INFO=(\w+)/.exec(facts.config)?.[1]
  return {
    libtorch: { version: build.version, folder: build.libtorch, build: facts.cuda ? 'cuda' : 'cpu' },
    addon: build.addon,
    blas: blas ?? (facts.mkl ? 'mkl' : 'unknown'),
    oneDnn: facts.oneDnn,
    openMp: facts.openMp,
    cpuCapability: facts.cpuCapability,
    instructionSet: tensor.instructionSet(),
    threads: facts.threads,
    cudaDevices: facts.cudaDevices,
    mpsDevices: facts.mpsDevices,
    accelerator: tensor.acceleratorMemory(),
    products: tensor.productChoices(),
    measuredProducts: measuredProducts(tensor),
    matmul: measure ? measureMatmuls(tensor, signal) : undefined,
  }
}

/** Measures the products, and keeps the choice for later processes. */
const measureAndStore = async (tensor: TensorModule, signal: AbortSignal): Promise<void> => {
  if (process.env.TUNESMITH_GEMM !== undefined)
    throw new ConfigError(
      'Expected TUNESMITH_GEMM not to be set with `--choose-products`, since it overrides the choice. Unset it.',
    )
  await tensor.storeProducts(tensor.readNativeBuild().addon, tensor.measureProducts(signal))
}

const measuredProducts = (tensor: TensorModule): Engine['measuredProducts'] => {
  const stored = tensor.storedProducts(tensor.readNativeBuild().addon)
  return stored === undefined ? undefined : { ratios: stored.ratios, time: stored.time }
}

const measureMatmuls = (
  tensor: TensorModule,
  signal: AbortSignal,
): Record<string, { size: number; gflops: number }> => {
  const speeds: Record<string, { size: number; gflops: number }> = {}
  for (const dtype of ['bfloat16', 'float32'] as const) {
    signal.throwIfAborted()
    // Doubled when a product takes under 40 ms, so that arithmetic limits it, on a slow machine too.
    let size = 1024
    while (size < 2048 && fastestProduct(tensor, dtype, size, 60) < 40) size *= 2
    const milliseconds = fastestProduct(tensor, dtype, size, 1000)
    speeds[dtype] = { size, gflops: (2 * size ** 3) / (milliseconds * 1e6) }
  }
  return speeds
}

/** Milliseconds of the fastest product within `budgetMs`, of two or more. */
const fastestProduct = (tensor: TensorModule, dtype: 'bfloat16' | 'float32', size: number, budgetMs: number): number =>
  tensor.noGrad(() =>
    tensor.scope(() => {
      const generator = new tensor.Generator(0n)
      const a = tensor.randn([size, size], { generator }).to({ dtype })
      const b = tensor.randn([size, size], { generator }).to({ dtype })
      let fastest = Number.POSITIVE_INFINITY
      const started = performance.now()
      for (let count = 0; count < 2 || performance.now() - started < budgetMs; count++) {
        const before = performance.now()
        tensor.scope(() => void a.matmul(b))
        fastest = Math.min(fastest, performance.now() - before)
      }
      return fastest
    }),
  )

/** Who multiplies matrices of a dtype in the forward pass and for gradients of inputs and weights, and by which measurement. */
const productsText = ({ products, measuredProducts }: Engine, dtype: ProductDtype): string => {
  const makers = Object.values(products[dtype]).map((maker) => (maker === 'own' ? 'ours' : 'libraries'))
  const times = Object.values(measuredProducts?.ratios[dtype] ?? {}).map((ratio) => ratio.toFixed(2))
  const basis =
    measuredProducts === undefined
      ? `by the processor's maker; ${programCall('doctor --choose-products')} measures`
      : `ours ${times.join(', ')} times as fast, measured on ${measuredProducts.time.slice(0, 10)}`
  const same = makers.every((maker) => maker === makers[0])
  return `${dtype} ${same ? makers[0] : makers.join(', ')} (${basis})`
}

const acceleratorRow = ({ device, free, total }: DeviceMemory): [string, string] => [
  'accelerator',
  `${device}, ${formatBytes(free)} available of ${formatBytes(total)}`,
]

const rowsOf = ({ node, machine, engine, algorithms = [], faults }: Diagnosis): [string, string][] => {
  const yesNo = (value: boolean) => (value ? 'yes' : 'no')
  const instructions = Object.entries(machine.instructions ?? {}).map(([name, has]) => `${name} ${yesNo(has)}`)
  const rows: [string, string][] = [
    ['node', node],
    ['processor', `${machine.cpu} (${machine.arch}), ${machine.threads} threads`],
    ['instructions', instructions.length > 0 ? instructions.join(', ') : 'unknown on this system'],
    ['memory', `${formatBytes(machine.memory.available)} available of ${formatBytes(machine.memory.total)}`],
    ['disk', `${formatBytes(machine.disk.free)} free`],
    ['graphics', machine.gpus.map(({ name, memory }) => `${name} (${memory})`).join(', ') || 'no NVIDIA GPU'],
  ]
  if (engine !== undefined) {
    const { libtorch } = engine
    rows.push(
      ['libtorch', `${libtorch.version} (${libtorch.build}) in ${libtorch.folder}`],
      ['addon', engine.addon],
      ...(engine.accelerator === undefined ? [] : [acceleratorRow(engine.accelerator)]),
      [
        'kernels',
        `ours ${engine.instructionSet}; libtorch ${engine.cpuCapability}, BLAS ${engine.blas}, oneDNN ${yesNo(engine.oneDnn)}, OpenMP ${yesNo(engine.openMp)}`,
      ],
      ['engine', `${engine.threads} threads, ${engine.cudaDevices} CUDA devices, ${engine.mpsDevices} MPS devices`],
    )
    for (const dtype of ['float32', 'bfloat16'] as const) rows.push(['products', productsText(engine, dtype)])
    for (const [dtype, { size, gflops }] of Object.entries(engine.matmul ?? {})) {
      rows.push([`matmul`, `${dtype} ${gflops.toFixed(gflops < 10 ? 1 : 0)} GFLOP/s (${size} x ${size})`])
    }
  }
  for (const { algorithm, expectation, cosine, scale, relativeError, passed } of algorithms)
    rows.push([
      'gradient',
      `${algorithm}: ${passed ? 'as promised' : 'WRONG'} (${expectation}; cosine ${cosine.toFixed(4)}, scale ${scale.toFixed(3)}, relative error ${relativeError.toExponential(1)})`,
    ])
  for (const fault of faults) rows.push(['PROBLEM', fault])
  return rows
}

interface Machine {
  cpu: string
  arch: string
  /** Threads that this process may use. */
  threads: number
  /** Instruction sets that matter for speed, true or false; absent where the system does not report it. */
  instructions?: Record<string, boolean>
  /** Bytes. */
  memory: { total: number; available: number }
  /** Bytes, of the disk of the working folder. */
  disk: { free: number }
  gpus: { name: string; memory: string }[]
}

// What the system does not report is left out rather than guessed.

/** Common names of instruction sets, and the flags in /proc/cpuinfo that each needs: all of one of the lists. */
const instructionFlags: Record<string, Record<string, string[][]>> = {
  x64: {
    AVX2: [['avx2', 'fma']],
    'AVX-512': [['avx512f', 'avx512bw', 'avx512vl', 'avx512dq']],
    VNNI: [['avx512_vnni'], ['avx_vnni']],
    'bf16 (AVX-512)': [['avx512_bf16']],
    'AMX bf16': [['amx_tile', 'amx_bf16']],
  },
  arm64: { NEON: [['asimd']], 'dot products': [['asimddp']], I8MM: [['i8mm']], bf16: [['bf16']], SVE: [['sve']] },
}

const inspectMachine = async (): Promise<Machine> => {
  const { bavail, bsize } = await statfs('.')
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(await readProc('/proc/meminfo'))
  return {
    cpu: cpus()[0]?.model.trim() || 'unknown',
    arch: arch(),
    threads: availableParallelism(),
    instructions: readInstructions(await readProc('/proc/cpuinfo'), arch()),
    memory: { total: totalmem(), available: available === null ? freemem() : Number(available[1]) * 1024 },
    disk: { free: bavail * bsize },
    gpus: await readGpus(),
  }
}

/** From the text of /proc/cpuinfo; undefined when it holds no flags or the architecture has no list here. */
export const readInstructions = (cpuinfo: string, architecture: string): Record<string, boolean> | undefined => {
  const wanted = instructionFlags[architecture]
  const flags = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo)?.[1]
  if (wanted === undefined || flags === undefined) return undefined
  const present = new Set(flags.split(/\s+/))
  return Object.fromEntries(
    Object.entries(wanted).map(([name, needs]) => [name, needs.some((all) => all.every((flag) => present.has(flag)))]),
  )
}

const readProc = async (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '')

const readGpus = async (): Promise<{ name: string; memory: string }[]> => {
  try {
    const query = ['--query-gpu=name,memory.total', '--format=csv,noheader']
    const { stdout } = await promisify(execFile)('nvidia-smi', query, { timeout: 10_000 })
    return stdout
      .trim()
      .split('\n')
      .map((line) => line.split(', '))
      .map(([name, memory = 'unknown']) => ({ name, memory }))
  } catch {
    // No NVIDIA driver: nothing to list.
    return []
  }
}
