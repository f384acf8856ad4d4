// A run that is killed at any moment, checkpoint writes included, goes on and ends with the bits and the events of an undisturbed one. Damaged
// checkpoints are noticed, a full disk loses nothing older, signals save. 100 kills in a row were run by hand with the same functions.
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CheckpointError, ConfigError, createRandom } from '../../src/core/index.ts'
import { pretrain, type RunListener, resume, verifyResume } from '../../src/runs/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { eventsOf, makeSmallData, remainsOf, type SmallData, smallRecipe } from './small-run.ts'
import { runWithKills, spawnRun } from './spawn-run.ts'

setThreads(1)
let data: SmallData
let whole: string
let expected: { files: Record<string, string>; events: object[] }
const at = (name: string) => join(data.root, name)

beforeAll(async () => {
  data = await makeSmallData()
  whole = at('whole')
  await pretrain(smallRecipe(data, whole))
  expected = { files: remainsOf(whole), events: await eventsOf(whole) }
})
afterAll(() => data.dispose())

const expectWhole = async (run: string, { events = true } = {}) => {
  expect(remainsOf(run)).toEqual(expected.files)
  if (events) expect(await eventsOf(run)).toEqual(expected.events)
  expect(readdirSync(join(run, 'checkpoints')).filter((name) => name.startsWith('.'))).toEqual([])
}

/** Stops as Ctrl-C does, after this step. */
const stopAfter = (step: number): { listener: RunListener; notes: string[] } => {
  const aborter = new AbortController()
  const notes: string[] = []
  return {
    notes,
    listener: {
      signal: aborter.signal,
      onNote: (line) => notes.push(line),
      onEvent: (event) => {
        if (event.type === 'step' && event.step >= step) aborter.abort()
      },
    },
  }
}

it('an undisturbed run leaves checkpoints, the best, a model and every event', () => {
  const names = Object.keys(expected.files)
  expect(names).toContain('model/model.safetensors')
  expect(names.filter((name) => name.endsWith('state.json')).length).toBeGreaterThanOrEqual(2)
  expect(names.some((name) => name.endsWith('average.safetensors'))).toBe(true)
  const types = expected.events.map((event) => (event as { type: string; step: number }).type)
  expect(types.filter((type) => type === 'step')).toHaveLength(20)
  expect(types.filter((type) => type === 'evaluation')).toHaveLength(3)
  expect(types.filter((type) => type === 'start')).toHaveLength(1)
})

it('kills (-9) at random moments, up to four, leave no trace', async () => {
  const recipe = smallRecipe(data, at('killed'))
  const { killed, last } = await runWithKills(recipe, createRandom('four kills'), { kills: 4, withinSteps: 6 })
  // How many a fast machine leaves time for is its own affair.
  expect(killed).toBeGreaterThan(0)
  expect(last.lines.at(-1)).toBe('ended finished')
  await expectWhole(recipe.out)
})

describe('stopped by a signal', () => {
  it('finishes the step and saves', async () => {
    const recipe = smallRecipe(data, at('signal'), { budget: { steps: 2000 } })
    const { lines } = await spawnRun(recipe, {
      onLine: (line, process) => {
        if (line === 'step 4') process.kill('SIGTERM')
      },
    })
    expect(lines.at(-1)).toBe('ended interrupted')
    const last = lines
      .filter((line) => line.startsWith('step'))
      .at(-1)
      ?.slice(5)
    expect(readdirSync(join(recipe.out, 'checkpoints'))).toContain(`step-${String(last).padStart(8, '0')}`)
    expect(existsSync(join(recipe.out, 'model'))).toBe(false)
  })

  it.each([1, 13])('after step %i, mid-epoch, and gone on to the same bits', async (step) => {
    const recipe = smallRecipe(data, at(`stopped-${step}`))
    const { listener } = stopAfter(step)
    expect(await pretrain(recipe, listener)).toMatchObject({ reason: 'interrupted', steps: step, model: undefined })
    const result = await resume(recipe.out)
    expect(result).toMatchObject({ reason: 'finished', steps: 20 })
    expect(result.metrics.loss).toBeGreaterThan(0)
    expect(remainsOf(recipe.out)['model/model.safetensors']).toBe(expected.files['model/model.safetensors'])
    const steps = (events: object[]) => events.filter((event) => (event as { type: string }).type !== 'checkpoint')
    expect(steps(await eventsOf(recipe.out))).toEqual(steps(expected.events))
  })

  it('before the first step', async () => {
    const recipe = smallRecipe(data, at('never'))
    await pretrain(recipe, { signal: AbortSignal.abort() })
    await resume(recipe.out)
    const { 'model/model.safetensors': model } = remainsOf(recipe.out)
    expect(model).toBe(expected.files['model/model.safetensors'])
    expect((await eventsOf(recipe.out)).filter((event) => (event as { type: string }).type === 'start')).toHaveLength(1)
  })
})

it('killed between a checkpoint and its event, the event is added', async () => {
  const run = at('no-record')
  cpSync(whole, run, { recursive: true })
  const path = join(run, 'events.jsonl')
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
  const checkpoint = lines.findLastIndex((line) => line.includes('"type":"checkpoint"'))
  writeFileSync(path, `${lines.slice(0, checkpoint).join('\n')}\n`)
  await resume(run)
  await expectWhole(run)
})

it('killed before the first checkpoint, a run starts again with new records', async () => {
  const run = at('no-checkpoint')
  cpSync(whole, run, { recursive: true })
  for (const name of ['checkpoints', 'model']) rmSync(join(run, name), { recursive: true })
  await resume(run)
  await expectWhole(run)
})

it('resuming a finished run changes nothing and still knows its results', async () => {
  const run = at('finished')
  cpSync(whole, run, { recursive: true })
  const result = await resume(run)
  expect(result.metrics.loss).toBeGreaterThan(0)
  expect(result.loss).toBeGreaterThan(0)
  await expectWhole(run)
})

it('resumes with other micro-batches and recomputed layers', async () => {
  const recipe = smallRecipe(data, at('other-parts'), {
    model: { type: 'bert', preset: 'test', config: { numLayers: 2, hiddenDropout: 0, attentionDropout: 0 } },
    average: undefined,
  })
  const losses = async (run: string) =>
    (await eventsOf(run)).flatMap((event) => ('loss' in event ? [event.loss] : [])) as number[]
  const undisturbed = { ...recipe, out: at('same-parts') }
  await pretrain(undisturbed)
  await pretrain(recipe, stopAfter(8).listener)
  const path = join(recipe.out, 'run.json')
  const settings = JSON.parse(readFileSync(path, 'utf8'))
  writeFileSync(path, JSON.stringify({ ...settings, batch: { ...settings.batch, microTokens: 40 }, recompute: 'all' }))
  await resume(recipe.out)
  const [ours, theirs] = [await losses(recipe.out), await losses(undisturbed.out)]
  expect(ours).toHaveLength(20)
  for (const [i, loss] of ours.entries()) expect(Math.abs(loss - theirs[i])).toBeLessThan(1e-5)
  const newest = readdirSync(join(recipe.out, 'checkpoints')).sort().at(-1) as string
  const state = JSON.parse(readFileSync(join(recipe.out, 'checkpoints', newest, 'state.json'), 'utf8'))
  expect(state).toMatchObject({ microTokens: 40, recompute: 2 })
})

describe('damage', () => {
  /** The last checkpoint of a copy of the run. */
  const damagedCopy = (name: string) => {
    const run = at(name)
    rmSync(run, { recursive: true, force: true })
    cpSync(whole, run, { recursive: true })
    // As if it had been killed after its last checkpoint: nothing is left to do in a finished run.
    rmSync(join(run, 'run-card.json'))
    const last = join(run, 'checkpoints', readdirSync(join(run, 'checkpoints')).sort().at(-1) as string)
    return { run, last }
  }
  const filesOf = (folder: string) =>
    readdirSync(folder, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))

  it('a flipped bit in any file of a checkpoint is noticed, and the one before is used', async () => {
    const { run, last } = damagedCopy('flipped')
    const files = filesOf(last)
    expect(files.length).toBeGreaterThan(5)
    const { newestSnapshot } = await import('../../src/training/index.ts')
    const random = createRandom('flips')
    for (const path of files) {
      const bytes = readFileSync(path)
      for (const place of [0, bytes.length - 1, random.integer(bytes.length), random.integer(bytes.length)]) {
        const flipped = Buffer.from(bytes)
        flipped[place] ^= 1 << random.integer(8)
        writeFileSync(path, flipped)
        const { found, damaged } = await newestSnapshot(run)
        expect(damaged, `${path} at ${place}`).toHaveLength(1)
        expect(found?.step).toBe(18)
      }
      writeFileSync(path, bytes)
    }
    expect((await newestSnapshot(run)).found?.step).toBe(20)
  })

  it.each([
    ['cut short', (path: string) => truncateSync(path, Math.floor(statSync(path).size / 2))],
    ['missing', (path: string) => rmSync(path)],
  ])('a file that is %s: the run goes on from the checkpoint before', async (name, harm) => {
    const { run, last } = damagedCopy(name)
    harm(join(last, 'optimizer.safetensors'))
    const notes: string[] = []
    await resume(run, { onNote: (line) => notes.push(line) })
    expect(notes).toHaveLength(1)
    expect(notes[0]).toMatch(/optimizer\.safetensors.*damaged/)
    rmSync(join(run, 'checkpoints', `damaged-${last.split('/').at(-1)}`), { recursive: true })
    await expectWhole(run)
  })

  it('is an error when every checkpoint is damaged', async () => {
    const { run } = damagedCopy('all-damaged')
    for (const path of filesOf(join(run, 'checkpoints')).filter((name) => name.endsWith('state.json')))
      writeFileSync(path, '{}')
    await expect(resume(run)).rejects.toThrow(CheckpointError)
    await expect(resume(run)).rejects.toThrow('Every checkpoint in')
  })
})

it('a full disk during a checkpoint loses nothing older, is a one-line error, and the run can be resumed', async () => {
  const recipe = smallRecipe(data, at('full'))
  await pretrain(recipe, stopAfter(8).listener)
  const before = readdirSync(join(recipe.out, 'checkpoints')).sort()
  const largest = statSync(join(recipe.out, 'checkpoints', before[0], 'optimizer.safetensors')).size
  const { lines } = await spawnRun(recipe, { shellPrefix: `ulimit -f ${Math.floor(largest / 2048)}` })
  const failed = lines.filter((line) => line.startsWith('failed'))
  expect(failed).toHaveLength(1)
  expect(lines.at(-1)).toBe(failed[0])
  expect(failed[0]).toMatch(
    /^failed CheckpointError: File size limit reached while writing `.*full`\. Earlier checkpoints are intact: free space, then `node bin\/tunesmith.js resume .*full`\.$/,
  )
  expect(readdirSync(join(recipe.out, 'checkpoints')).sort()).toEqual(before)
  await resume(recipe.out)
  expect(remainsOf(recipe.out)['model/model.safetensors']).toBe(expected.files['model/model.safetensors'])
})

it('verify-resume proves it over every kind of state, and a run without a folder of its own is refused', async () => {
  const proof = await verifyResume(whole, { steps: 4 })
  expect(proof).toMatchObject({ steps: 8, equal: true, different: [] })
  await expect(pretrain(smallRecipe(data, whole))).rejects.toThrow(ConfigError)
})

it.each([
  [
    'two models and bfloat16',
    {
      model: { type: 'electra', preset: 'test' },
      objective: { type: 'replaced-token-detection' },
      precision: 'bfloat16',
      optimizer: { type: 'muon' },
    },
  ],
  [
    'batches by tokens in parts',
    {
      model: { type: 'gpt2', preset: 'test' },
      objective: { type: 'causal-lm' },
      precision: 'bfloat16',
      batch: { tokens: 100, microTokens: 40 },
      optimizer: { type: 'adafactor' },
    },
  ],
  [
    'a mixture and two terms',
    {
      objective: { type: 'sentence-pretraining' },
      dataWeights: [1, 2],
      optimizer: { type: 'lion' },
      average: undefined,
    },
  ],
])('%s: goes on to the same bits', async (name, more) => {
  const recipe = smallRecipe(data, at(name.replaceAll(' ', '-')), { ...more, budget: { steps: 3 } } as never)
  const shards = 'dataWeights' in more ? [data.shards, data.shards] : data.shards
  const { metrics } = await pretrain({ ...recipe, data: shards })
  expect(metrics.loss).toBeGreaterThan(0)
  expect('perplexity' in metrics).toBe(more.objective.type === 'causal-lm')
  const proof = await verifyResume(recipe.out, { steps: 3 })
  expect(proof).toMatchObject({ equal: true, different: [] })
})

it('what cannot be trained leaves no folder behind that would be in the way', async () => {
  const recipe = smallRecipe(data, at('wrong'), { maxLength: 1000 })
  await expect(pretrain(recipe)).rejects.toThrow('Expected at most 64 tokens for `maxLength`')
  expect((await pretrain({ ...recipe, maxLength: 32, budget: { steps: 1 } })).reason).toBe('finished')
})
