// What this machine has: vector instructions, memory, disk and GPUs, read from the operating system. What the system does not report
// is left out rather than guessed.
import { execFile } from 'node:child_process'
import { readFile, statfs } from 'node:fs/promises'
import { arch, availableParallelism, cpus, freemem, totalmem } from 'node:os'
import { promisify } from 'node:util'

export interface Machine {
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

export const inspectMachine = async (): Promise<Machine> => {
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

const readProc = async (path: string): Promise<string> => {
  return readFile(path, 'utf8').catch(() => '')
}

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
