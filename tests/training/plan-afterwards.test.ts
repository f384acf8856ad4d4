// Plans beside the runs that they foretold: `plan RUN`, `plan calibrate`, `--dry-run`, the page, and the plan of a sweep.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  calibratePlans,
  planRun,
  planSweep,
  pretrain,
  type RunPlans,
  readRunPlan,
  resume,
} from '../../src/runs/index.ts'
import { type RunCard, readRunCard } from '../../src/tracking/index.ts'
import { runHere } from '../e2e/run-folder.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
const at = (name: string) => join(data.root, name)
const recipe = (name: string, more: object = {}) => smallRecipe(data, at(name), { budget: { steps: 6 }, ...more })

beforeAll(async () => {
  data = await makeSmallData()
  vi.stubEnv('XDG_CACHE_HOME', at('cache'))
  await pretrain(recipe('done'))
})
afterAll(() => {
  vi.unstubAllEnvs()
  data.dispose()
})

/** The run with another card. */
const withCard = (name: string, change: (card: RunCard) => object): string => {
  mkdirSync(at(name))
  const card = JSON.parse(readFileSync(join(at('done'), 'run-card.json'), 'utf8')) as RunCard
  writeFileSync(join(at(name), 'run-card.json'), JSON.stringify({ ...card, ...change(card) }))
  for (const file of ['run.json', 'events.jsonl'])
    writeFileSync(join(at(name), file), readFileSync(join(at('done'), file), 'utf8'))
  return at(name)
}

describe('the plan of a run', () => {
  test('has prediction and measurement, with their difference', async () => {
    const { prediction, measured, costs } = await readRunPlan(at('done'))
    expect(costs.map(({ name }) => name)).toEqual([
      'peak of tensors',
      'memory of the process',
      'FLOPs',
      'time of the steps',
    ])
    const percent = 100 * (measured!.peakBytes / prediction.peakBytes - 1)
    expect(costs[0].difference.replace('−', '-').replace('+', '')).toBe(`${percent.toFixed(1)} %`)
    const { code, stdout } = await runHere(['plan', at('done')])
    expect(code).toBe(0)
    expect(stdout).toMatch(/peak of tensors/)
  })

  test('is made where a run without one goes on', async () => {
    const aborter = new AbortController()
    await pretrain(recipe('stopped'), {
      signal: aborter.signal,
      onEvent: (event) => {
        if (event.type === 'step' && event.step >= 2) aborter.abort()
      },
    })
    rmSync(join(at('stopped'), 'plan.json'))
    await resume(at('stopped'))
    const { peakBytes, flopsPerStep } = (await readRunPlan(at('done'))).prediction
    expect((await readRunPlan(at('stopped'))).prediction).toMatchObject({ peakBytes, flopsPerStep })
  })

  test('is refused where there is none', async () => {
    await expect(readRunPlan(at('nowhere'))).rejects.toThrow(/Expected the folder of a run/)
    const old = withCard('old', () => ({ prediction: undefined, measured: undefined }))
    await expect(readRunPlan(old)).rejects.toThrow(/found no plan\.json/)
  })
})

describe('calibration', () => {
  test('learns speed and memory, which later plans use and name', async () => {
    const before = await planRun({ ...recipe('next'), command: 'pretrain' })
    expect(before.speed).toBeUndefined()
    const { code, stdout } = await runHere(['plan', 'calibrate', at('done'), '--json'])
    expect(code).toBe(0)
    const [learned] = JSON.parse(stdout) as { flopsPerSecond: number; marginBytes: number }[]
    const { prediction, measured } = (await readRunCard(at('done')))!
    expect(learned.marginBytes).toBe(measured!.rssBytes - prediction!.rssBytes + prediction!.marginBytes)
    const { speed, rows } = await planRun({ ...recipe('next'), command: 'pretrain' })
    expect(speed).toMatchObject({ basis: 'calibrated', source: '1 finished run on this machine' })
    expect(speed?.flopsPerSecond).toBe(learned.flopsPerSecond)
    expect(rows[0].costs?.seconds).toBeCloseTo(rows[0].flops / learned.flopsPerSecond)
    await pretrain(recipe('next'))
    const next = (await readRunCard(at('next')))!.prediction
    expect(next).toMatchObject({ source: '1 finished run on this machine', marginBytes: learned.marginBytes })
    // The same run again counts once.
    await calibratePlans([at('done'), at('done')])
    await calibratePlans([at('done'), at('next')])
    expect((await planRun({ ...recipe('more'), command: 'pretrain' })).speed?.source).toMatch(/^2 finished runs/)
  })

  test('refuses runs of other processors, runs that have not ended, and runs that are too short', async () => {
    const other = withCard('other', ({ hardware }) => ({ hardware: { ...hardware, cpu: 'Another CPU' } }))
    await expect(calibratePlans([other])).rejects.toThrow(/got one of Another CPU/)
    await pretrain(recipe('short', { budget: { steps: 2 } }))
    await expect(calibratePlans([at('short')])).rejects.toThrow(/at least 3 steps/)
    const open = withCard('open', () => ({ measured: undefined }))
    await expect(calibratePlans([open])).rejects.toThrow(/Expected a run that has ended/)
  })
})

describe('a dry run', () => {
  const flags = () =>
    `--model.type bert --model.preset test --objective.type masked-lm --data ${data.shards} --tokenizer ${data.tokenizer} --max-length 32
     --batch.sequences 4 --budget.steps 5 --out ${at('dry')}`.split(/\s+/)

  test('is the plan of the same flags, and starts nothing', async () => {
    const [dry, plan] = [
      await runHere(['pretrain', ...flags(), '--dry-run', '--json']),
      await runHere(['plan', 'pretrain', ...flags(), '--json']),
    ]
    expect(dry.code).toBe(0)
    const plans = JSON.parse(plan.stdout) as RunPlans
    expect(JSON.parse(dry.stdout)).toEqual(plans)
    // What it costs, not how the model is built.
    expect(Object.keys(plans.rows[0])).not.toContain('base')
    expect(existsSync(at('dry'))).toBe(false)
  })

  test('of a sweep has a row for each run', async () => {
    const { command: _, out, ...own } = { command: '', ...recipe('grid') }
    const plans = await planSweep({
      recipe: { ...own, command: 'pretrain' },
      over: { 'batch.sequences': [4, 8], seed: [0, 1] },
      out,
    })
    expect(plans.rows).toHaveLength(4)
    const [small, , large] = plans.rows
    expect(large.flopsPerStep / small.flopsPerStep).toBeCloseTo(2, 0)
    expect(plans.notes[0]).toMatch(/^All 4 runs: /)
    expect(existsSync(at('grid'))).toBe(false)
  })

  test('writes a page without dependencies', async () => {
    const { code, stdout } = await runHere(['plan', 'pretrain', ...flags(), '--html', at('plan.html'), '--json'])
    expect(code).toBe(0)
    const { html } = JSON.parse(stdout) as RunPlans & { html: string }
    const page = readFileSync(html, 'utf8')
    expect(page).toMatch(/optimizer state/)
    expect(page).not.toMatch(/<script|https?:\/\/|<link/)
    // One bar for each holder, none longer than the whole.
    const widths = [...page.matchAll(/<rect width="([\d.]+)"/g)].map(([, width]) => Number(width))
    expect(widths.length).toBeGreaterThan(2)
    expect(widths.every((width) => width <= 100)).toBe(true)
  })
})
