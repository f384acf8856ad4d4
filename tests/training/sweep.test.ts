// Sweeps through the program: a grid that is run, stopped, killed, gone on with and added to.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { folderOwner } from '../../src/core/index.ts'
import { pretrain, type SweepResult, sweep } from '../../src/runs/index.ts'
import { readEvents } from '../../src/tracking/index.ts'
import { listSnapshots } from '../../src/training/index.ts'
import { runChild, runHere } from '../e2e/run-folder.ts'
import { isFull } from '../grid.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
const at = (...names: string[]) => join(data.root, ...names)

beforeAll(async () => {
  data = await makeSmallData()
  await pretrain(smallRecipe(data, at('base'), { budget: { steps: 4 } }))
  const rows = Array.from({ length: 90 }, (_, i) => {
    const green = i % 2 === 0
    return JSON.stringify({ review: `the house ${green ? 'green' : 'stone'} ${i}`, stars: green ? 'plant' : 'rock' })
  })
  writeFileSync(at('rows.jsonl'), rows.join('\n'))
})
afterAll(() => data.dispose())

const commandLine = (out: string, over: readonly string[], more: readonly string[] = []) =>
  `sweep --base ${at('base')} --task sequence-classification --data ${at('rows.jsonl')} --text-column review --label-column stars --validation-share 0.3
   --max-length 32 --batch.sequences 16 --budget.steps 8 --evaluate.steps 99 --checkpoint.steps 2 --no-untrained-baseline --out ${at(out)}`
    .split(/\s+/)
    .concat(over, more)

const grid = ['--over.variant', 'full,lora', '--over.seed', '0,1', '--over.learning-rate', '1e-2']
const names = ['full,seed=0', 'full,seed=1', 'lora,seed=0', 'lora,seed=1'].map(
  (name) => `variant=${name},learningRate=0.01`,
)
const evaluationOf = (out: string, name: string) =>
  JSON.parse(readFileSync(at(out, name, 'model', 'evaluation.json'), 'utf8'))

describe('sweep', () => {
  it('continues after Ctrl-C and after a kill, and runs every point once', async () => {
    // Ctrl-C in the first run.
    const aborter = new AbortController()
    const owners: Promise<number | undefined>[] = []
    const base = { base: at('base'), task: 'sequence-classification', data: at('rows.jsonl'), validationShare: 0.3 }
    const recipe = {
      ...base,
      settings: { text: 'review', label: 'stars' },
      maxLength: 32,
      batch: { sequences: 16 },
      budget: { steps: 8 },
      evaluate: { steps: 99 },
      checkpoint: { steps: 2 },
      untrainedBaseline: false,
    }
    const stopped = await sweep(
      { recipe, over: { variant: ['full', 'lora'], seed: [0, 1], learningRate: [0.01] }, out: at('grid') },
      {
        signal: aborter.signal,
        onRun: () => {
          owners.push(folderOwner(at('grid')))
          return { onEvent: ({ type, step }) => void (type === 'step' && step === 3 && aborter.abort()) }
        },
      },
    )
    expect(stopped.reason).toBe('interrupted')
    // Locked while it goes on, between runs too.
    expect(await Promise.all(owners)).toEqual([process.pid])
    expect(await folderOwner(at('grid'))).toBeUndefined()
    expect(stopped.runs.map(({ status }) => status)).toEqual(['interrupted', 'waiting', 'waiting', 'waiting'])

    // The same from the command line, killed in the second run.
    let killed = false
    const child = await runChild(commandLine('grid', grid), (stderr, kill) => {
      if (killed || !/2 of 4: [\s\S]*2\/4/.test(stderr)) return
      killed = true
      kill('SIGKILL')
    })
    expect(killed).toBe(true)
    expect(child.stderr).toMatch(/Resuming from step [3-7]\./)
    expect(existsSync(at('grid', names[0], 'model'))).toBe(true)
    expect(existsSync(at('grid', names[3]))).toBe(false)

    const { code, stdout, stderr } = await runChild(commandLine('grid', grid, ['--json']))
    expect(code).toBe(0)
    expect(stderr).toContain(`${names[0]}: already finished, skipped`)
    const result = JSON.parse(stdout) as SweepResult
    expect(result.reason).toBe('finished')
    expect(result.runs.map(({ name }) => name)).toEqual(names)
    for (const { status } of result.runs) expect(status).toBe('finished')
    const card = JSON.parse(readFileSync(at('grid', names[0], 'run-card.json'), 'utf8'))
    expect(card).toMatchObject({ steps: 8, examples: 8 * 16, resumed: 1 })

    // Means and spreads of what the runs themselves say.
    expect(result.metric).toBe('accuracy')
    expect(result.settings).toHaveLength(2)
    for (const { over, mean, spread, low, high, runs } of result.settings) {
      const [a, b] = [0, 1].map(
        (seed) => evaluationOf('grid', `variant=${over.variant},seed=${seed},learningRate=0.01`).metrics.accuracy.value,
      )
      expect(runs).toHaveLength(2)
      expect(mean).toBeCloseTo((a + b) / 2, 12)
      expect(spread).toBeCloseTo(Math.abs(a - b) / Math.SQRT2, 12)
      expect([low, high]).toEqual([Math.min(a, b), Math.max(a, b)])
    }
    expect(result.settings[0].mean).toBeGreaterThanOrEqual(result.settings[1].mean)
    expect(JSON.parse(readFileSync(at('grid', 'summary.json'), 'utf8')).settings).toEqual(result.settings)
  })

  it.runIf(isFull)(
    'stops in order on Ctrl-C, with a checkpoint, and gives each run a memory of its own (test:full)',
    async () => {
      const slow = ['--checkpoint.steps', '1000', '--budget.steps', '60', '--batch.sequences', '64']
      const one = ['--over.seed', '0,1', '--json', ...slow]
      let stopped = false
      const child = await runChild(commandLine('stopped', one), (stderr, kill) => {
        if (stopped || !/1 of 2: [\s\S]*step \d+\/60/.test(stderr)) return
        stopped = true
        kill('SIGINT')
      })
      expect(child.code).toBe(130)
      expect(child.stderr).toMatch(/Before the first step[\s\S]*Stopping after the current step/)
      const { reason, runs } = JSON.parse(child.stdout) as SweepResult
      expect(reason).toBe('interrupted')
      expect(runs.map(({ status }) => status)).toEqual(['interrupted', 'waiting'])
      const { step } = (await listSnapshots(at('stopped', 'seed=0')))[0]
      expect(step).toBeGreaterThan(0)
      expect(step).toBeLessThan(60)
      // What this process holds is none of theirs.
      const ballast = Buffer.alloc(2 ** 30, 1)
      const { code, stdout, stderr } = await runHere(commandLine('stopped', one))
      expect(code).toBe(0)
      expect(JSON.parse(stdout)).toMatchObject({ reason: 'finished' })
      expect(stderr).toContain('2 of 2: seed=1')
      for (const name of ['seed=0', 'seed=1']) {
        const peaks: number[] = []
        for await (const event of readEvents(at('stopped', name, 'events.jsonl')))
          if (event.type === 'step') peaks.push(event.memoryBytes)
        expect(peaks).toHaveLength(60)
        expect(Math.max(...peaks)).toBeLessThan(ballast.length)
      }
    },
  )

  it('reports faults of data, and continues after a run that failed', async () => {
    const missing = await runHere(commandLine('missing', ['--over.seed', '0,1', '--data', at('nothing.jsonl')]))
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error: .*nothing\.jsonl/m) })
    const wild = ['--over.learning-rate', '1e30,1e-3', '--json']
    const { code, stdout } = await runChild(commandLine('wild', wild))
    expect(code).toBe(1)
    const { runs } = JSON.parse(stdout) as SweepResult
    expect(runs.map(({ status }) => status)).toEqual(['failed', 'finished'])
    expect(runs[0].message).toMatch(/not finite/)
  })

  it.runIf(isFull)('is the same grid or one with more values, and nothing else (test:full)', async () => {
    const fails = async (over: readonly string[], more: readonly string[] = []) => {
      const { code, stderr } = await runHere(commandLine('grid', over, more))
      expect(code).toBe(2)
      return stderr
    }
    expect(await fails([...grid.slice(0, 2), '--over.seed', '0,2', ...grid.slice(4)])).toMatch(
      /over\.seed.*1 is missing/,
    )
    expect(await fails(grid.slice(0, 4))).toMatch(/learningRate/)
    expect(await fails(grid, ['--weight-decay', '0.5'])).toMatch(/weightDecay|weight-decay/)
    writeFileSync(at('stranger'), '')
    expect((await runHere(commandLine('stranger', grid))).code).not.toBe(0)
    const more = await runChild(commandLine('grid', [...grid.slice(0, 2), '--over.seed', '0,1,2', ...grid.slice(4)]))
    expect(more.code).toBe(0)
    expect(more.stderr.match(/already finished, skipped/g)).toHaveLength(4)
    expect(more.stdout).toMatch(/variant.*accuracy.*spread/)
    expect(more.stdout).toMatch(/Best: variant (full|lora), learningRate 0\.01/)
    expect(existsSync(at('grid', 'variant=lora,seed=2,learningRate=0.01', 'model'))).toBe(true)
  })

  it('reports every fault of every point before the first run', async () => {
    const { code, stderr } = await runHere(
      commandLine('wrong', ['--over.variant', 'full,lorra', '--over.learning-rate', '0.1,-1']),
    )
    expect(code).toBe(2)
    expect(stderr).toMatch(/variant=lorra/)
    expect(stderr).toMatch(/learningRate=-1/)
    expect(existsSync(at('wrong'))).toBe(false)
    const adapter = await runHere(commandLine('wrong', ['--over.variant', 'lora', '--over.adapter.rnk', '4,8']))
    expect(adapter).toMatchObject({ code: 2, stderr: expect.stringMatching(/every run: .*rank/) })
    const steps = await runHere(commandLine('wrong', ['--over.variant', 'lora,feature-based']))
    expect(steps).toMatchObject({ code: 2, stderr: expect.stringMatching(/variant=feature-based: [\s\S]*no steps/) })
    const both = ['--over.frozen-weights', 'float32,bfloat16', '--over.variant', 'lora']
    const precision = await runHere(commandLine('wrong', both, ['--precision', 'bfloat16']))
    expect(precision).toMatchObject({ code: 2, stderr: expect.stringMatching(/frozenWeights=bfloat16.*: .*no effect/) })
    const version = await runHere(commandLine('wrong', ['--over.variant', 'lora', '--over.adapter.rank', '1.2.3']))
    expect(version.stderr).toMatch(/^error: .*rank/s)
    expect(version.stderr).not.toMatch(/SyntaxError/)
    const nothing = await runHere(commandLine('wrong', []))
    expect(nothing).toMatchObject({ code: 2, stderr: expect.stringMatching(/A sweep needs values to vary/) })
    const setting = await runHere(commandLine('wrong', ['--over.settings.labl', 'a,b']))
    expect(setting).toMatchObject({ code: 2, stderr: expect.stringMatching(/labl/) })
  })

  it('takes a recipe file, of pretraining too', async () => {
    const file = at('pretrain.json')
    const { out: _, ...recipe } = smallRecipe(data, '', {
      budget: { steps: 2 },
      keep: { last: 1 },
      evaluate: { steps: 2 },
    })
    writeFileSync(file, JSON.stringify({ command: 'pretrain', ...recipe, over: { learningRate: [1e-3, 1e-5] } }))
    const more = ['--optimizer.weight-decay', '0.02', '--batch.micro-tokens', '999']
    const { code, stdout, stderr } = await runChild([
      ...['sweep', '--recipe', file, '--out', at('pretraining'), '--json'],
      ...more,
    ])
    expect(stderr).not.toMatch(/error/)
    expect(code).toBe(0)
    const { metric, settings } = JSON.parse(stdout) as SweepResult
    expect(metric).toBe('loss')
    // The lowest loss is the best.
    expect(settings[0].mean).toBeLessThan(settings[1].mean)
    expect(settings[0].over).toEqual({ learningRate: 1e-3 })
    // Flags lie over the file, and bring none of their neighbours' defaults along.
    const { recipe: laid } = JSON.parse(readFileSync(at('pretraining', 'sweep.json'), 'utf8'))
    expect(laid.batch).toEqual({ ...recipe.batch, microTokens: 999 })
    expect(laid.optimizer).toEqual({ type: 'adamw', ...recipe.optimizer, weightDecay: 0.02 })
  })
})
