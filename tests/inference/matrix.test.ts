// The base and its specialists on every task: scores that the runs recorded, scores that are measured, why a cell is empty, and
// the perplexity on the corpus before and after fine-tuning, equal to separate evaluations.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { compareMatrix, evaluate, renderMatrixPicture } from '../../src/inference/index.ts'
import { finetune } from '../../src/runs/index.ts'
import type { Interval } from '../../src/tasks/index.ts'
import { runHere } from '../e2e/run-folder.ts'

const base = fileURLToPath(new URL('../tasks/golden/harness/model', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'matrix-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
const write = (name: string, rows: readonly object[]) =>
  writeFileSync(join(scratch, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
const runs = ['answers', 'questions', 'moods'].map((name) => join(scratch, name))
const corpus = join(scratch, 'corpus.txt')

beforeAll(async () => {
  write(
    'answers.jsonl',
    Array.from({ length: 6 }, (_, i) => ({ question: `What is ${i}?`, answer: `It is ${i}.` })),
  )
  write(
    'questions.jsonl',
    Array.from({ length: 4 }, (_, i) => ({ question: `Who saw ${i}?`, answer: `Call me ${i}.` })),
  )
  write(
    'moods.jsonl',
    Array.from({ length: 8 }, (_, i) => ({ text: `times ${i}`, label: i % 2 ? 'best' : 'worst' })),
  )
  writeFileSync(corpus, Array.from({ length: 6 }, (_, i) => `It was the best of times, number ${i}.`).join('\n\n'))
  for (const out of runs) {
    const [data, generative] = [`${out}.jsonl`, !out.endsWith('moods')]
    const task = generative
      ? // By ROUGE-L the first step is the best, whose rate is 0, and all specialists are the base.
        { task: 'generative-qa', settings: { maxNewTokens: 4 }, keep: { best: 'perplexity' } }
      : { task: 'sequence-classification' }
    const recipe = { base, ...task, data, validation: data, variant: 'lora', budget: { steps: 3 }, seed: 1, out }
    await finetune(recipe as never)
  }
})

it('scores every model on every task, and what the base forgot', async () => {
  const matrix = await compareMatrix({ runs, corpus, resamples: 20 })
  expect(matrix.columns.map(({ name, task, metric }) => [name, task, metric])).toEqual([
    ['answers.jsonl', 'generative-qa', 'rougeL'],
    ['questions.jsonl', 'generative-qa', 'rougeL'],
    ['moods.jsonl', 'sequence-classification', 'accuracy'],
  ])
  expect(matrix.rows.map(({ name, kind }) => [name, kind])).toEqual([
    ['model', 'base'],
    ['answers', 'specialist'],
    ['questions', 'specialist'],
    ['moods', 'specialist'],
  ])
  const [, answers, , moods] = matrix.rows
  const recorded = JSON.parse(readFileSync(join(runs[0], 'model', 'evaluation.json'), 'utf8'))
  expect(answers.cells[0]).toEqual(recorded.metrics.rougeL)
  // A specialist on the task of another one is what `evaluate` gives.
  const other = await evaluate({
    model: runs[0],
    task: 'generative-qa',
    data: join(scratch, 'questions.jsonl'),
    options: { settings: { maxNewTokens: 4 } },
  })
  const { rougeL } = other.metrics as { rougeL: { value: number } }
  expect((answers.cells[1] as { value: number }).value).toBeCloseTo(rougeL.value, 6)
  expect(moods.cells[0]).toEqual({ missing: 'has no head for generative-qa' })
  expect(answers.cells[2]).toEqual({ missing: 'has no head for sequence-classification' })
  const perplexityOf = async (model: string) => {
    const { text } = (await evaluate({ model, task: 'language-modelling', data: corpus })) as unknown as {
      text: { metrics: { perplexity: { value: number } } }
    }
    return text.metrics.perplexity.value
  }
  const [before, after] = [await perplexityOf(base), await perplexityOf(runs[0])]
  expect((answers.perplexity as { value: number }).value).toBeCloseTo(after, 3)
  expect(answers.forgetting).toBeCloseTo(after / before - 1, 6)
  expect(moods.perplexity).toHaveProperty('value')
  expect(renderMatrixPicture(matrix).match(/<rect /g)).toHaveLength(1 + 4 * 4)
})

it('scores with weights in bfloat16, and then takes no score that a run recorded', async () => {
  const [run] = runs
  const input = { runs: [run], corpus, resamples: 20 }
  const [full, half] = [await compareMatrix(input), await compareMatrix({ ...input, dtype: 'bfloat16' })]
  const perplexityOf = ({ rows }: typeof full) => (rows[1].perplexity as { value: number }).value
  expect(perplexityOf(half)).not.toBe(perplexityOf(full))
  expect(perplexityOf(half) / perplexityOf(full)).toBeCloseTo(1, 1)
  const file = join(run, 'model', 'evaluation.json')
  const evaluation = readFileSync(file, 'utf8')
  const { metrics, ...rest } = JSON.parse(evaluation) as { metrics: object }
  writeFileSync(file, JSON.stringify({ ...rest, metrics: { ...metrics, rougeL: { value: -1, low: -1, high: -1 } } }))
  const own = async (more: object) => ((await compareMatrix({ ...input, ...more })).rows[1].cells[0] as Interval).value
  expect(await own({})).toBe(-1)
  expect(await own({ dtype: 'bfloat16' })).toBeGreaterThanOrEqual(0)
  writeFileSync(file, evaluation)
})

it('takes records from all over a file where it takes some', async () => {
  const accuracyOf = async (numbers: number[]) => {
    const file = 'some.jsonl'
    write(
      file,
      numbers.map((i) => ({ text: `times ${i}`, label: i % 2 ? 'best' : 'worst' })),
    )
    const { metrics } = await evaluate({ model: runs[2], data: join(scratch, file) })
    return (metrics as { accuracy: Interval }).accuracy.value
  }
  const { columns, rows } = await compareMatrix({ runs: [runs[2]], limit: 4, resamples: 20 })
  expect(columns[0].records).toBe(4)
  const { value } = rows[1].cells[0] as Interval
  expect(value).toBe(await accuracyOf([0, 2, 4, 6]))
  expect(value).not.toBe(await accuracyOf([0, 1, 2, 3]))
})

it('keeps finished scores, continues with them, and computes again what is damaged or outdated', async () => {
  const keep = join(scratch, 'kept.jsonl')
  const input = { runs: [runs[0], runs[1]], corpus, limit: 2, resamples: 20, keep }
  const started: string[] = []
  /** The scores that are computed, and how many came from the file. */
  const count = async (
    more: Partial<Parameters<typeof compareMatrix>[0]> = {},
    stopAfter = Number.POSITIVE_INFINITY,
  ) => {
    started.length = 0
    const controller = new AbortController()
    let fromFile = -1
    const matrix = await compareMatrix(
      { ...input, ...more },
      {
        signal: controller.signal,
        onKept: (scores) => {
          fromFile = scores
        },
        onProgress({ label }) {
          if (!started.includes(label)) started.push(label)
          if (started.length > stopAfter) controller.abort()
        },
      },
    ).catch((error: Error) => error)
    return { matrix, fromFile, computed: started.length }
  }
  const plain = await compareMatrix({ ...input, keep: undefined })
  // Stopped in the fifth of nine scores: those before are there.
  const stopped = await count({}, 4)
  expect(stopped.matrix).toHaveProperty('name', 'AbortError')
  const rest = await count()
  expect([rest.fromFile, rest.computed]).toEqual([4, 5])
  expect(rest.matrix).toEqual(plain)
  expect(await count()).toEqual({ matrix: plain, fromFile: 9, computed: 0 })
  // A value that somebody changed, a line that is cut off, one that is none.
  const lines = readFileSync(keep, 'utf8').split('\n')
  lines[1] = lines[1].replace(/"value":"[^"]*"/, '"value":"0.99"')
  lines[2] = lines[2].slice(0, -9)
  lines[3] = 'scores'
  writeFileSync(keep, lines.join('\n'))
  expect(await count()).toEqual({ matrix: plain, fromFile: 6, computed: 3 })
  // Other settings, and other weights of one specialist, which has three scores.
  expect(await count({ resamples: 30 })).toMatchObject({ fromFile: 0, computed: 9 })
  expect((await count()).fromFile).toBe(0)
  const weights = join(runs[1], 'model', 'adapter_model.safetensors')
  const before = readFileSync(weights)
  const changed = Buffer.from(before)
  changed.writeFloatLE(0.5, changed.length - 4)
  writeFileSync(weights, changed)
  expect(await count()).toMatchObject({ fromFile: 6, computed: 3 })
  writeFileSync(weights, before)
  writeFileSync(join(scratch, 'other.txt'), 'It was the worst of times.')
  expect(await count({ corpus: join(scratch, 'other.txt') })).toMatchObject({ fromFile: 4, computed: 5 })
})

it('writes over no file that holds something else, nor starts where it cannot write', async () => {
  const other = join(scratch, 'answers.jsonl')
  const before = readFileSync(other)
  await expect(compareMatrix({ runs: [runs[0]], keep: other })).rejects.toThrow(
    /answers\.jsonl, which is something else/,
  )
  expect(readFileSync(other)).toEqual(before)
  await expect(compareMatrix({ runs: [runs[0]], keep: join(other, 'kept.jsonl') })).rejects.toThrow(/for `keep`/)
})

it('is a command with page and picture, and refuses settings without effect', async () => {
  const [html, picture] = [join(scratch, 'matrix.html'), join(scratch, 'matrix.svg')]
  const files = ['--html', html, '--picture', picture]
  const { code, stdout } = await runHere(['compare', runs[0], runs[2], '--matrix', '--limit', '2', '--json', ...files])
  expect(code).toBe(0)
  expect(JSON.parse(stdout).columns.map(({ records }: { records: number }) => records)).toEqual([2, 2])
  const again = await runHere(['compare', runs[0], runs[2], '--matrix', '--limit', '2', '--json', ...files])
  expect(again.stdout).toBe(stdout)
  // The base and the specialist for answers on answers, that for moods on moods.
  expect(again.stderr).toContain(`3 scores are those of ${html}.scores.jsonl.`)
  expect(readFileSync(html, 'utf8')).toContain(readFileSync(picture, 'utf8').trim())
  const alone = await runHere(['compare', ...runs, '--corpus', corpus])
  expect([alone.code, alone.stderr]).toEqual([2, expect.stringMatching(/`--corpus` has no effect without `--matrix`/)])
  await expect(compareMatrix({ runs: [scratch] })).rejects.toThrow(/run\.json/)
})
