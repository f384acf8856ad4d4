// One body with a head for each of several tasks: losses and gradients are those of the tasks alone, put together; each task opens as a model
// of its own, which predicts as it did at the end of training; and what is wrong with the tasks is said before the first step.
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadModel, saveModel } from '../../src/checkpoint/index.ts'
import { evaluate } from '../../src/inference/index.ts'
import type { BuiltRun } from '../../src/runs/engine/run-kind.ts'
import { compareRuns, finetune, multitask, pretrain, resume, startOf } from '../../src/runs/index.ts'
import { kindOf } from '../../src/runs/kinds.ts'
import type { TaggedTaskExample } from '../../src/runs/multitask/joined-model.ts'
import { Generator, memoryStatistics, resetPeakMemory } from '../../src/tensor/index.ts'
import { findMetric, splitMetric } from '../../src/tracking/index.ts'
import { computeGradients, takeBatch } from '../../src/training/index.ts'
import { testDevice } from '../device.ts'
import { runHere } from '../e2e/run-folder.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
let base: string
const at = (name: string) => join(data.root, name)

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
/** Frees the tensors of runs before. */
const settle = async () => {
  for (let i = 0; i < 4; i++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Texts with "green" are of one class, texts with "stone" of the other. */
const toneRows = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => {
    const [telling, label] = i % 2 === 0 ? ['green', 'plant'] : ['stone', 'rock']
    const text = `${['the house', 'a river walks', 'old bird'][i % 3]} ${telling} number ${from + i}`
    return JSON.stringify({ text, label })
  }).join('\n')

/** Words after "old" are names. */
const nameRows = (count: number) =>
  Array.from({ length: count }, (_, i) => {
    const subject = ['house', 'river', 'bird'][i % 3]
    const lines = i % 2 === 0 ? [`old O`, `${subject} B-NAME`] : ['small O', `${subject} O`]
    return [`w${i} O`, 'the O', ...lines].join('\n')
  }).join('\n\n')

beforeAll(async () => {
  data = await makeSmallData()
  base = at('base')
  await pretrain(smallRecipe(data, base, { budget: { steps: 2 }, checkpoint: { steps: 2 } }))
  writeFileSync(at('tone.jsonl'), toneRows(0, 40))
  writeFileSync(at('dev.jsonl'), toneRows(1000, 12))
  writeFileSync(at('names.conll'), `${nameRows(40)}\n`)
  const choices = (i: number) => ['a green bird', 'the stone walks over', 'small light'].slice(0, 2 + (i % 2))
  const row = (i: number) => JSON.stringify({ text: `the river ${i}`, choices: choices(i), label: i % 2 })
  writeFileSync(at('choices.jsonl'), Array.from({ length: 20 }, (_, i) => row(i)).join('\n'))
})
afterAll(() => data.dispose())

const tone = () => ({ type: 'sequence-classification', data: at('tone.jsonl'), validation: at('dev.jsonl') })
const names = () => ({ type: 'token-classification', data: at('names.conll'), maxLength: 12 })
const shared = (out: string, more: object = {}) => ({
  base,
  out: at(out),
  maxLength: 16,
  batch: { sequences: 8 },
  budget: { epochs: 1 },
  learningRate: 0.005,
  ...more,
})
const recipe = (out: string, more: object = {}) =>
  ({
    ...shared(out, more),
    tasks: { tone: tone(), names: names(), ...(more as { tasks?: object }).tasks },
  }) as unknown as Parameters<typeof multitask>[0]

const build = async (command: string, input: object): Promise<BuiltRun> => {
  const resolved = await startOf(command).resolve({ ...input, command })
  return kindOf(command).build(resolved, { say() {} })
}

const gradientsOf = async (
  { trainable }: BuiltRun,
  examples: readonly unknown[],
  microTokens = 8192,
  { dropout = false, padded = false, recompute = 0 } = {},
) => {
  if (dropout) trainable.model.train()
  else trainable.model.eval()
  const options = { microTokens, padded, recompute, device: testDevice, generator: new Generator(3) }
  const { loss, terms, gradients, release } = await computeGradients(trainable, examples, options)
  const values = new Map([...gradients].map(([path, tensor]) => [path, tensor.toFloat32Array()]))
  release()
  return { loss, terms, values }
}

const expectClose = (values: ArrayLike<number>, expected: ArrayLike<number>) => {
  expect(values.length).toBe(expected.length)
  for (let i = 0; i < values.length; i++) expect(values[i]).toBeCloseTo(expected[i], 5)
}

describe.each(['full', 'lora'])('the loss of two tasks: %s', (variant) => {
  it('is the sum of those of the tasks alone, times their scales, and so are gradients, whatever the micro-batches', async () => {
    const both = await build('multitask', recipe('loss', { variant, tasks: { names: { ...names(), scale: 0.25 } } }))
    const { examples } = takeBatch(both.stream, both.trainable.objective.tokens, 0, { sequences: 12 })
    const tagged = examples as TaggedTaskExample[]
    expect(new Set(tagged.map(({ task }) => task))).toEqual(new Set([0, 1]))
    const whole = await gradientsOf(both, tagged)
    const parts = await gradientsOf(both, tagged, 20)
    expect(parts.loss).toBeCloseTo(whole.loss, 5)
    const alone: Awaited<ReturnType<typeof gradientsOf>>[] = []
    for (const [i, { type, ...own }] of [tone(), names()].entries()) {
      const single = await build('finetune', { ...shared(`alone-${i}`, { variant }), task: type, ...own })
      const theirs = tagged.flatMap(({ task, example }) => (task === i ? [example] : []))
      alone.push(await gradientsOf(single, theirs))
    }
    const [first, second] = alone
    expect(whole.loss).toBeCloseTo(first.loss + 0.25 * second.loss, 5)
    expect(Object.keys(whole.terms).sort()).toEqual(['names/token-classification', 'tone/classification'])
    expect(findMetric('names/token-classification')?.direction).toBe('lower')
    for (const [path, values] of whole.values) {
      expectClose(parts.values.get(path) as Float32Array, values)
      const [, task, rest] = /^head\.(tone|names)\.(.+)$/.exec(path) ?? []
      const [a, b] = alone.map(({ values: own }) => own.get(task === undefined ? path : `head.${rest}`))
      if (task === 'tone') expectClose(values, a as Float32Array)
      else if (task === 'names')
        expectClose(
          values,
          (b as Float32Array).map((value) => 0.25 * value),
        )
      else
        expectClose(
          values,
          values.map((_, i) => (a?.[i] ?? 0) + 0.25 * (b?.[i] ?? 0)),
        )
    }
    for (const [i, name] of ['tone', 'names'].entries())
      for (const path of alone[i].values.keys())
        if (path.startsWith('head.')) expect(whole.values.has(path.replace('head.', `head.${name}.`))).toBe(true)
  })

  it('has the same dropout masks, whatever the micro-batches', async () => {
    // Its examples have several sequences.
    const best = { type: 'multiple-choice', data: at('choices.jsonl') }
    const both = await build('multitask', recipe('dropout', { variant, tasks: { best } }))
    const { examples } = takeBatch(both.stream, both.trainable.objective.tokens, 0, { sequences: 20 })
    expect((examples as TaggedTaskExample[]).filter(({ task }) => task === 2).length).toBeGreaterThan(1)
    const whole = await gradientsOf(both, examples, 8192, { dropout: true })
    expect((await gradientsOf(both, examples)).loss).not.toBeCloseTo(whole.loss, 3)
    for (const other of [
      await gradientsOf(both, examples, 20, { dropout: true }),
      await gradientsOf(both, examples, 8192, { dropout: true, padded: true, recompute: 2 }),
    ]) {
      expect(other.loss).toBeCloseTo(whole.loss, 5)
      for (const [path, values] of whole.values) expectClose(other.values.get(path) as Float32Array, values)
    }
  })

  it('trains a folder with a model for each task, which predicts as at the end, also after a resume', async () => {
    const input = (out: string) => recipe(out, { variant, budget: { steps: 6 }, checkpoint: { steps: 3 } })
    const losses: number[] = []
    const out = `whole-${variant}`
    const result = await multitask(input(out), {
      onEvent: (event) => void (event.type === 'step' && losses.push(event.loss)),
    })
    expect(result.mainMetric).toBe('mean')
    const { mean, ...each } = result.metrics
    expect(mean).toBeCloseTo((each['tone/accuracy'] + each['names/f1']) / 2, 12)
    const stop = new AbortController()
    const stopped = `stopped-${variant}`
    const resumed: number[] = []
    await multitask(input(stopped), {
      onEvent(event) {
        if (event.type !== 'step') return
        resumed.push(event.loss)
        if (event.step === 4) stop.abort()
      },
      signal: stop.signal,
    })
    await resume(at(stopped), { onEvent: (event) => void (event.type === 'step' && resumed.push(event.loss)) })
    expect(resumed).toEqual(losses)
    const weights = variant === 'full' ? 'model-00001-of-00002.safetensors' : 'adapter_model.safetensors'
    const filesOf = (run: string) =>
      ['tone', 'names'].flatMap((task) =>
        [weights, 'predictions.jsonl', 'evaluation.json'].map((file) =>
          readFileSync(at(`${run}/model/${task}/${file}`)),
        ),
      )
    expect(filesOf(stopped)).toEqual(filesOf(out))
    for (const [task, records] of [
      ['tone', at('dev.jsonl')],
      ['names', undefined],
    ] as const) {
      const evaluation = JSON.parse(readFileSync(at(`${out}/model/${task}/evaluation.json`), 'utf8'))
      expect(evaluation.metrics[evaluation.mainMetric].value).toBe(each[`${task}/${evaluation.mainMetric}`])
      if (records === undefined) continue
      const predictions = at(`${task}-${variant}.jsonl`)
      await evaluate({ model: at(out), task, data: records, options: { predictions } })
      expect(readFileSync(predictions, 'utf8')).toBe(readFileSync(at(`${out}/model/${task}/predictions.jsonl`), 'utf8'))
    }
    // The body is on the disk once.
    const body = (task: string) => statSync(at(`${out}/model/${task}/${weights}`)).ino
    expect(body('tone') === body('names')).toBe(variant === 'full')
  })
})

it.each(['full', 'lora'])('keeps the heads of two tasks of one type apart: %s', async (variant) => {
  const flipped = toneRows(2000, 12).replaceAll('plant', 'x').replaceAll('rock', 'plant').replaceAll('"x"', '"rock"')
  writeFileSync(at('flipped.jsonl'), flipped)
  const other = { ...tone(), data: at('flipped.jsonl'), validation: at('flipped.jsonl') }
  const out = `same-type-${variant}`
  const input = { ...recipe(out, { variant, budget: { steps: 20 } }), tasks: { tone: tone(), other } }
  await multitask(input as unknown as Parameters<typeof multitask>[0])
  for (const [task, records] of [
    ['tone', at('dev.jsonl')],
    ['other', at('flipped.jsonl')],
  ]) {
    const predictions = at(`${task}-${variant}-again.jsonl`)
    await evaluate({ model: at(out), task, data: records, options: { predictions } })
    expect(readFileSync(predictions, 'utf8')).toBe(readFileSync(at(`${out}/model/${task}/predictions.jsonl`), 'utf8'))
  }
  // Both classify, so that their tensors have the same names.
  const head = variant === 'full' ? 'model-00002-of-00002.safetensors' : 'adapter_model.safetensors'
  const [own, theirs] = ['tone', 'other'].map((task) => readFileSync(at(`${out}/model/${task}/${head}`)))
  expect(own.equals(theirs)).toBe(false)
})

describe('runs of several tasks', () => {
  it('take examples in the shares of the weights, in an order that only seed and position decide', async () => {
    const input = recipe('order', { tasks: { tone: { ...tone(), weight: 1 }, names: { ...names(), weight: 3 } } })
    const [one, again] = [await build('multitask', input), await build('multitask', input)]
    const { perEpoch } = one.stream
    for (const epoch of [0, 1]) {
      const taken = Array.from({ length: perEpoch }, (_, i) => one.stream.example(epoch * perEpoch + i).example)
      const ofNames = (taken as TaggedTaskExample[]).filter(({ task }) => task === 1).length
      expect(Math.abs(ofNames - 0.75 * perEpoch)).toBeLessThan(1)
      const position = epoch * perEpoch + 7
      expect(again.stream.example(position)).toEqual(one.stream.example(position))
    }
    expect(one.notes.join('\n')).toMatch(/An epoch is \d+ examples: 25 % tone .*, 75 % names/)
  })

  it('take a task as often as its data sets allow, and others in its place', async () => {
    const data = ['tone.jsonl', 'dev.jsonl'].map((file) => ({ path: at(file), maxEpochs: 0.5 }))
    const { stream } = await build(
      'multitask',
      recipe('few', { tasks: { tone: { type: 'sequence-classification', data } } }),
    )
    const taken = Array.from({ length: 2 * stream.perEpoch }, (_, i) => stream.example(i).example as TaggedTaskExample)
    const ofTone = taken.filter(({ task }) => task === 0).length
    expect(ofTone).toBeGreaterThan(0)
    expect(ofTone).toBeLessThanOrEqual(26)
  })

  it('hold a base in half precision in float32 once, whatever the number of tasks', async () => {
    const half = at('half')
    const model = await loadModel(base, { dtype: 'bfloat16', head: 'embedding' })
    await saveModel(model, half, { tokenizer: data.tokenizer })
    const body = [...model.body.parameters().values()].reduce((sum, { size }) => sum + 4 * size, 0)
    const peakOf = async (tasks: object) => {
      await settle()
      const { inUse } = memoryStatistics()
      resetPeakMemory()
      await build('multitask', recipe('half-run', { base: half, variant: 'lora', tasks }))
      return memoryStatistics().peak - inUse
    }
    const two = await peakOf({})
    const four = await peakOf({ again: tone(), third: names() })
    expect(four).toBeGreaterThan(body)
    expect(four - two).toBeLessThan(body / 2)
  })

  it('are compared task by task, with specialists on the same records too, and are used by task', async () => {
    const { type, ...own } = tone()
    await finetune({ ...shared('specialist'), task: type, ...own } as unknown as Parameters<typeof finetune>[0])
    const { runs } = await compareRuns([at('whole-full'), at('specialist')])
    expect(runs.map(({ name }) => name).sort()).toEqual(['specialist', 'whole-full/names', 'whole-full/tone'])
    const ofTone = runs.filter(({ task }) => task === type)
    expect(ofTone.filter(({ difference }) => difference !== undefined).length).toBeGreaterThan(0)
    const { stdout } = await runHere([
      'predict',
      '--model',
      at('whole-full'),
      '--task',
      'names',
      '--text',
      'the old bird',
    ])
    expect(stdout).toMatch(/tags the\/\S+ old\/\S+ bird\/\S+/)
    const evaluating = ['evaluate', '--model', at('whole-full'), '--data', at('dev.jsonl')]
    expect((await runHere([...evaluating, '--task', 'tones'])).stderr).toMatch(/\(tone, names\), got "tones".*`tone`/)
    expect((await runHere(evaluating)).stderr).toMatch(/one of the tasks tone, names .*`--task`/)
    expect((await runHere(['predict', '--model', base, '--task', 'tone', '--text', 'x'])).stderr).toMatch(
      /`--task` needs a model of several tasks/,
    )
  })

  it('are given on the command line', async () => {
    const { stdout } = await runHere([
      ...['multitask', '--base', base, '--out', at('line'), '--max-length', '16', '--budget.steps', '2'],
      '--tasks',
      `tone=sequence-classification,data=${at('tone.jsonl')},validation=${at('dev.jsonl')},settings.text=text`,
      `names=token-classification,data=${at('names.conll')},scale=0.5`,
    ])
    expect(stdout).toMatch(/^validation: mean .*\nvalidation on tone: accuracy [^:]*\nvalidation on names: f1 /m)
    expect(JSON.parse(readFileSync(at('line/run.json'), 'utf8')).tasks.names).toMatchObject({
      type: 'token-classification',
      data: at('names.conll'),
      scale: 0.5,
    })
  })

  it('name metrics by task and by data set', () => {
    expect(splitMetric('tone/accuracy')).toEqual({ task: 'tone', metric: 'accuracy' })
    expect(splitMetric('tone/accuracy/reviews')).toEqual({ task: 'tone', metric: 'accuracy', set: 'reviews' })
    expect(splitMetric('accuracy/reviews')).toEqual({ metric: 'accuracy', set: 'reviews' })
  })
})

describe('tasks that cannot be meant', () => {
  const text = 'tone=sequence-classification,data=x'
  const cases: [string, unknown, RegExp, object?][] = [
    ['a single task', { tone: { type: 'regression', data: 'x' } }, /at least two tasks .*got tone\. .*`finetune`/],
    ['no task', {}, /at least two tasks .*got none/],
    ['two of one name', [text, 'tone=regression,data=y'], /got "tone" twice/],
    [
      'a task without data',
      { tone: { type: 'regression' }, b: { type: 'regression', data: 'x' } },
      /tasks\.tone.*data|data.*tasks\.tone/,
    ],
    ['a text without data', [text, 'names=regression'], /data/],
    ['a text without a type', [text, 'reviews.csv'], /name, a type and data .*got "reviews\.csv"/],
    ['an unknown type', [text, 'names=regresion,data=x'], /regresion/],
    ['an unknown field', [text, 'names=regression,data=x,wieght=2'], /wieght/],
    [
      'a weight of one task only',
      [`${text},weight=2`, 'names=regression,data=x'],
      /weight for each task or for none, got none for names/,
    ],
    [
      'weights and a temperature',
      [`${text},weight=2`, 'names=regression,data=x,weight=1'],
      /or `taskTemperature`/,
      { taskTemperature: 2 },
    ],
    ['one scale for all', [`${text},scale=2`, 'names=regression,data=x,scale=2'], /scales that differ .*got 2 for all/],
    ['the name of a metric', [text, 'accuracy=regression,data=x'], /no metric has, got "accuracy"/],
    [
      'a name that is no folder',
      { 'a/b': { type: 'regression', data: 'x' }, c: { type: 'regression', data: 'x' } },
      /letter and then/,
    ],
    ['a setting that the task lacks', [text, 'names=regression,data=x,settings.labl=y'], /task names: .*labl/],
    ['a variant without steps', [text, 'names=regression,data=x'], /trains in steps/, { variant: 'feature-based' }],
  ]
  it.each(cases)('%s', (_, tasks, message, more = {}) => {
    expect(() => startOf('multitask').check({ command: 'multitask', base: 'b', out: 'o', tasks, ...more })).toThrow(
      message,
    )
  })

  it('heads that the architecture lacks, several that write, and untrained heads are named before the first step', async () => {
    const writing = { type: 'instructions', data: at('tone.jsonl') }
    await expect(build('multitask', recipe('no', { tasks: { text: writing } }))).rejects.toThrow(/^The task text: /)
    const untrained = recipe('no', { variant: 'lora', adapter: { trainHead: false } })
    await expect(build('multitask', untrained)).rejects.toThrow(/leave out `adapter\.trainHead`/)
    await expect(multitask(recipe('no', { keep: { best: 'tone/accurcy' } }))).rejects.toThrow(
      /got tone\/accurcy\..*`tone\/accuracy`/,
    )
  })
})
