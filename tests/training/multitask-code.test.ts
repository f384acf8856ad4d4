// Functions of a recipe of several tasks: each task has a reader, a loss and metrics of its own, also of the same name; and the dropout of the body.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { BuiltRun } from '../../src/runs/engine/run-kind.ts'
import { compareRuns, resume, startOf } from '../../src/runs/index.ts'
import { kindOf } from '../../src/runs/kinds.ts'
import { Generator } from '../../src/tensor/index.ts'
import type { EvaluationEvent, StepEvent, TrainingEvent } from '../../src/tracking/index.ts'
import { computeGradients, takeBatch } from '../../src/training/index.ts'
import { testDevice } from '../device.ts'
import { runHere } from '../e2e/run-folder.ts'
import { makeRecipeData } from './recipe-data.ts'
import type { SmallData } from './small-run.ts'

let data: SmallData
const at = (...names: string[]) => join(data.root, ...names)
beforeAll(async () => {
  const made = await makeRecipeData()
  data = made.data
  const lines = made.rows.map((row) => row.replace(',', '\t'))
  writeFileSync(at('rows.tsv'), ['text\tlabel', ...lines].join('\n'))
})
afterAll(() => data.dispose())

/** The recipe of a run of two tasks, one with rows of its own reader and three times the loss. */
const writeRecipe = (out: string, { callback = '', factor = 3 } = {}): string => {
  const file = at(`${out}.ts`)
  writeFileSync(
    file,
    `import { readFileSync } from 'node:fs'
import { defineRun } from 'tunesmith'

interface Row { text: string }

export default defineRun({
  command: 'multitask',
  base: '${at('base')}',
  maxLength: 16,
  batch: { sequences: 8 },
  budget: { steps: 8 },
  evaluate: { steps: 2 },
  keep: { best: 'own/${out}Words' },
  out: '${at(out)}',
  callbacks: [function third({ type, step }) { if (type === 'step' && step === 3) { ${callback} } }],
  stopWhen: ({ evaluations }) => evaluations.length >= 3,
  tasks: {
    own: {
      type: 'sequence-classification',
      data: '${at('rows.txt')}',
      validationShare: 0.3,
      metrics: [{ name: '${out}Words', direction: 'lower', score: ({ text }: Row) => text.split(' ').length }],
      loss(_model, _batch, standard) {
        const { terms, metrics } = standard()
        return { terms: terms.map((term) => ({ ...term, scale: ${factor} * term.scale })), metrics }
      },
      read: (path) => readFileSync(path, 'utf8').split('\\n').map((line) => {
        const [text, label] = line.split(',')
        return { text, label }
      }),
    },
    other: {
      type: 'sequence-classification',
      data: '${at('rows.tsv')}',
      validationShare: 0.3,
      metrics: [{ name: '${out}Words', direction: 'lower', score: ({ text }: Row) => 100 + text.split(' ').length }],
    },
  },
})
`,
  )
  return file
}

const eventsOf = (out: string): TrainingEvent[] =>
  readFileSync(at(out, 'events.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as TrainingEvent)

describe('functions of a recipe of several tasks', () => {
  it('read, measure, compute the loss and stop; one that throws costs no step', async () => {
    const broken = await runHere([
      'multitask',
      '--recipe',
      writeRecipe('own', { callback: "throw new RangeError('no')" }),
    ])
    expect([broken.code, broken.stderr]).toEqual([
      2,
      expect.stringMatching(/own\.ts:\d+:\d+: the callback `third` threw RangeError/),
    ])
    expect(existsSync(at('own', 'checkpoints', 'step-00000003'))).toBe(true)
    expect(JSON.parse(readFileSync(at('own', 'run.json'), 'utf8')).tasks.own.loss).toEqual({
      type: 'function',
      name: 'loss',
      task: 'own',
    })
    writeRecipe('own')
    const result = await resume(at('own'))
    // Three evaluations, at steps 2, 4 and 6.
    expect(result).toMatchObject({ reason: 'finished', steps: 6 })
    const evaluations = eventsOf('own').filter((event): event is EvaluationEvent => event.type === 'evaluation')
    expect(evaluations).toHaveLength(3)
    const [own, other] = ['own', 'other'].map((task) => result.metrics[`${task}/ownWords`] as number)
    expect(own).toBeGreaterThan(3)
    expect(own).toBeLessThan(4)
    expect(other - own).toBeGreaterThan(99)
    expect(evaluations.at(-1)?.metrics['own/ownWords']).toBeCloseTo(own, 6)
    const evaluation = JSON.parse(readFileSync(at('own', 'model', 'own', 'evaluation.json'), 'utf8'))
    expect(evaluation.metrics.ownWords.low).toBeLessThan(evaluation.metrics.ownWords.high)
    const compared = await compareRuns([at('own')], { resamples: 10 })
    expect(compared.runs).toHaveLength(2)
  })

  it('change the loss of their own task alone', async () => {
    const stepOf = async (out: string, factor: number) => {
      const { code, stderr } = await runHere([
        'multitask',
        '--recipe',
        writeRecipe(out, { factor }),
        '--budget.steps',
        '1',
      ])
      expect([code, stderr]).toEqual([0, expect.anything()])
      return eventsOf(out).find((event): event is StepEvent => event.type === 'step') as StepEvent
    }
    const [tripled, plain] = [await stepOf('tripled', 3), await stepOf('plain', 1)]
    const [own, other] = ['own', 'other'].map((task) => plain.terms?.[`${task}/classification`] as number)
    expect(plain.loss).toBeCloseTo(own + other, 5)
    expect(tripled.loss).toBeCloseTo(3 * own + other, 5)
  })

  it('are errors with their place where they are none, and no fields of the command line', async () => {
    const file = writeRecipe('none')
    writeFileSync(file, readFileSync(file, 'utf8').replace('loss(_model', 'metrics2: [],\n loss(_model'))
    expect((await runHere(['multitask', '--recipe', file])).stderr).toMatch(/tasks\.own.*metrics2/)
    const thrown = writeRecipe('thrown')
    writeFileSync(
      thrown,
      readFileSync(thrown, 'utf8').replace('const { terms', "throw new TypeError('odd')\n const { terms"),
    )
    expect((await runHere(['multitask', '--recipe', thrown])).stderr).toMatch(
      /thrown\.ts:\d+:\d+: the loss `loss` threw TypeError: odd/,
    )
    const flag = ['--base', at('base'), '--out', at('flag'), '--tasks', 'a=regression,data=x,loss=y']
    expect((await runHere(['multitask', ...flag])).stderr).toMatch(/Expected one of data, .*got "loss"/)
  })
})

describe('the dropout of a recipe of several tasks', () => {
  const build = async (out: string, more: object): Promise<BuiltRun> => {
    const task = (file: string) => ({ type: 'sequence-classification', data: at(file), validationShare: 0.3 })
    const tasks = { one: task('rows.tsv'), two: task('rows.tsv') }
    const input = {
      command: 'multitask',
      base: at('base'),
      out: at(out),
      tasks,
      maxLength: 16,
      batch: { sequences: 8 },
    }
    return kindOf('multitask').build(await startOf('multitask').resolve({ ...input, ...more }), { say() {} })
  }
  const lossOf = async ({ trainable, stream }: BuiltRun, training: boolean) => {
    if (training) trainable.model.train()
    else trainable.model.eval()
    const { examples } = takeBatch(stream, trainable.objective.tokens, 0, { sequences: 8 })
    const { terms, release } = await computeGradients(trainable, examples, {
      microTokens: 8192,
      padded: false,
      recompute: 0,
      device: testDevice,
      generator: new Generator(3),
    })
    release()
    return terms
  }

  it('is that of the body under every head: with 0 the loss is that without dropout', async () => {
    const none = await build('none-dropout', { dropout: 0 })
    const without = await lossOf(none, false)
    expect(await lossOf(none, true)).toEqual(without)
    const much = await lossOf(await build('much', { dropout: 0.5 }), true)
    for (const task of ['one', 'two'])
      expect(
        Math.abs((much[`${task}/classification`] as number) - (without[`${task}/classification`] as number)),
      ).toBeGreaterThan(1e-4)
  })
})
