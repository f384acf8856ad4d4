// The greedy soup of fine-tuned models, against the same search written out with means of the parameters made here.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadModel, saveModel } from '../../src/checkpoint/index.ts'
import { averageModels } from '../../src/export/index.ts'
import { evaluate } from '../../src/inference/index.ts'
import { finetune, pretrain } from '../../src/runs/index.ts'
import { noGrad } from '../../src/tensor/index.ts'
import { makeSmallData, type SmallData, smallRecipe } from '../training/small-run.ts'

let small: SmallData
let file: string
const at = (name: string) => join(small.root, name)

beforeAll(async () => {
  small = await makeSmallData()
  await pretrain(smallRecipe(small, at('base'), { budget: { steps: 8 } }))
  file = at('rows.jsonl')
  const rows = Array.from({ length: 120 }, (_, i) => {
    const rest = ['the house', 'a river walks', 'old bird', 'rain and light'][i % 4]
    // One label in eight is wrong, so that scores differ.
    const label = (i % 2 === 0) !== (i % 8 === 3) ? 'plant' : 'rock'
    return JSON.stringify({ text: `${rest} ${i % 2 === 0 ? 'green' : 'stone'} number ${i}`, label })
  })
  writeFileSync(file, rows.join('\n'))
  for (const seed of [1, 2])
    await finetune({
      base: at('base'),
      task: 'sequence-classification',
      data: file,
      validation: file,
      variant: 'full',
      out: at(`run-${seed}`),
      seed,
      maxLength: 32,
      batch: { sequences: 16 },
      budget: { steps: 12 },
      learningRate: 3e-3,
      untrainedBaseline: false,
    } as never)
  // A model whose head says the opposite, loudly: any mean with it is worse.
  const model = await loadModel(at('run-1'))
  noGrad(() => {
    for (const [path, value] of model.parameters()) if (path.startsWith('head.')) value.mul_(-100)
  })
  await saveModel(model, at('opposite'), { tokenizer: at('run-1/model') })
  await cp(join(at('run-1'), 'model', 'task.json'), join(at('opposite'), 'task.json'))
})
afterAll(() => small.dispose())

const accuracyOf = async (model: string) => {
  const { metrics } = await evaluate({ model, data: file })
  return (metrics as Record<string, { value: number }>).accuracy.value
}

/** The mean of models, written with the files of the first. */
const meanOf = async (models: readonly string[], name: string) => {
  const opened = await Promise.all(models.map((model) => loadModel(model)))
  noGrad(() => {
    for (const [path, value] of opened[0].parameters()) {
      const sum = opened.slice(1).reduce((all, one) => all.add(one.parameters().get(path)!), value.clone())
      value.detach().copy_(sum.div(models.length))
    }
  })
  await saveModel(opened[0], at(name), { tokenizer: at('run-1/model') })
  await cp(join(at('run-1'), 'model', 'task.json'), join(at(name), 'task.json'))
  return at(name)
}

it('keeps the models that help, from the best one down, and leaves out the others', async () => {
  const models = [at('opposite'), at('run-1'), at('run-2')]
  const scores = new Map<string, number>()
  for (const model of models) scores.set(model, await accuracyOf(model))
  const [first, second] = [...models].sort((a, b) => scores.get(b)! - scores.get(a)!)
  const both = await accuracyOf(await meanOf([first, second], 'by-hand'))
  const expected = both >= scores.get(first)! ? [first, second] : [first]

  const made = await averageModels({ models, out: at('soup'), greedy: true, data: file })
  expect(made.models).toEqual(expected)
  expect(made.soup?.metric).toBe('accuracy')
  expect(made.soup?.trials.map(({ model, score }) => [model, score])).toEqual(
    [first, second, at('opposite')].map((model) => [model, scores.get(model)]),
  )
  expect(made.soup?.trials[1].mean).toBe(both)
  expect(made.soup?.trials[2].kept).toBe(false)
  // The folder is a specialist of the same score, and nothing is left beside it.
  expect(await accuracyOf(at('soup'))).toBe(made.soup?.score)
  expect(made.soup!.score).toBeGreaterThanOrEqual(scores.get(first)!)
  expect(readdirSync(small.root).some((name) => name.startsWith('.soup'))).toBe(false)
  if (expected.length > 1) expect(readFileSync(join(at('soup'), 'README.md'), 'utf8')).toContain('soup')
})

it('is the best model alone where the others do not help', async () => {
  const models = [at('opposite'), at('run-1')]
  const made = await averageModels({ models, out: at('alone'), greedy: true, data: file, metric: 'f1Macro' })
  expect(made.models).toEqual([at('run-1')])
  const bytes = (folder: string) => readFileSync(join(folder, 'model.safetensors'))
  expect(bytes(at('alone')).equals(bytes(at('run-1/model')))).toBe(true)
})

it('tries first the model whose score is lowest, where less is better', async () => {
  const models = [at('opposite'), at('run-1'), at('run-2')]
  const metric = 'calibrationError'
  const made = await averageModels({ models, out: at('calibrated'), greedy: true, data: file, metric })
  const scores = made.soup!.trials.map(({ score }) => score)
  expect(scores).toEqual([...scores].sort((a, b) => a - b))
  expect(made.soup!.score).toBeLessThanOrEqual(scores[0])
})

it('keeps the task in a plain mean, too', async () => {
  await averageModels({ models: [at('run-1'), at('run-2')], out: at('plain') })
  expect(await accuracyOf(at('plain'))).toBeGreaterThan(0.5)
})

it.each([
  [{ greedy: true }, /`greedy` needs data/],
  [{ data: 'x' }, /`data` has no effect without `greedy`/],
  [{ metric: 'accuracy' }, /`metric` has no effect without `greedy`/],
  [{ greedy: true, data: 'rows.jsonl', weights: [1, 2] }, /`weights` has no effect with `greedy`/],
  [{ greedy: true, data: 'rows.jsonl', metric: 'acuracy' }, /for `metric`, got "acuracy".*Did you mean `accuracy`/],
  [{ greedy: true, data: 'nothing.jsonl' }, /nothing.jsonl/],
  [{ greedy: true, data: 'rows.jsonl', models: ['run-1'] }, /two or more models to average, got 1/],
  [{ greedy: true, data: 'rows.jsonl', models: ['base', 'run-1'] }, /fine-tuned on a task/],
])('%j is refused', async ({ models = ['run-1', 'run-2'], data, ...more }: Record<string, unknown>, message) => {
  const given = { ...more, ...(data === undefined ? {} : { data: at(data as string) }) }
  const paths = (models as string[]).map(at)
  await expect(averageModels({ models: paths, out: at('refused'), ...given })).rejects.toThrow(message)
  expect(existsSync(at('refused'))).toBe(false)
})
