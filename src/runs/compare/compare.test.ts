// The order of compared runs, from folders that hold nothing but a recipe and an evaluation. Whole runs are compared in tests/training.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { type ComparedRun, compareRuns } from './compare.ts'
import { verdictsOf } from './page.ts'

const root = mkdtempSync(join(tmpdir(), 'tunesmith-compare-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const runWith = (task: string, mainMetric: string, value: number | null): string => {
  const folder = join(root, `${task}-${mainMetric}-${value}`)
  mkdirSync(join(folder, 'model'), { recursive: true })
  const recipe = { command: 'finetune', base: 'base', task, data: 'rows.jsonl', out: folder }
  writeFileSync(join(folder, 'run.json'), JSON.stringify(recipe))
  const metrics = { [mainMetric]: { value, low: value, high: value } }
  writeFileSync(join(folder, 'model', 'evaluation.json'), JSON.stringify({ mainMetric, metrics }))
  return folder
}

it.each([
  ['sequence-classification', 'accuracy', [0.9, 0.5, Number.NaN]],
  ['instructions', 'perplexity', [2, 8, Number.NaN]],
])('of %s by %s the best is first, and what has no score last', async (task, metric, bestFirst) => {
  const folders = [...bestFirst].reverse().map((value) => runWith(task, metric, value))
  const { runs } = await compareRuns(folders)
  expect(runs.map(({ value }) => value)).toEqual(bestFirst)
})

it('says whose records a reference is of, where runs of a task were scored on different ones', async () => {
  const folders = ['a', 'b'].map((name, i) => {
    const folder = runWith('regression', 'spearman', 0.4 + i / 10)
    const metrics = { spearman: { value: 0.4, low: 0.3, high: 0.5 } }
    const records = { count: 10 + i, sha256: name }
    const references = [{ name: 'mean', metrics }]
    const evaluation = { mainMetric: 'spearman', metrics, records, references }
    writeFileSync(join(folder, 'model', 'evaluation.json'), JSON.stringify(evaluation))
    return folder
  })
  const { references } = await compareRuns(folders)
  expect(references.map(({ name }) => name)).toEqual([
    'mean (records of regression-spearman-0.4)',
    'mean (records of regression-spearman-0.5)',
  ])
  expect((await compareRuns(folders.slice(0, 1))).references.map(({ name }) => name)).toEqual(['mean'])
})

it.each([
  ['{ "command": "fine', /run\.json: Expected JSON, got .* The file is damaged/],
  ['[]', /run\.json: Expected the recipe of a run, got \[\]/],
  ['null', /run\.json: Expected the recipe of a run, got null/],
])('names the file of a damaged run: %s', async (content, message) => {
  const folder = runWith('regression', 'pearson', 0.5)
  writeFileSync(join(folder, 'run.json'), content)
  await expect(compareRuns([folder])).rejects.toThrow(message)
})

it('refuses to compare no runs', async () => {
  await expect(compareRuns([])).rejects.toThrow('Expected one folder of a run or more to compare, got none.')
})

it('says in words which run is best and which ones it beats by more than chance', () => {
  const run = (name: string, value: number, probability?: number, records = 'a') =>
    ({
      ...{ name, value, task: 'regression', metric: 'spearman', records },
      ...(probability === undefined ? {} : { difference: { value: 0, low: 0, high: 0, probability } }),
    }) as ComparedRun
  expect(
    verdictsOf([run('lora', 0.8), run('full', 0.79, 0.6), run('bitfit', 0.5, 0.01), run('ia3', 0.4, 0.001)]),
  ).toEqual([
    'lora has the best spearman, 0.8000. bitfit and ia3 are worse by more than chance. full is not worse by more than chance.',
  ])
  expect(verdictsOf([run('lora', 0.8), run('full', 0.9, undefined, 'b')])).toEqual([])
})
