// Runs of the feature-based variant from end to end on invented data: every kind of task and every learner, the cache between runs, and
// models that say the same through the base as from the cache.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadTokenizer, resolveModel } from '../../src/checkpoint/index.ts'
import { createRandom } from '../../src/core/index.ts'
import { type LearnerType, learners, loadFeatureModel } from '../../src/features/index.ts'
import { compareRuns, finetune, pretrain, resume, verifyResume } from '../../src/runs/index.ts'
import { evaluateTask, type TaskDefinition, type TaskType, taskConfig, tasks } from '../../src/tasks/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { readEvents } from '../../src/tracking/index.ts'
import { makeSmallData, type SmallData, smallRecipe } from '../training/small-run.ts'

setThreads(1)
let data: SmallData
let base: string
const at = (name: string) => join(data.root, name)

const telling = ['green', 'stone', 'river']
const others = ['the', 'a', 'house', 'bird', 'walks', 'old', 'rain', 'light', 'and', 'small', 'over', 'under']

/** Texts whose class one word gives away. */
const texts = (count: number, seed = 'texts') => {
  const random = createRandom(seed)
  return Array.from({ length: count }, (_, i) => {
    const words = Array.from({ length: 3 }, () => others[random.integer(others.length)])
    words.splice(random.integer(4), 0, telling[i % 3])
    return { text: words.join(' '), kind: i % 3 }
  })
}
const paired = texts(240, 'pairs')

const files = {
  'sequence-classification': texts(240).map(({ text, kind }) => ({ text, label: telling[kind] })),
  'multi-label': texts(240).map(({ text, kind }) => ({
    text,
    label: [telling[kind], ...(text.includes('house') ? ['house'] : [])],
  })),
  regression: texts(240).map(({ text, kind }, i) => ({
    text,
    pair: paired[i].text,
    label: 1.5 * kind,
  })),
  'token-classification': texts(90).map(({ text }) => {
    const tokens = text.split(' ')
    return { tokens, tags: tokens.map((token) => (telling.includes(token) ? 'B-thing' : 'O')) }
  }),
  'multiple-choice': texts(90).map(({ text }, i) => ({
    text,
    choices: i % 2 === 0 ? ['green green green', 'sleeps over'] : ['sleeps over', 'green green green'],
    label: i % 2,
  })),
}
type Data = keyof typeof files

beforeAll(async () => {
  data = await makeSmallData()
  base = at('base')
  await pretrain(
    smallRecipe(data, base, {
      model: { type: 'bert', preset: 'test', config: { numLayers: 2 } },
      budget: { steps: 8 },
    }),
  )
  for (const [name, rows] of Object.entries(files))
    writeFileSync(at(`${name}.jsonl`), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
})
afterAll(() => data.dispose())

const recipe = (file: Data, out: string, adapter: object = {}, more: object = {}) =>
  ({
    base,
    task: (file === 'multi-label' ? 'sequence-classification' : file) as TaskType,
    settings: {
      ...(file === 'multi-label' ? { multiLabel: true } : {}),
      ...(file === 'regression' ? { pair: 'pair' } : {}),
    },
    data: at(`${file}.jsonl`),
    variant: 'feature-based',
    adapter: { cache: at('cache'), ...adapter },
    out: at(out),
    maxLength: 24,
    validationShare: 0.25,
    ...more,
  }) as Parameters<typeof finetune>[0]

const listening = () => {
  const notes: string[] = []
  return { notes, onNote: (line: string) => notes.push(line) }
}

/** What the finished model says of the records that the run was judged by, through its base. */
const judgeAgain = async (out: string) => {
  const folder = await resolveModel(at(out))
  const run = JSON.parse(readFileSync(join(at(out), 'run.json'), 'utf8'))
  const { model, facts } = await loadFeatureModel(folder)
  const task = tasks[run.task as TaskType] as unknown as TaskDefinition
  const config = taskConfig(task, run.settings)
  const lines = (name: string) => readFileSync(join(folder, name), 'utf8').trim().split('\n')
  const said = lines('predictions.jsonl').map((line) => JSON.parse(line) as { id: string })
  const ids = new Set(said.map(({ id }) => id))
  const { records } = await task.read(run.data, config)
  const held = records.filter(({ id }) => ids.has(id))
  const result = await evaluateTask(model, await loadTokenizer(data.tokenizer), task, held, config, { batchTokens: 64 })
  return { facts, result, said, left: JSON.parse(lines('evaluation.json').join('\n')) }
}

const close = (a: unknown, b: unknown): void => {
  if (typeof a === 'number' && typeof b === 'number')
    expect(Math.abs(a - b)).toBeLessThan(1e-3 * Math.max(1, Math.abs(a)))
  else if (typeof a === 'object' && a !== null)
    for (const [key, value] of Object.entries(a)) close(value, (b as Record<string, unknown>)[key])
  else expect(a).toEqual(b)
}

describe('a feature-based run', () => {
  const cases: [Data, LearnerType, object][] = [
    ...(Object.keys(learners) as LearnerType[])
      .filter((learner) => (learners[learner].kinds as readonly string[]).includes('class'))
      .map((learner): [Data, LearnerType, object] => ['sequence-classification', learner, { standardize: true }]),
    ['sequence-classification', 'logistic-regression', { layer: 'mean-last-2', pooling: 'max', standardize: true }],
    ['sequence-classification', 'logistic-regression', { pooling: 'first', standardize: true }],
    ['multiple-choice', 'logistic-regression', { pooling: 'first' }],
    ['multi-label', 'logistic-regression', { standardize: true, C: 10 }],
    ['multi-label', 'nearest-neighbours', {}],
    ['regression', 'ridge', {}],
    ['regression', 'ridge', { pairs: 'separate' }],
    ['regression', 'gradient-boosted-trees', { pairs: 'separate', minLeafRows: 5 }],
    ['token-classification', 'logistic-regression', { layer: 1 }],
    ['token-classification', 'mlp', { epochs: 30, batch: 32, learningRate: 0.01 }],
    ['multiple-choice', 'logistic-regression', {}],
  ]

  it.each(cases)(
    'learns %s by %s %o, and its model predicts the same through the base',
    async (file, learner, more) => {
      const out = `${file}-${learner}-${Object.values(more).join('-')}`
      const run = await finetune(recipe(file, out, { learner, ...more }))
      expect(run).toMatchObject({ reason: 'finished', steps: 1, model: join(at(out), 'model') })
      const { facts, result, said, left } = await judgeAgain(out)
      expect(facts).toMatchObject({ learner, task: file === 'multi-label' ? 'sequence-classification' : file })
      close(said, result.predictions)
      for (const [name, { value }] of Object.entries(result.metrics)) {
        close(value, run.metrics[name])
        close(value, left.metrics[name].value)
      }
      const main = left.mainMetric as string
      const chance = file === 'regression' ? 0.3 : 0.55
      expect(run.metrics[main], main).toBeGreaterThan(chance)
    },
  )

  it('takes features of an earlier run from the cache, with a note', async () => {
    const cache = at('shared-cache')
    const listener = listening()
    await finetune(recipe('sequence-classification', 'first', { cache }), listener)
    expect(listener.notes.join('\n')).toMatch(/Computed training features of [1-9]\d* texts, 0 from the cache/)
    const again = listening()
    await finetune(recipe('sequence-classification', 'second', { cache, learner: 'nearest-neighbours' }), again)
    expect(again.notes.join('\n')).toMatch(/Computed training features of 0 texts, [1-9]\d* from the cache/)
    const { warnings } = await compareRuns([at('first'), at('second')])
    expect(warnings).toEqual([
      'second took the features of 100 % of its texts from the cache of an earlier run: its time and operations leave out what they cost.',
    ])
  })

  it('writes the files of a run, can be compared, and restarts from the cache', async () => {
    const out = 'records'
    const first = await finetune(recipe('sequence-classification', out))
    const events = []
    for await (const event of readEvents(join(at(out), 'events.jsonl'))) events.push(event)
    const types = events.map(({ type }) => type).filter((type) => type !== 'note')
    expect(types).toEqual(['start', 'step', 'evaluation', 'end'])
    for (const name of ['run.json', 'run-card.json', 'report.html', 'model/task.json', 'model/learner.safetensors'])
      expect(existsSync(join(at(out), name)), name).toBe(true)
    const finished = listening()
    expect((await resume(at(out), finished)).metrics).toEqual(first.metrics)
    expect(finished.notes.join('\n')).toContain('already finished')
    // As if it had been killed before it ended.
    rmSync(join(at(out), 'run-card.json'))
    const listener = listening()
    const again = await resume(at(out), listener)
    expect(listener.notes.join('\n')).toMatch(/Starting again/)
    expect(again.metrics).toEqual(first.metrics)
    await finetune(recipe('sequence-classification', 'others', { learner: 'linear-svm' }))
    const { runs: compared } = await compareRuns([at(out), at('others')])
    expect(JSON.stringify(compared)).toContain('feature-based')
    await expect(verifyResume(at(out))).rejects.toThrow(/no checkpoints/)
  })

  it('resumes from the cache after a stop at half of the features', async () => {
    const cache = at('stopped-cache')
    const aborter = new AbortController()
    const stopped = await finetune(recipe('sequence-classification', 'stopped', { cache }), {
      signal: aborter.signal,
      onNote: (line) => line.includes('training features') && aborter.abort(),
    })
    expect(stopped).toMatchObject({ reason: 'interrupted', steps: 0, model: undefined })
    expect(existsSync(join(at('stopped'), 'model'))).toBe(false)
    const listener = listening()
    expect(await resume(at('stopped'), listener)).toMatchObject({ reason: 'finished', steps: 1 })
    expect(listener.notes.join('\n')).toMatch(/Computed training features of 0 texts/)
    expect(listener.notes.join('\n')).toMatch(/Computed validation features of [1-9]\d* texts/)
  })

  it('learns from a randomly initialised base, and loads it again', async () => {
    await finetune(recipe('sequence-classification', 'fresh', {}, { randomInit: true, seed: 5 }))
    const { facts, result, said } = await judgeAgain('fresh')
    expect(facts.initSeed).toBe(5)
    close(said, result.predictions)
  })

  it('refuses a base with other weights', async () => {
    await finetune(recipe('sequence-classification', 'moved'))
    const path = join(at('moved'), 'model', 'feature_model.json')
    const facts = JSON.parse(readFileSync(path, 'utf8'))
    writeFileSync(path, JSON.stringify({ ...facts, baseIdentity: '0'.repeat(64) }))
    await expect(loadFeatureModel(join(at('moved'), 'model'))).rejects.toThrow(/with other weights/)
    writeFileSync(path, JSON.stringify({ ...facts, base: at('gone') }))
    await expect(loadFeatureModel(join(at('moved'), 'model'))).rejects.toThrow(
      /the base of the feature-based specialist .*nothing at .*gone.*set `base` in .*feature_model\.json/,
    )
    writeFileSync(path, JSON.stringify({ ...facts, width: 8, standardize: true }))
    await expect(loadFeatureModel(join(at('moved'), 'model'))).rejects.toThrow(/Expected/)
    writeFileSync(path, '{')
    await expect(loadFeatureModel(join(at('moved'), 'model'))).rejects.toThrow(/Expected JSON/)
  })

  const wrong: [string, object, object, RegExp][] = [
    ['a learning rate', {}, { learningRate: 0.1 }, /no `learningRate`.*no steps/],
    ['a bias at zero', {}, { priorBias: false }, /no `priorBias`.*no steps/],
    ['noise on embeddings', {}, { neftuneAlpha: 5 }, /no `neftuneAlpha`.*no steps/],
    ['a budget', {}, { budget: { epochs: 2 } }, /no `budget`/],
    ['an unknown learner', { learner: 'logistic' }, {}, /logistic-regression/],
    ['a learner of numbers', { learner: 'ridge' }, {}, /learner for classes/],
    ['an unknown setting', { neighbors: 3, learner: 'nearest-neighbours' }, {}, /neighbours/],
    ["another learner's setting", { neighbours: 3 }, {}, /neighbours/],
    ['tokens for texts', { pooling: 'tokens' }, {}, /pooling to one vector/],
    ['a layer that is not there', { layer: 9 }, {}, /`layer`/],
    [
      'more neighbours than rows',
      { learner: 'nearest-neighbours', neighbours: 500 },
      {},
      /at most \d+ for `neighbours`/,
    ],
    ['too long texts', {}, { maxLength: 100_000 }, /maxLength/],
  ]
  it.each(wrong)('refuses %s with a message that names the setting', async (_, adapter, more, message) => {
    rmSync(at('wrong'), { recursive: true, force: true })
    await expect(finetune(recipe('sequence-classification', 'wrong', adapter, more))).rejects.toThrow(message)
  })

  it('counts the time of a session that failed', async () => {
    await expect(finetune(recipe('sequence-classification', 'failed', { layer: 9 }))).rejects.toThrow(/`layer`/)
    const sessions = JSON.parse(readFileSync(join(at('failed'), 'sessions.json'), 'utf8'))
    expect(sessions).toEqual([expect.objectContaining({ wallSeconds: expect.any(Number) })])
  })

  it('names other variants for a task that it does not support', async () => {
    const row = {
      id: '1',
      question: 'what',
      context: 'the green house',
      answers: { text: ['green'], answer_start: [4] },
    }
    writeFileSync(
      at('questions.jsonl'),
      Array.from({ length: 20 }, (_, i) => JSON.stringify({ ...row, id: `${i}` })).join('\n'),
    )
    const questions = {
      ...recipe('regression', 'questions'),
      task: 'extractive-qa',
      settings: {},
      data: at('questions.jsonl'),
    }
    await expect(finetune({ ...questions, validation: at('questions.jsonl') } as never)).rejects.toThrow(
      /Choose another variant: full.*lora/,
    )
  })
})
