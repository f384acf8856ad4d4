// `plan scaling`: one small run is real, the others are copies of it whose cards have the losses of a known law.
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { lossOf, planScaling, type ScalingInput, type ScalingLaw, type ScalingResult } from '../../src/runs/index.ts'
import type { RunCard } from '../../src/tracking/index.ts'
import { makeSmallData, type SmallData } from './small-run.ts'

let data: SmallData
let input: ScalingInput
let first: ScalingResult
beforeAll(async () => {
  data = await makeSmallData('bpe')
  const recipe = {
    model: { type: 'gpt2', depth: 8 },
    objective: { type: 'causal-lm' },
    data: data.shards,
    tokenizer: data.tokenizer,
    maxLength: 32,
    batch: { tokens: 64 },
    budget: { tokens: 100_000 },
    validationExamples: 4,
  }
  // What is named twice is run once.
  input = { recipe, out: join(data.root, 'grid'), depths: [1, 2, 3, 2], tokens: [1700, 3400, 6800, 6800] }
  const aborter = new AbortController()
  first = await planScaling(input, {
    signal: aborter.signal,
    // Stopped when the second run begins.
    onRun: ({ number }) => {
      if (number === 2) aborter.abort()
      return {}
    },
  })
})
afterAll(() => data.dispose())

/** With the exponents that a fit expects, so that it gives back the constants. */
const law: ScalingLaw = {
  irreducible: 2.1,
  sizeFactor: 110,
  sizeExponent: 0.34,
  tokenFactor: 28,
  tokenExponent: 0.28,
}

const cardOf = (folder: string): RunCard => JSON.parse(readFileSync(join(folder, 'run-card.json'), 'utf8')) as RunCard

/** Makes the run of a point from the real one, with the loss that the law gives it. */
const pretend = ({ folder, depth, tokens }: ScalingResult['runs'][number], change: object = {}): void => {
  const [real] = first.runs
  if (folder !== real.folder) cpSync(real.folder, folder, { recursive: true, force: true })
  const card = cardOf(folder)
  const prediction = { ...card.prediction!, flopsPerStep: 1e7 * depth ** 2.7, tokensPerStep: 64 }
  const size = prediction.flopsPerStep / 64 / 6
  const results = { loss: lossOf(law, { size, tokens }) }
  writeFileSync(join(folder, 'run-card.json'), JSON.stringify({ ...card, tokens, prediction, results, ...change }))
}

describe('a grid of small runs', () => {
  test('stops in order, and knows what it will take', () => {
    const { reason, runs, fit, gridFlops, gridShare, target } = first
    expect(reason).toBe('interrupted')
    expect(fit).toBeUndefined()
    expect(runs[0].status).toBe('finished')
    expect(runs).toHaveLength(9)
    expect(runs.slice(2).every(({ status }) => status === 'waiting')).toBe(true)
    const [{ size, tokens, loss, folder }] = runs
    const { prediction, results } = cardOf(folder)
    expect(size).toBeCloseTo(prediction!.flopsPerStep / prediction!.tokensPerStep / 6)
    expect(loss).toBe(results!.loss)
    expect(tokens).toBeGreaterThanOrEqual(1700)
    expect(gridShare).toBeCloseTo(gridFlops / target.flops)
    expect(6 * target.size * target.tokens).toBeCloseTo(target.flops)
    // Depth 8 has a width of 512: its layers alone multiply 12 * 8 * 512 ** 2 weights.
    expect(target.size).toBeGreaterThan(12 * 8 * 512 ** 2)
  })

  test('is not run again where it is finished, and gives the law and the loss of the planned run', async () => {
    for (const run of first.runs) pretend(run)
    const skipped: string[] = []
    const { fit, target, runs, reason } = await planScaling(input, {
      onSkip: ({ name }) => void skipped.push(name),
      onRun: ({ name }) => {
        throw new Error(`${name} was run again`)
      },
    })
    expect(reason).toBe('finished')
    expect(skipped).toHaveLength(9)
    expect(fit!.error).toBeLessThan(1e-6)
    expect(fit!.law.irreducible.value).toBeCloseTo(law.irreducible, 2)
    expect(fit!.law.tokenExponent.value).toBeCloseTo(law.tokenExponent, 2)
    expect(fit!.loss.value / lossOf(law, target)).toBeCloseTo(1, 3)
    expect(fit!.loss.low).toBeLessThanOrEqual(fit!.loss.high)
    // The best split costs the same and is no worse.
    const { size, tokens, loss } = fit!.optimal
    expect((6 * size.value * tokens.value) / target.flops).toBeCloseTo(1)
    expect(loss.value).toBeLessThanOrEqual(fit!.loss.value)
    for (const run of runs) expect(run.fitted! / run.loss!).toBeCloseTo(1, 4)
  })

  test('takes the planned size of a run that has lost its plan', async () => {
    for (const [i, run] of first.runs.entries()) pretend(run, i === 3 ? { prediction: undefined } : {})
    const { runs, fit } = await planScaling(input)
    expect(runs[3].size).toBeGreaterThan(0)
    expect(runs[3].fitted).toBeDefined()
    expect(fit).toBeDefined()
  })

  test('leaves out runs that diverged or have no loss', async () => {
    for (const [i, run] of first.runs.entries()) pretend(run, i === 4 ? { results: { loss: null } } : {})
    const events = join(first.runs[5].folder, 'events.jsonl')
    const lines = readFileSync(events, 'utf8').trimEnd().split('\n')
    const at = { time: new Date().toISOString(), step: 20 }
    const rise = { type: 'incident', kind: 'divergence', ...at, message: 'The loss rises.' }
    writeFileSync(events, [...lines.slice(0, -1), JSON.stringify(rise), lines.at(-1), ''].join('\n'))
    const { fit, runs } = await planScaling(input)
    expect(runs[4].excluded).toBe('its loss is not finite')
    expect(runs[5].excluded).toBe('it diverged: The loss rises.')
    expect(runs.filter(({ excluded }) => excluded !== undefined)).toHaveLength(2)
    expect(fit!.law.irreducible.value).toBeCloseTo(law.irreducible, 2)
  })

  test('is refused where too few are left, which names those that were left out', async () => {
    for (const [i, run] of first.runs.entries()) pretend(run, i % 2 === 0 ? { results: { loss: null } } : {})
    await expect(planScaling(input)).rejects.toThrow(/at least 6 runs.*got 4 .*Left out: depth=1,.*not finite/)
  })

  test('is run by one process', async () => {
    for (const [name, value] of Object.entries({
      ...{ RANK: '0', WORLD_SIZE: '4', LOCAL_RANK: '0', LOCAL_WORLD_SIZE: '4' },
      ...{ MASTER_ADDR: '127.0.0.1', MASTER_PORT: '29500' },
    }))
      vi.stubEnv(name, value)
    try {
      await expect(planScaling(input)).rejects.toThrow('Expected one process for plan scaling, got 4 of torchrun')
    } finally {
      vi.unstubAllEnvs()
    }
  })

  test('refuses what cannot be fitted or does not belong to it', async () => {
    const { recipe } = input
    const start = (change: object, more: Partial<ScalingInput> = {}) =>
      planScaling({ ...input, ...more, recipe: { ...recipe, ...change } })
    await expect(start({ budget: { minutes: 3 } })).rejects.toThrow(/instead of minutes/)
    await expect(start({ base: data.root })).rejects.toThrow(/Expected a new `model` for a scaling law/)
    await expect(start({ seed: 3 })).rejects.toThrow(/that the grid in .* was started with/)
    await expect(start({}, { tokens: [100] })).rejects.toThrow(/for `tokens`, which are 20 steps/)
    await expect(start({}, { out: data.root })).rejects.toThrow(/found \d+ other files/)
    await expect(start({ validationExamples: 0 })).rejects.toThrow(/needs validation losses.*`validationExamples`/)
    const damaged = join(data.root, 'damaged')
    mkdirSync(damaged)
    writeFileSync(join(damaged, 'scaling.json'), '{"model"')
    await expect(start({}, { out: damaged })).rejects.toThrow(/scaling\.json.*The file is damaged: start another grid/)
  })

  test('refuses a grid that could not be fitted before its first run', async () => {
    const planned = async (depths: number[], tokens: number[]) => {
      const grid = { ...input, depths, tokens, out: join(data.root, 'hopeless') }
      const onRun = ({ name }: { name: string }) => {
        throw new Error(`${name} was run`)
      }
      await expect(planScaling(grid, { onRun })).rejects.toThrow(expected)
    }
    let expected = /at least 6 runs of 3 sizes and 3 numbers of tokens .*, got 6 of 2 and 3\. Add sizes or tokens/
    await planned([1, 2], [1700, 3400, 6800])
    expected = /got 0 of 0 and 0\. Add sizes .*Depth 7 with 90,?k? .*is left out: it takes more than a tenth/
    await planned([7], [90_000])
    expect(existsSync(join(data.root, 'hopeless'))).toBe(false)
  })

  test('has three sizes where the planned model has three layers', async () => {
    const shallow = { ...input.recipe, model: { type: 'gpt2', depth: 3 } }
    const { runs } = await planScaling(
      { recipe: shallow, out: join(data.root, 'shallow') },
      { signal: AbortSignal.abort() },
    )
    expect([...new Set(runs.map(({ depth }) => depth))]).toEqual([1, 2, 3])
  })
})
