import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { enableStrictDevice, setStrictMemory } from '../../tensor/index.ts'
import { doctor, readInstructions } from './doctor.ts'

const context = {
  json: true,
  signal: new AbortController().signal,
  log() {},
  warn() {},
  write() {},
  emit() {},
  withFlags: String,
}
const progress = () => ({ update() {}, stop() {} })

describe('doctor', () => {
  it('finds the engine that set-up built and measures both dtypes', async () => {
    const diagnosis = await doctor.run(
      { measure: true, chooseProducts: false, rl: false },
      {},
      { ...context, progress },
    )
    expect(diagnosis.engine).toBeDefined()
    const { libtorch, matmul, threads } = diagnosis.engine!
    expect(libtorch.version).toMatch(/^2\.\d+/)
    expect(threads).toBeGreaterThan(0)
    for (const dtype of ['bfloat16', 'float32']) expect(matmul![dtype].gflops).toBeGreaterThan(0.01)
    expect(diagnosis.machine.memory.available).toBeLessThanOrEqual(diagnosis.machine.memory.total)
    expect(doctor.exitCode!(diagnosis)).toBe(0)
    expect(doctor.render!(diagnosis, context)).toMatch(/matmul +float32 [\d.]+ GFLOP\/s/)
  })

  it('shows the memory of an accelerator', async () => {
    const look = () => doctor.run({ measure: false, chooseProducts: false, rl: false }, {}, { ...context, progress })
    const without = await look()
    expect(without.engine?.accelerator).toBeUndefined()
    expect(doctor.render!(without, context)).not.toContain('accelerator')
    enableStrictDevice()
    setStrictMemory(3 << 20)
    expect(doctor.render!(await look(), context)).toMatch(/^accelerator +strict:0, 3 MiB available of 3 MiB$/m)
    setStrictMemory(undefined)
  })

  it('measures whose products are faster, keeps the choice, and shows both', async () => {
    const cache = mkdtempSync(join(tmpdir(), 'tunesmith-doctor-'))
    vi.stubEnv('XDG_CACHE_HOME', cache)
    vi.stubEnv('TUNESMITH_GEMM', undefined)
    const options = { measure: false, rl: false }
    const before = await doctor.run({ ...options, chooseProducts: false }, {}, { ...context, progress })
    expect(before.engine?.measuredProducts).toBeUndefined()
    expect(doctor.render!(before, context)).toMatch(
      /products +float32 (ours|libraries).* \(by the processor's maker; .*doctor --choose-products measures\)/,
    )
    await doctor.run({ ...options, chooseProducts: true }, {}, { ...context, progress })
    const after = await doctor.run({ ...options, chooseProducts: false }, {}, { ...context, progress })
    const { products, measuredProducts } = after.engine!
    expect(products.float32.forward).toMatch(/^(own|libraries)$/)
    expect(measuredProducts?.ratios.float32.forward).toBeGreaterThan(0)
    expect(doctor.render!(after, context)).toMatch(
      /products +bfloat16 (ours|libraries).* \(ours [\d.]+, [\d.]+, [\d.]+ times as fast, measured on 20/,
    )
    vi.stubEnv('TUNESMITH_GEMM', 'own')
    const refused = doctor.run({ ...options, chooseProducts: true }, {}, { ...context, progress })
    await expect(refused).rejects.toThrow(/TUNESMITH_GEMM .* Unset it/)
    vi.unstubAllEnvs()
    rmSync(cache, { recursive: true })
  })

  it('fails for scripts when there is no engine', async () => {
    const { machine, node } = await doctor.run(
      { measure: false, chooseProducts: false, rl: false },
      {},
      { ...context, progress },
    )
    const without = { machine, node, faults: ['The native addon is not built. Run `npm run setup`.'] }
    expect(doctor.exitCode!(without)).toBe(1)
    expect(doctor.render!(without, context)).toContain('PROBLEM       The native addon is not built.')
  })
})

describe('readInstructions', () => {
  it('reads the flags of x86-64 and arm64', () => {
    const zen4 = 'processor : 0\nflags\t\t: fpu avx2 fma avx512f avx512bw avx512vl avx512dq avx512_bf16\n'
    expect(readInstructions(zen4, 'x64')).toEqual({
      AVX2: true,
      'AVX-512': true,
      VNNI: false,
      'bf16 (AVX-512)': true,
      'AMX bf16': false,
    })
    for (const flag of ['avx512_vnni', 'avx_vnni'])
      expect(readInstructions(`flags : avx2 ${flag}`, 'x64')).toMatchObject({ AVX2: false, VNNI: true })
    const graviton = 'processor\t: 0\nFeatures\t: fp asimd asimddp sve bf16\n'
    const [NEON, SVE, bf16] = [true, true, true]
    expect(readInstructions(graviton, 'arm64')).toEqual({ NEON, 'dot products': true, I8MM: false, bf16, SVE })
  })

  it('says nothing where the system says nothing', () => {
    expect(readInstructions('', 'x64')).toBeUndefined()
    expect(readInstructions('flags : a', 'riscv64')).toBeUndefined()
  })
})
