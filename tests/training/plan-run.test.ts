// `planRun`: what a run costs, by its recipe. Expected numbers come from the run itself and from arithmetic.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatBytes } from '../../src/core/index.ts'
import { type FinetuneInput, finetune, planFacts, planRun, pretrain } from '../../src/runs/index.ts'
import { keptCheckpoints } from '../../src/runs/plan/plan-run.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
beforeAll(async () => {
  data = await makeSmallData()
})
afterAll(() => data.dispose())

const recipe = (more: object = {}) => ({ ...smallRecipe(data, `${data.root}/run`, more), command: 'pretrain' })

describe('a plan of a pretraining run', () => {
  test('has steps, tokens, memory and time by a card', async () => {
    const { rows, speed, memoryBytes } = await planRun(recipe(), { gpu: 'a100', count: 2, pricePerHour: 3 })
    const [run] = rows
    expect(rows).toHaveLength(1)
    expect(run.steps).toBe(20)
    expect(run.tokens).toBeCloseTo(20 * run.tokensPerStep)
    expect(run.flops).toBeCloseTo(20 * run.flopsPerStep)
    expect(speed?.flopsPerSecond).toBeCloseTo(2 * 0.4 * 19.5e12)
    expect(run.costs?.seconds).toBeCloseTo(run.flops / (2 * 0.4 * 19.5e12))
    // Two cards are rented, each at this price, and each has the power of its data sheet.
    expect(run.costs!.money! / (run.costs!.seconds / 3600)).toBeCloseTo(2 * 3)
    expect(run.costs!.kilowattHours! / (run.costs!.seconds / 3600)).toBeCloseTo(2 * 0.4)
    expect(memoryBytes).toBe(80e9)
    expect(run.memory.holders.some(({ label }) => label === 'optimizer state')).toBe(true)
  })

  test('counts the steps that a budget of minutes allows', async () => {
    const { rows } = await planRun(recipe({ budget: { minutes: 1 } }), { gpu: 't4' })
    expect(rows[0].costs?.seconds).toBeLessThanOrEqual(60)
    expect(rows[0].costs?.seconds).toBeGreaterThan(59)
  })

  test('finds the steps within limits of time, and the limit that decides', async () => {
    const budget = { steps: 1e12 }
    const { fit, rows } = await planRun(recipe({ budget }), { gpu: 't4', pricePerHour: 2, fit: { hours: 1, money: 1 } })
    expect(fit?.binds).toEqual(['money'])
    expect(fit?.steps).toBe(Math.floor((0.5 * 3600 * 0.4 * 8.1e12) / rows[0].flopsPerStep))
    // The price of the recipe, which is what `--price-per-hour` sets, is as good.
    const priced = await planRun(recipe({ budget, pricePerHour: 2 }), { gpu: 't4', fit: { hours: 1, money: 1 } })
    expect(priced.fit?.steps).toBe(fit?.steps)
  })

  test('leaves a run as it is that takes less than its limits, and says what is left', async () => {
    const plans = await planRun(recipe(), { gpu: 't4', pricePerHour: 2, fit: { hours: 1, money: 3 } })
    const { seconds, money } = plans.rows[0].costs!
    expect(plans.fit).toMatchObject({ changes: {}, binds: [], steps: 20 })
    expect(plans.fit?.left?.hours).toBeCloseTo(1 - seconds / 3600)
    expect(plans.fit?.left?.money).toBeCloseTo(3 - money!)
    expect(planFacts(plans).at(-1)).toMatch(/^fits within the limits as it is, with .* and 3\.00 of the money left$/)
    const timed = await planRun(recipe({ budget: { minutes: 1 } }), { gpu: 't4', fit: { hours: 1 } })
    expect(timed.fit).toMatchObject({ changes: {}, binds: [], steps: timed.rows[0].steps })
  })

  test('takes the speed of the settings that fit', async () => {
    const config = { numLayers: 2, hiddenSize: 128, numHeads: 4, intermediateSize: 512 }
    const large = { model: { type: 'bert', preset: 'test', config }, budget: { steps: 1e12 }, average: undefined }
    const options = { gpu: 't4', story: false } as const
    const heldWith = async (precision: string) => {
      const least = { ...large, precision, recompute: 'all', batch: { sequences: 8, microTokens: 1024 } }
      return (await planRun(recipe(least), options)).rows[0].memory.heldBytes
    }
    const [half, whole] = [await heldWith('bfloat16'), await heldWith('float32')]
    expect(half).toBeLessThan(whole)
    const { fit } = await planRun(recipe({ ...large, batch: { sequences: 8, microTokens: 1024 } }), {
      ...{ ...options, fit: { memory: (half + whole) / 2, hours: 1 } },
    })
    expect(fit?.changes).toMatchObject({ precision: 'bfloat16' })
    expect(fit?.speed?.flopsPerSecond).toBeCloseTo(0.4 * 65e12)
    expect(fit?.steps).toBe(Math.floor((3600 * 0.4 * 65e12) / fit!.plan.flopsPerStep))
    // What is refused says what the smallest of the settings take.
    const smallest = planRun(recipe({ ...large, batch: { sequences: 8, microTokens: 1024 } }), {
      ...{ ...options, fit: { memory: half / 2 } },
    })
    await expect(smallest).rejects.toThrow(`Expected at least ${formatBytes(half)} for \`fit.memory\``)
  })

  test('refuses an unknown card with the nearest name, and settings without effect', async () => {
    await expect(planRun(recipe(), { gpu: 'h10' })).rejects.toThrow(/Did you mean h100/)
    await expect(planRun(recipe(), { utilisation: 0.5 })).rejects.toThrow(/needs a graphics card/)
    await expect(planRun(recipe(), { gpu: 't4', measure: true })).rejects.toThrow(/remove `gpu`/)
    await expect(planRun(recipe(), { gpu: 't4', fit: { memory: 1000 } })).rejects.toThrow(/`fit.memory`/)
  })

  test('fits the whole process on the CPU, and the card of a data sheet', async () => {
    const here = await planRun(recipe(), { fit: { memory: 2e9 } })
    const tensors = here.rows[0].memory.heldBytes
    // Node with libtorch takes more than 100 MB before any tensor.
    expect(here.fit?.memoryBytes).toBeGreaterThan(tensors + 100e6)
    expect(here.fit?.memoryBytes).toBeLessThan(2e9)
    const small = 2 * tensors
    await expect(planRun(recipe(), { fit: { memory: small } })).rejects.toThrow(
      /at least .* for `fit.memory`, got .*: the process takes about .* before it has any tensors/,
    )
    const onCard = await planRun(recipe(), { gpu: 't4', fit: { memory: 2e9 } })
    expect(onCard.fit?.memoryBytes).toBe(onCard.rows[0].memory.heldBytes)
  })

  test('refuses limits that nothing stays within, and names the one that binds', async () => {
    const start = (fit: object, more: object = {}) => planRun(recipe(), { gpu: 't4', pricePerHour: 2, fit, ...more })
    await expect(start({ hours: 1e-12, money: 50 })).rejects.toThrow(/Expected more for `fit.hours`: one step takes/)
    await expect(start({ hours: 8, money: 1e-12 })).rejects.toThrow(/Expected more for `fit.money`: one step takes/)
    await expect(start({ memory: 1000, hours: 1e-12 })).rejects.toThrow(/at least .* for `fit.memory`/)
    await expect(start({ money: 5 }, { pricePerHour: undefined })).rejects.toThrow(/needs a price/)
  })
})

describe('disk of a plan', () => {
  test('has the checkpoints that are kept, with the average and the state of all processes', async () => {
    const row = async (more: object, options: object = {}) =>
      (await planRun(recipe({ average: undefined, ...more }), { gpu: 'a100', story: false, ...options })).rows[0]
    const plain = await row({})
    const weights = 4 * plain.parameters
    const average = { decay: 0.9 }
    const own = { checkpoint: {}, keep: { last: 2 } }
    // Of 20 steps without checkpoints by steps, the last one is kept.
    expect((await row({ average, ...own })).diskBytes! - (await row(own)).diskBytes!).toBe(weights)
    const batch = { sequences: 8 }
    const shared = await row({ batch, shard: 'optimizer' }, { count: 4 })
    const whole = await row({ batch }, { count: 4 })
    expect(shared.diskBytes! / whole.diskBytes!).toBeCloseTo(1, 1)
  })

  test.each([
    [{ last: 2 }, { steps: 5 }, 20, 2],
    [{ last: 2 }, {}, 20, 1],
    [{ last: 2, best: 'loss' }, { steps: 5 }, 20, 3],
    // At 10 and 20 by `every`, at 15 and 20 as the newest.
    [{ last: 2, every: 10 }, { steps: 5 }, 20, 3],
    // At 6, 12 and 18 by `every`, and at 20 as the newest.
    [{ last: 1, every: 2 }, { steps: 3 }, 20, 4],
    [{ last: 2, every: 10 }, { minutes: 5, epochs: 1 }, 20, 2],
    [{ last: 2, every: 10 }, { steps: 5 }, undefined, 2],
  ])('keeps by %j and %j the checkpoints of %d steps: %d', (keep, checkpoint, steps, expected) => {
    expect(keptCheckpoints({ keep, checkpoint }, steps)).toBe(expected)
  })
})

describe('a plan of a fine-tuning run', () => {
  const words = ['the', 'house', 'river', 'old', 'bird', 'rain', 'stone']
  let asked: object
  beforeAll(async () => {
    const base = join(data.root, 'base')
    await pretrain(smallRecipe(data, base, { budget: { steps: 2 } }))
    const rows = Array.from({ length: 60 }, (_, i) => ({ text: `${words[i % 7]} ${words[i % 5]}`, label: `${i % 2}` }))
    const file = join(data.root, 'rows.jsonl')
    writeFileSync(file, rows.map((row) => JSON.stringify(row)).join('\n'))
    asked = { command: 'finetune', base, task: 'sequence-classification', data: file, out: join(data.root, 'tuned') }
  })

  test.each(['full', 'lora', 'feature-based'])('of %s has the other methods beside it', async (variant) => {
    const { rows, notes } = await planRun({ ...asked, variant }, { gpu: 't4' })
    const others = ['full', 'lora', 'feature-based'].filter((name) => name !== variant)
    expect(rows.map(({ name }) => name)).toEqual([variant, ...others, 'pretraining the base'])
    const of = (name: string) => rows.find((row) => row.name === name)!
    expect(of('full').trainedParameters).toBe(of('full').parameters)
    expect(of('lora').trainedParameters).toBeLessThan(of('full').trainedParameters)
    expect(of('feature-based')).toMatchObject({ trainedParameters: 0 })
    expect(of('feature-based').diskBytes).toBeUndefined()
    // As all rows of a plan for a card, with the context of CUDA.
    expect(of('feature-based').memory.heldBytes).toBeGreaterThan(0.5 * 2 ** 30)
    // One pass forward, beside three with gradients.
    expect(of('feature-based').flops).toBeLessThan(of('full').flops / 6)
    expect(notes.filter((note) => note.includes('is not planned'))).toEqual([])
  })

  test('of features counts training and validation records, and the run counts the same', async () => {
    // Equal texts would be computed once.
    const text = (i: number) => `${words[i % 7]} ${words[i % 5]} ${words[i % 3]}`
    const lines = Array.from({ length: 60 }, (_, i) => JSON.stringify({ text: text(i), label: `${i % 2}` }))
    const file = join(data.root, 'different.jsonl')
    writeFileSync(file, lines.join('\n'))
    const fitted = { ...asked, data: file, variant: 'feature-based' }
    const { rows } = await planRun(fitted, { gpu: 't4', story: false })
    const out = join(data.root, 'features')
    const adapter = { cache: join(data.root, 'cache') }
    await finetune({ ...fitted, out, adapter } as FinetuneInput)
    const card = JSON.parse(readFileSync(join(out, 'run-card.json'), 'utf8'))
    expect(rows[0].tokens / card.tokens).toBeCloseTo(1, 1)
    // Embedding tables are not multiplied: with them it would be a third more at least.
    expect(card.flops / card.tokens).toBeLessThan((2 * rows[0].parameters) / 1.3)
  })

  test('plans the base in the precision of the run', async () => {
    const heldOf = async (precision: string) =>
      (await planRun({ ...asked, variant: 'full', precision }, { gpu: 't4' })).rows
        .at(-1)!
        .memory.phases.find(({ phase }) => phase === 'forward')!.peakBytes
    expect(await heldOf('bfloat16')).not.toBe(await heldOf('float32'))
  })

  const baseRow = async (options: object = {}) =>
    (await planRun({ ...asked, variant: 'full' }, options)).rows.find(({ name }) => name === 'pretraining the base')!

  test('has what the base took, by its run card', async () => {
    const card = JSON.parse(readFileSync(join(data.root, 'base', 'run-card.json'), 'utf8'))
    const { costs, tokens, flops, steps, memory } = await baseRow()
    expect(costs?.seconds).toBeCloseTo(card.wallSeconds)
    expect(costs?.range[1]).toBeCloseTo(card.wallSeconds)
    expect({ tokens, flops, steps }).toEqual({ tokens: card.tokens, flops: card.flops, steps: 2 })
    expect(memory).toMatchObject({ peakBytes: card.measured.peakBytes, phase: card.prediction.phase })
  })

  test('plans the base for a card with the batch and the length of its run card', async () => {
    const { config, tokens } = JSON.parse(readFileSync(join(data.root, 'base', 'run-card.json'), 'utf8'))
    const { tokensPerStep, steps } = await baseRow({ gpu: 't4' })
    expect(tokensPerStep).toBe(config.batch.sequences * config.maxLength)
    expect(steps).toBe(Math.round(tokens / tokensPerStep))
  })
})
