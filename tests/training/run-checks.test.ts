// What is checked before the first step of a run, and runs that are started in one folder and resumed or compared from another.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigError } from '../../src/core/index.ts'
import { compareRuns, finetune, pretrain, type RunListener, resume } from '../../src/runs/index.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
const at = (name: string) => join(data.root, name)
const here = process.cwd()

const reviews = (count: number) =>
  Array.from({ length: count }, (_, i) => JSON.stringify({ text: `a ${i % 2 ? 'house' : 'river'} ${i}`, label: i % 2 }))

beforeAll(async () => {
  data = await makeSmallData()
  await pretrain(smallRecipe(data, at('base'), { budget: { steps: 2 } }))
  writeFileSync(at('train.jsonl'), reviews(24).join('\n'))
  writeFileSync(at('dev.jsonl'), reviews(12).join('\n'))
})
afterAll(() => {
  process.chdir(here)
  data.dispose()
})

const specialist = (out: string, more: object = {}, listener: RunListener = {}) =>
  finetune(
    {
      base: at('base'),
      task: 'sequence-classification',
      data: at('train.jsonl'),
      validation: at('dev.jsonl'),
      out,
      budget: { steps: 2 },
      untrainedBaseline: false,
      ...more,
    },
    listener,
  )

describe('a run that nobody listens to', () => {
  it('reports the warnings of its pre-flight and of its scores to the process, and is silent for a listener', async () => {
    const seen: string[] = []
    const listen = ({ name, message }: Error) => void (name === 'TunesmithWarning' && seen.push(message))
    process.on('warning', listen)
    try {
      const recipe = { untrainedBaseline: true, budget: { steps: 2 } }
      const { warnings } = await specialist(at('unheard'), recipe)
      // Node emits warnings in the next tick.
      await new Promise(setImmediate)
      expect(warnings.length).toBeGreaterThan(0)
      expect(seen).toEqual([expect.stringMatching(/^The budget is 2 steps: too few/), ...warnings])
      const notes: string[] = []
      await specialist(at('heard'), recipe, { onNote: (line) => notes.push(line) })
      await new Promise(setImmediate)
      expect(seen).toHaveLength(1 + warnings.length)
    } finally {
      process.off('warning', listen)
    }
  })
})

describe('before the first step', () => {
  it.each([
    [
      { keep: { best: 'lss' } },
      /Expected a metric of this run for `keep\.best` \(loss, .*\), got lss\. Did you mean `loss`\?/,
    ],
    [{ patience: 2, keep: {} }, /`patience` needs a metric to watch: set `keep\.best`/],
    [{ keep: { best: 'loss' }, evaluate: {} }, /`keep\.best` needs evaluations: set `evaluate\.steps`/],
    [{ keep: { best: 'loss' }, validationExamples: 0 }, /`keep\.best` needs validation data/],
  ])('%j of pretraining is refused', async (more, message) => {
    const out = at('refused')
    const started = pretrain(smallRecipe(data, out, more))
    await expect(started).rejects.toThrow(ConfigError)
    await expect(pretrain(smallRecipe(data, out, more))).rejects.toThrow(message)
    expect(existsSync(join(out, 'run.json'))).toBe(false)
  })

  it('a metric of the task is accepted, and a mistyped one refused', async () => {
    await expect(specialist(at('mistyped'), { keep: { best: 'acuracy' } })).rejects.toThrow(
      /for `keep\.best` \(.*accuracy.*\), got acuracy\. Did you mean `accuracy`\?/,
    )
    expect(await specialist(at('by-f1'), { keep: { best: 'f1Macro' } })).toMatchObject({ reason: 'finished' })
  })

  it('an average that would have the weights of one step only is refused', async () => {
    const average = { method: 'mean', startStep: 3, interval: 2 } as const
    await expect(specialist(at('one-weight'), { average, budget: { steps: 5 } })).rejects.toThrow(
      /the second is that of step 6, and the run has 5\. Lower them/,
    )
    expect(await specialist(at('two-weights'), { average, budget: { steps: 6 } })).toMatchObject({ steps: 6 })
  })

  it('R-Drop is refused for a model without dropout', async () => {
    const settings = { rDrop: 1 }
    const lora = (dropout: number) => ({ base: at('no-dropout'), settings, variant: 'lora', adapter: { dropout } })
    const config = { numLayers: 1, hiddenDropout: 0, attentionDropout: 0 }
    const model = { type: 'bert', preset: 'test', config }
    await pretrain(smallRecipe(data, at('no-dropout'), { model, budget: { steps: 2 } }))
    await expect(specialist(at('same-passes'), lora(0))).rejects.toThrow(
      /and this model has none: set `adapter\.dropout`/,
    )
    expect(await specialist(at('two-passes'), lora(0.1))).toMatchObject({ reason: 'finished' })
  })

  it('a step of more examples than memory holds is refused', async () => {
    const more = { batch: { sequences: 1e12 } }
    await expect(pretrain(smallRecipe(data, at('huge'), more))).rejects.toThrow(
      /Expected at most \d+ for `batch\.sequences`/,
    )
    await expect(specialist(at('huge'), more)).rejects.toThrow(/Expected at most \d+ for `batch\.sequences`/)
  })

  it('a model that memory cannot hold is refused', async () => {
    const config = { numLayers: 4096, hiddenSize: 8192, numHeads: 64, intermediateSize: 32_768 }
    const more = { model: { type: 'bert', preset: 'test', config } }
    await expect(pretrain(smallRecipe(data, at('giant'), more))).rejects.toThrow(
      /Expected a model that fits in memory, got 4096 for `model\.config\.numLayers`: at least .* Set `model\.config\.numLayers` to \d+ or less/,
    )
  })
})

describe('a run that was started with relative paths', () => {
  it('is resumed and compared from another folder', async () => {
    process.chdir(data.root)
    const aborter = new AbortController()
    const relativePaths = { base: 'base', data: 'train.jsonl', validation: 'dev*.jsonl' }
    const stopped = await finetune(
      { ...relativePaths, task: 'sequence-classification', out: 'one', budget: { steps: 4 }, untrainedBaseline: false },
      {
        signal: aborter.signal,
        onEvent: ({ type }) => type === 'step' && aborter.abort(),
      },
    )
    expect(stopped.reason).toBe('interrupted')
    await specialist('two', relativePaths)
    process.chdir(here)
    expect(await resume(at('one'))).toMatchObject({ reason: 'finished', steps: 4 })
    const recipe = JSON.parse(readFileSync(join(at('one'), 'run.json'), 'utf8')) as Record<string, string>
    expect([recipe.base, recipe.data, recipe.validation]).toEqual([at('base'), at('train.jsonl'), at('dev*.jsonl')])
    const { runs, warnings } = await compareRuns([relative(here, at('one')), at('two')])
    expect(warnings).toEqual([])
    expect(runs[1].difference?.probability).toBeGreaterThan(0)
  })

  it('and pretrains is resumed from another folder', async () => {
    process.chdir(data.root)
    const recipe = smallRecipe(data, 'pretrained', { budget: { steps: 2 }, keep: {} })
    const paths = { data: relative(data.root, data.shards), tokenizer: relative(data.root, data.tokenizer) }
    await pretrain({ ...recipe, ...paths }, { signal: AbortSignal.abort() })
    process.chdir(here)
    expect(await resume(at('pretrained'))).toMatchObject({ reason: 'finished', steps: 2 })
  })
})

it('compare says that a run is one of pretraining', async () => {
  await expect(compareRuns([at('base')])).rejects.toThrow(
    /base: Expected a fine-tuning run or an alignment run, found one of `pretrain`\. Fine-tune its model/,
  )
})

it('two equal runs leave equal evaluations', async () => {
  await specialist(at('first'))
  await specialist(at('second'))
  const evaluation = (name: string) => readFileSync(join(at(name), 'model', 'evaluation.json'), 'utf8')
  expect(evaluation('first')).toBe(evaluation('second'))
  expect(JSON.parse(readFileSync(join(at('first'), 'model', 'timing.json'), 'utf8')).seconds).toBeGreaterThan(0)
})
