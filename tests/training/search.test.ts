// Searches of hyperparameters over tiny runs: stopped at any place and gone on with, they go through the same trials to the same bits.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pretrain, readSweep, type SweepInput, type SweepResult, sweep } from '../../src/runs/index.ts'
import { runHere } from '../e2e/run-folder.ts'
import { makeSmallData, remainsOf, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
const at = (...names: string[]) => join(data.root, ...names)
beforeAll(async () => {
  data = await makeSmallData()
})
afterAll(() => data.dispose())

/** Three trials: all take 2 steps, the better one 4. */
const halving = (out: string): SweepInput => {
  const { out: _, evaluate: __, ...recipe } = smallRecipe(data, '', { budget: { steps: 4 }, checkpoint: {} })
  return {
    recipe: { command: 'pretrain', ...recipe, optimizer: { type: 'adamw' } },
    over: { learningRate: { low: 1e-5, high: 1e-2, scale: 'log' }, 'optimizer.beta2': [0.9, 0.999] },
    search: { method: 'asha', trials: 3, seed: 4, minSteps: 2, reduction: 2 },
    out: at(out),
  }
}
const scoresOf = ({ trials }: SweepResult) =>
  trials?.map(({ over, value, status, steps }) => ({ over, value, status, steps }))

describe('a search', () => {
  it('by successive halving goes on after a stop, and to the bits of a run without a pause', async () => {
    // Stopped in or right after the second trial, and started again.
    const aborter = new AbortController()
    const stopped = await sweep(halving('found'), {
      signal: aborter.signal,
      onRun: ({ number }) => ({
        onEvent: ({ type, step }) => void (type === 'step' && number === 2 && step === 1 && aborter.abort()),
      }),
    })
    expect(stopped.reason).toBe('interrupted')
    expect(stopped.trials?.map(({ status }) => status)).toContain('interrupted')
    const found = await sweep(halving('found'))
    expect(found).toMatchObject({ reason: 'finished', metric: 'loss' })
    const trials = found.trials ?? []
    expect(trials.slice(0, 2).map(({ over }) => over)).toEqual(stopped.trials?.map(({ over }) => over))
    expect(new Set(trials.map(({ over }) => over.learningRate)).size).toBe(3)
    const [best] = trials.filter(({ status }) => status === 'finished')
    for (const { status, steps } of trials.filter((trial) => trial !== best))
      expect([status, steps]).toEqual(['stopped', 2])
    expect(found.settings).toMatchObject([{ over: best.over, mean: best.value }])
    // What was continued was the better of the first two after two steps.
    const losses = trials.map(({ runs: [name] }) => {
      const lines = readFileSync(at('found', name, 'events.jsonl'), 'utf8')
        .trim()
        .split('\n')
      const events = lines.map((line) => JSON.parse(line))
      return events.find(({ type, step }) => type === 'evaluation' && step === 2).metrics.loss as number
    })
    expect(best.number - 1).toBe(losses[0] <= losses[1] ? 0 : 1)

    const { recipe } = halving('')
    const { learningRate, 'optimizer.beta2': beta2 } = best.over
    const optimizer = { type: 'adamw', beta2 }
    await pretrain({ ...recipe, learningRate, evaluate: { steps: 2 }, optimizer, out: at('straight') } as never)
    const model = (folder: string) =>
      Object.entries(remainsOf(at(folder))).filter(([name]) => name.startsWith('model/'))
    expect(model(join('found', best.runs[0]))).toEqual(model('straight'))

    const onDisk = await readSweep(at('found'))
    expect(onDisk).toMatchObject({
      method: 'asha',
      planned: found.trials!.length,
      metric: found.metric,
      best: best.over,
    })
    expect(onDisk!.trials).toMatchObject(found.trials!)

    // All is there: the same trials come from the seed and the files, and no run is started.
    const again = await sweep(halving('found'), {
      onRun: ({ name }) => {
        throw new Error(`${name} was started again.`)
      },
    })
    expect(scoresOf(again)).toEqual(scoresOf(found))
    const space = { learningRate: [1e-3, 1e-4], 'optimizer.beta2': [0.9, 0.999] }
    await expect(sweep({ ...halving('found'), over: space })).rejects.toThrow(/over\.learningRate.* was started with/)
    const search = { method: 'asha', trials: 3, seed: 5, minSteps: 2, reduction: 2 } as const
    await expect(sweep({ ...halving('found'), search })).rejects.toThrow(/`search` as the sweep/)
  })

  it('by TPE from a recipe runs each trial on every split, and shows it in 80 columns', async () => {
    const rows = Array.from({ length: 60 }, (_, i) =>
      JSON.stringify({
        text: `the ${i % 3 === 0 ? 'green' : 'stone'} house ${i}`,
        label: i % 3 === 0 ? 'plant' : 'rock',
      }),
    )
    writeFileSync(at('rows.jsonl'), rows.join('\n'))
    await pretrain(smallRecipe(data, at('base'), { budget: { steps: 1 }, keep: { last: 1 } }))
    const recipe = at('search.json')
    const settings = {
      search: { method: 'tpe', trials: 1 },
      over: { learningRate: '1e-4..1e-2:log' },
      folds: 2,
    }
    writeFileSync(recipe, JSON.stringify({ command: 'finetune', task: 'sequence-classification', ...settings }))
    const line =
      `sweep --recipe ${recipe} --base ${at('base')} --data ${at('rows.jsonl')} --max-length 16 --budget.steps 2
      --no-untrained-baseline --out ${at('tpe')}`.split(/\s+/)
    const { code, stdout, stderr } = await runHere([...line, '--json'])
    expect(stderr).not.toMatch(/^error/m)
    expect(code).toBe(0)
    const { trials = [], settings: found, runs } = JSON.parse(stdout) as SweepResult
    expect(trials).toMatchObject([{ number: 1, status: 'finished', over: found[0].over }])
    expect(found).toMatchObject([{ runs: trials[0].runs, of: 2 }])
    // Two equal scores say nothing of others.
    expect(found[0].interval === undefined).toBe(found[0].low === found[0].high)
    // Each half validates once: together they are all records.
    const counts = runs
      .slice(0, 2)
      .map(({ folder }) => JSON.parse(readFileSync(join(folder, 'model/evaluation.json'), 'utf8')).records.count)
    expect(counts[0] + counts[1]).toBe(60)
    // Nothing is left to run, so the same command only shows it.
    const again = await runHere(line)
    expect(again.stdout).toMatch(/trial.*learningRate.*accuracy.*status[\s\S]*Best: learningRate 0\.00/)
    for (const shown of again.stdout.split('\n').slice(0, -2)) expect([...shown].length).toBeLessThanOrEqual(80)
    const faults: [string[], RegExp][] = [
      [['--over.learning-rate', '3..1'], /lower to a higher/],
      [['--search.startup', '2'], /`search` as the sweep/],
      [['--search.reduction', '2'], /unknown key `reduction`/],
    ]
    for (const [more, message] of faults) expect((await runHere([...line, ...more])).stderr).toMatch(message)
  })
})
