// Functions of a user's recipe: what they do, and what is left of a run in which one fails.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resume } from '../../src/runs/index.ts'
import type { StepEvent, TrainingEvent } from '../../src/tracking/index.ts'
import { runChild, runHere } from '../e2e/run-folder.ts'
import { makeRecipeData } from './recipe-data.ts'
import type { SmallData } from './small-run.ts'

let data: SmallData
const at = (...names: string[]) => join(data.root, ...names)
beforeAll(async () => {
  data = (await makeRecipeData()).data
})
afterAll(() => data.dispose())

/** Reads what baselines do not have. */
const sure = `{ name: 'sure',
    score: (_row, { probabilities }: { probabilities: Record<string, number> }) => Math.max(...Object.values(probabilities)) }`

/** The recipe of a run whose callback runs `body` at step 3, on line 19. */
const writeRecipe = (out: string, body: string): string => {
  const file = at(`${out}.ts`)
  writeFileSync(
    file,
    `import { readFileSync } from 'node:fs'
import { defineRun } from 'tunesmith'

interface Row { text: string }

export default defineRun({
  command: 'finetune',
  base: '${at('base')}',
  task: 'sequence-classification',
  data: '${at('rows.txt')}',
  validationShare: 0.3,
  maxLength: 16,
  batch: { sequences: 8 },
  budget: { steps: 20 },
  evaluate: { steps: 2 },
  untrainedBaseline: false,
  callbackSeconds: 1,
  out: '${at(out)}',
  callbacks: [function third({ type, step }) { if (type === 'step' && step === 3) { ${body} } }],
  stopWhen: ({ evaluations }) => evaluations.length >= 3,
  loss(_model, _batch, standard) {
    const { terms, metrics } = standard()
    return { terms: terms.map((term) => ({ ...term, scale: 3 * term.scale })), metrics }
  },
  metrics: [{ name: '${out}Words', direction: 'lower', score: ({ text }: Row) => text.split(' ').length }, ${sure}],
  read: (path) => readFileSync(path, 'utf8').split('\\n').map((line) => {
    const [text, label] = line.split(',')
    return { text, label }
  }),
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
const lossesOf = (out: string) => eventsOf(out).filter((event): event is StepEvent => event.type === 'step')

describe('functions of a recipe', () => {
  it('read, compute the loss, measure and stop; one that throws costs no step', async () => {
    const broken = await runHere([
      'finetune',
      '--recipe',
      writeRecipe('own', 'const no = undefined as unknown as Row; no.text.trim()'),
    ])
    expect(broken.code).toBe(2)
    expect(broken.stderr).toMatch(/error: \S*own\.ts:19:\d+: the callback `third` threw TypeError: .*resume/)
    expect(existsSync(at('own', 'checkpoints', 'step-00000003'))).toBe(true)
    expect(eventsOf('own').at(-1)).toMatchObject({ type: 'end', reason: 'failed' })

    writeRecipe('own', '')
    const notes: string[] = []
    // Three evaluations, of which the first was before the error.
    const result = await resume(at('own'), { onNote: (line) => notes.push(line) })
    expect(notes.join('\n')).toMatch(/own\.ts has changed since the run was started/)
    expect(result).toMatchObject({ reason: 'finished', steps: 6 })
    const texts = readFileSync(at('own', 'model', 'predictions.jsonl'), 'utf8')
      .trim()
      .split('\n').length
    expect(result.metrics.ownWords).toBeGreaterThan(3)
    expect(result.metrics.ownWords).toBeLessThan(4)
    const evaluation = JSON.parse(readFileSync(at('own', 'model', 'evaluation.json'), 'utf8'))
    expect(evaluation.records.count).toBe(texts)
    expect(evaluation.metrics.sure.value).toBeGreaterThan(0)
    expect(Object.keys(evaluation.references[0].metrics)).not.toContain('sure')
    expect(evaluation.metrics.ownWords.low).toBeLessThan(evaluation.metrics.ownWords.high)

    // The same run with the loss of the task: a third of it in the first step, which both take from the same weights.
    const file = writeRecipe('plain', '')
    writeFileSync(file, readFileSync(file, 'utf8').replace('3 * term.scale', 'term.scale'))
    expect((await runHere(['finetune', '--recipe', file, '--budget.steps', '1'])).code).toBe(0)
    expect(lossesOf('own')[0].loss / lossesOf('plain')[0].loss).toBeCloseTo(3, 4)
  })

  it('that never returns is an error after its limit, and so is a loss that throws', async () => {
    const never = await runHere(['finetune', '--recipe', writeRecipe('never', 'return new Promise(() => {})')])
    expect(never.stderr).toMatch(/never\.ts: the callback `third` has not returned after 1 s .*callbackSeconds/)
    expect(existsSync(at('never', 'checkpoints', 'step-00000003'))).toBe(true)
    const file = writeRecipe('wrong', '')
    writeFileSync(
      file,
      readFileSync(file, 'utf8').replace('const { terms', "throw new RangeError('too much')\n    const { terms"),
    )
    const wrong = await runHere(['finetune', '--recipe', file])
    expect(wrong.stderr).toMatch(/wrong\.ts:22:\d+: the loss `loss` threw RangeError: too much/)
  })

  it.each([
    ['timer', "setTimeout(() => { throw new RangeError('late') }, 0)"],
    ['promise', "void (async () => { await null; throw new RangeError('late') })()"],
  ])('that throws outside of its call, by a %s, costs no step and is named with its line', async (name, body) => {
    // A process of its own: vitest reads stacks before anyone else.
    const { code, stderr } = await runChild(['finetune', '--recipe', writeRecipe(name, body)])
    expect(code).toBe(2)
    expect(stderr.replace(/\s+/g, ' ')).toMatch(
      new RegExp(
        `error: \\S*${name}\\.ts:19:\\d+: code of the recipe threw RangeError: late, in a timer or a promise.*resume`,
      ),
    )
    const steps = lossesOf(name).length
    expect(steps).toBeGreaterThanOrEqual(3)
    expect(existsSync(at(name, 'checkpoints', `step-0000000${steps}`))).toBe(true)
    writeRecipe(name, '')
    expect(await resume(at(name))).toMatchObject({ reason: 'finished' })
  })

  it.each([
    ['metric', 'text.split', 'no.text.split', /metric\.ts:25:\d+: the metric `metricWords` threw ReferenceError/],
    [
      'rule',
      '=> evaluations.length',
      '=> no.evaluations.length',
      /rule\.ts:20:\d+: the stopping rule `stopWhen` threw/,
    ],
  ])('that is a %s and throws costs no step and is named with its line', async (name, from, to, message) => {
    const file = writeRecipe(name, '')
    writeFileSync(file, readFileSync(file, 'utf8').replace(from, to))
    const { code, stderr } = await runHere(['finetune', '--recipe', file])
    expect(code).toBe(2)
    expect(stderr.replace(/\s+/g, ' ')).toMatch(message)
    // The first evaluation calls them.
    expect(existsSync(at(name, 'checkpoints', 'step-00000002'))).toBe(true)
    const again = await resume(at(name)).catch((error: Error) => error.message)
    expect(String(again).replace(/\s+/g, ' ')).toMatch(message)
    writeRecipe(name, '')
    expect(await resume(at(name))).toMatchObject({ reason: 'finished' })
  })

  it('that throws in a file which the recipe imports is named with the line there, or with its own', async () => {
    writeFileSync(at('part.ts'), "\nexport const later = () => void Promise.reject(new Error('elsewhere'))\n")
    const file = writeRecipe('imports', '(later as () => void)()')
    writeFileSync(file, `import { later } from './part.ts'; ${readFileSync(file, 'utf8')}`)
    const { stderr } = await runHere(['finetune', '--recipe', file])
    expect(stderr.replace(/\s+/g, ' ')).toMatch(
      /(imports\.ts:19|part\.ts:2):\d+: code of the recipe threw Error: elsewhere/,
    )
  })

  it('that is none, gives no loss, or throws before the first step is an error that says so', async () => {
    const told = async (name: string, from: string, to: string) => {
      const file = writeRecipe(name, '')
      writeFileSync(file, readFileSync(file, 'utf8').replace(from, to))
      return (await runHere(['finetune', '--recipe', file])).stderr
    }
    const loss = 'const { terms, metrics } = standard()'
    expect(await told('no-loss', loss, 'return undefined as never')).toMatch(
      /error: Expected `terms` .* from the loss `loss` of the recipe, got nothing/,
    )
    expect(
      await told('number', loss, "return { terms: [{ name: 'x', sum: 3, weight: 1, scale: 1 }] } as never"),
    ).toMatch(/error: Expected `terms` .*`sum`, a tensor/)
    expect(await told('no-callback', 'callbacks: [', "callbacks: ['x' as never, ")).toMatch(
      /error: Expected a function, or an object with the method `onEvent`, for `callbacks`, got "x"/,
    )
    const read = await told('reader', "path, 'utf8'", "path + 'x', 'utf8'")
    expect(read).toMatch(/the reader `read` threw Error: ENOENT.*Nothing was trained yet: .*start the run again/)
    expect(read).not.toMatch(/resume/)
  })
})
