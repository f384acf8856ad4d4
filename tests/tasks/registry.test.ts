// The registries of tasks and metrics: what they know of their scores, and what a package may add.
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { parseConfig } from '../../src/core/index.ts'
import {
  anyTaskSettings,
  defineMetric,
  defineTask,
  findTask,
  registerMetric,
  registerTask,
  scoreRecords,
  scoreTexts,
  taskConfig,
  tasks,
  taskTypeSchema,
  taskTypes,
  textMetricNames,
} from '../../src/tasks/index.ts'
import { metricDirection } from '../../src/tracking/index.ts'

const place = { file: 'x.jsonl', line: 1 }

/** Records with right answers, predictions of them, and settings, by task. */
const scored: [task: string, settings: object, records: object[], predictions: object[]][] = [
  ['sequence-classification', {}, [{ labels: ['a'] }, { labels: ['b'] }], [{ label: 'a' }, { label: 'a' }]],
  [
    'sequence-classification',
    { positive: 'a', labels: ['a', 'b'] },
    [{ labels: ['a'] }, { labels: ['b'] }],
    [
      { label: 'a', probabilities: { a: 1 } },
      { label: 'a', probabilities: { a: 1 } },
    ],
  ],
  ['sequence-classification', { multiLabel: true }, [{ labels: ['a', 'b'] }], [{ labels: ['a'] }]],
  ['regression', {}, [{ value: 1 }, { value: 2 }], [{ value: 1 }, { value: 3 }]],
  ['token-classification', {}, [{ tokens: ['A'], tags: ['B-X'] }], [{ tags: ['O'] }]],
  ['token-classification', { scheme: 'none' }, [{ tokens: ['A'], tags: ['N'] }], [{ tags: ['V'] }]],
  [
    'extractive-qa',
    {},
    [{ answers: [{ text: 'a', start: 0 }] }, { answers: [] }],
    [
      { answer: 'a', noAnswerProbability: 0 },
      { answer: '', noAnswerProbability: 1 },
    ],
  ],
  ['extractive-qa', { version: '1.1' }, [{ answers: [{ text: 'a', start: 0 }] }], [{ answer: 'a' }]],
  ['multiple-choice', {}, [{ choices: ['a', 'b'], answer: 0 }], [{ choice: 0, probabilities: [1, 0] }]],
  ['sentence-similarity', { label: 'score' }, [{ label: 1 }, { label: 2 }], [{ similarity: 0.1 }, { similarity: 0.3 }]],
  [
    'sentence-similarity',
    {},
    [{ text: 'a', pair: 'b' }],
    // Three vectors of one number.
    [{ similarity: 1, embeddings: ['AACAPw==', 'AACAPw=='] }],
  ],
  [
    'reward',
    {},
    [
      { answers: ['a', 'b'], scores: [1, 0] },
      { answers: ['c'], good: [true] },
    ],
    [{ rewards: [1, 0] }, { rewards: [1] }],
  ],
  ['summarization', {}, [{ references: ['a'] }], [{ answer: 'a', ended: true, nats: 1, tokens: 1 }]],
  [
    'generative-qa',
    { metrics: ['numericMatch'] },
    [{ references: ['1'] }],
    [{ answer: '1', ended: true, nats: 1, tokens: 1 }],
  ],
  ['instructions', {}, [{ references: ['a'] }], [{ answer: 'a', ended: true, nats: 1, tokens: 1 }]],
]

describe('tasks', () => {
  it('name every score that they give, each with a direction, and their main metric among them', () => {
    expect(new Set(scored.map(([type]) => type))).toEqual(new Set(taskTypes()))
    for (const [type, settings, records, predictions] of scored) {
      const task = findTask(type)
      const config = taskConfig(task, { ...settings })
      const withIds = <Item extends object>(items: Item[]) =>
        items.map((item, i) => ({ id: String(i), ...place, ...item }))
      const names = task.metricNames(config)
      const given = Object.keys(scoreRecords(task, withIds(records), withIds(predictions), config).scores())
      // Thresholds are settings that were found, not scores.
      const scores = given.filter((name) => !name.endsWith('Threshold'))
      expect(
        names.filter((name) => !scores.includes(name) && name !== 'calibrationError'),
        type,
      ).toEqual([])
      expect(
        scores.filter((name) => !names.includes(name)),
        type,
      ).toEqual([])
      expect(names, type).toContain(task.mainMetric(config))
      for (const name of names) expect(metricDirection(name), name).toMatch(/higher|lower/)
    }
  })

  it('can be defined by a package: schemas, flags and look-ups then accept the name', () => {
    const base = tasks.regression
    const rating = defineTask({
      ...base,
      type: 'rating',
      config: z.strictObject({ ...(base.config as unknown as z.ZodObject).shape, stars: z.int().default(5) }),
    } as never)
    expect(taskTypeSchema.safeParse('rating').success).toBe(false)
    expect(anyTaskSettings.safeParse({ stars: 3 }).success).toBe(false)
    expect(() => findTask('ratings')).toThrow(/Expected one of extractive-qa, .* for `task`, got "ratings"/)
    registerTask(rating)
    registerTask(rating)
    expect(taskTypes()).toContain('rating')
    expect(taskTypeSchema.parse('rating')).toBe('rating')
    expect(anyTaskSettings.parse({ stars: 3 })).toEqual({ stars: 3 })
    expect(parseConfig(z.strictObject({ settings: anyTaskSettings.prefault({}) }), {}, 'run')).toEqual({ settings: {} })
    expect(() => anyTaskSettings.parse({ stras: 3 })).toThrow(/stras/)
    expect(Object.keys(anyTaskSettings.shape)).toContain('stars')
    expect(findTask('rating')).toBe(rating)
    expect(() => registerTask({ ...rating } as never)).toThrow(/new `type` for a task, got `rating`/)
  })
})

describe('metrics of generated texts', () => {
  it('can be defined by a package: a task may name them, and their direction is known', () => {
    const lengthError = defineMetric({
      name: 'lengthError',
      direction: 'lower',
      unit: 'characters',
      summary: 'mean difference in length',
      source: 'this test',
      create: () => ({
        width: 1,
        measure: ({ prediction, references }) => [Math.abs(prediction.length - references[0].length)],
        scores: ([sum], units) => ({ lengthError: sum / units }),
      }),
    })
    expect(() => taskConfig(tasks.summarization, { metrics: ['lengthError'] })).toThrow(/metrics/)
    registerMetric(lengthError)
    registerMetric(lengthError)
    expect(textMetricNames()).toContain('lengthError')
    expect(metricDirection('lengthError')).toBe('lower')
    const config = taskConfig(tasks.summarization, { metrics: ['lengthError', 'rouge1'] })
    expect(tasks.summarization.metricNames(config)).toEqual(['lengthError', 'rouge1', 'perplexity', 'ended'])
    const pairs = [{ prediction: 'abc', references: ['a'] }]
    expect(scoreTexts(pairs, { metrics: ['lengthError'] }).scores()).toEqual({ lengthError: 2 })
    expect(() => registerMetric({ ...lengthError })).toThrow(/new `name` for a metric, got `lengthError`/)
    expect(() => registerMetric({ ...lengthError, name: 'loss', direction: 'higher' })).toThrow(/Expected lower/)
  })
})
