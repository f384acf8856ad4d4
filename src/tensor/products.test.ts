// The measured choice of who multiplies matrices: it is kept for one machine and one addon, a damaged file is no choice, and it
// decides the products of a new process and of its threads.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  Generator,
  getThreads,
  linear,
  type MeasuredProducts,
  measureProducts,
  noGrad,
  productChoices,
  randn,
  readNativeBuild,
  scope,
  storedProducts,
  storeProducts,
} from './index.ts'

const cache = mkdtempSync(join(tmpdir(), 'tunesmith-products-'))
const file = join(cache, 'tunesmith', 'product-choices.json')
const { addon } = readNativeBuild()
type Maker = 'own' | 'libraries'
const measured = (forward: Maker, others: Maker): MeasuredProducts => ({
  choices: {
    float32: { forward, inputGradient: others, weightGradient: others },
    bfloat16: { forward: others, inputGradient: forward, weightGradient: forward },
  },
  ratios: {
    float32: { forward: 1.5, inputGradient: 0.9, weightGradient: 0.5 },
    bfloat16: { forward: 0.5, inputGradient: 1, weightGradient: 2 },
  },
  time: '2026-11-29T12:00:00.000Z',
})

beforeEach(() => {
  vi.stubEnv('XDG_CACHE_HOME', cache)
  vi.stubEnv('TUNESMITH_GEMM', undefined)
  rmSync(file, { force: true })
})
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(cache, { recursive: true, force: true })
})

const index = JSON.stringify(new URL('./index.ts', import.meta.url).href)

/** What a module prints as JSON in a new process. */
const printedBy = (code: string): unknown => {
  const words = ['--import', import.meta.resolve('tsx'), '--input-type=module', '-e', code]
  return JSON.parse(execFileSync(process.execPath, words, { encoding: 'utf8' }))
}

/** A hash of the products of a layer, float32, in a new process: forward, and for the gradients of the input and the weight. */
const hashesOfProcess = (): unknown =>
  printedBy(`
    import { createHash } from 'node:crypto'
    const { Generator, linear, randn } = await import(${index})
    const [x, w, g] = [[300, 200], [250, 200], [300, 250]].map((shape, i) => randn(shape, { generator: new Generator(i) }))
    const products = [linear(x, w), linear(g, w.t()), linear(g.t(), x.t())]
    console.log(JSON.stringify(products.map((y) => createHash('sha256').update(y.toFloat32Array()).digest('hex'))))`)

/** What a new process, and a thread of it that starts after the file has changed, choose. */
const choicesOfProcess = (): unknown => {
  const thread = join(cache, 'thread.mjs')
  writeFileSync(
    thread,
    `import { parentPort } from 'node:worker_threads'
    import { register } from ${JSON.stringify(import.meta.resolve('tsx/esm/api'))}
    register()
    const { productsLabel } = await import(${index})
    parentPort.postMessage(productsLabel())`,
  )
  return printedBy(`
    import { rmSync } from 'node:fs'
    import { Worker } from 'node:worker_threads'
    const { productsLabel } = await import(${index})
    const own = productsLabel()
    rmSync(${JSON.stringify(file)}, { force: true })
    const worker = new Worker(${JSON.stringify(thread)}, { execArgv: [] })
    worker.on('message', (its) => { console.log(JSON.stringify([own, its])); process.exit() })
    worker.on('error', (error) => { throw error })`)
}

describe('product choices', () => {
  it('are kept for one machine and one addon', async () => {
    expect(storedProducts(addon)).toBeUndefined()
    expect(await storeProducts(addon, measured('own', 'libraries'))).toBe(file)
    await storeProducts('/elsewhere/other/addon', measured('libraries', 'own'))
    expect(storedProducts(addon)).toEqual(measured('own', 'libraries'))
    expect(storedProducts('/elsewhere/third/addon')).toBeUndefined()
    for (let i = 0; i < 30; i++) await storeProducts(`/elsewhere/${i}/addon`, measured('own', 'own'))
    expect(Object.keys(JSON.parse(readFileSync(file, 'utf8')))).toHaveLength(20)
  })

  it.each([
    ['no JSON', () => '{'],
    ['another form', () => '[1]'],
    ['an unknown maker', (text: string) => text.replace('"own"', '"ours"')],
    ['an entry without choices', (text: string) => text.replace('"choices"', '"other"')],
    ['an entry that is nothing', (text: string) => JSON.stringify({ [Object.keys(JSON.parse(text))[0]]: null })],
  ])('are none where the file has %s', async (_, contentOf) => {
    await storeProducts(addon, measured('own', 'own'))
    writeFileSync(file, contentOf(readFileSync(file, 'utf8')))
    expect(storedProducts(addon)).toBeUndefined()
  })

  it.each([
    ['own', 'libraries'],
    ['libraries', 'own'],
  ] as const)('of %s forward and %s backward decide in a new process and its threads', async (one, other) => {
    await storeProducts(addon, measured(one, other))
    const label = `float32 ${one}/${other}/${other}, bfloat16 ${other}/${one}/${one}`
    expect(choicesOfProcess()).toEqual([label, label])
  })

  it('give the products of who is chosen', async () => {
    const [ours, libraries] = ['own', 'aten'].map((maker) => {
      vi.stubEnv('TUNESMITH_GEMM', maker)
      return hashesOfProcess() as string[]
    })
    vi.stubEnv('TUNESMITH_GEMM', undefined)
    // Sums in another order: without this the test would show nothing.
    expect(ours.some((hash, i) => hash !== libraries[i])).toBe(true)
    await storeProducts(addon, measured('own', 'libraries'))
    expect(hashesOfProcess()).toEqual([ours[0], libraries[1], libraries[2]])
    await storeProducts(addon, measured('libraries', 'own'))
    expect(hashesOfProcess()).toEqual([libraries[0], ours[1], ours[2]])
  })

  it('are measured, used from then on, and change results in their last digits only', () => {
    const product = () =>
      noGrad(() =>
        scope(() => {
          const [x, w] = [1, 2].map((seed) => randn([40, 96], { generator: new Generator(seed) }))
          return linear(x, w).toFloat32Array()
        }),
      )
    const [before, threads] = [product(), getThreads()]
    const { choices, ratios, time } = measureProducts()
    expect(productChoices()).toEqual(choices)
    expect(getThreads()).toBe(threads)
    expect(Math.abs(Date.now() - Date.parse(time))).toBeLessThan(600_000)
    for (const dtype of ['float32', 'bfloat16'] as const)
      for (const form of ['forward', 'inputGradient', 'weightGradient'] as const) {
        expect(ratios[dtype][form]).toBeGreaterThan(0)
        if (ratios[dtype][form] > 1.06) expect(choices[dtype][form]).toBe('own')
        if (ratios[dtype][form] < 0.94) expect(choices[dtype][form]).toBe('libraries')
      }
    const after = product()
    for (let i = 0; i < after.length; i++) expect(after[i]).toBeCloseTo(before[i], 4)
  })

  it('stay as they are where the measurement is interrupted', () => {
    const before = productChoices()
    expect(() => measureProducts(AbortSignal.abort())).toThrow()
    expect(productChoices()).toEqual(before)
  })
})
