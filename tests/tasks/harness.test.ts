// Benchmarks by name equal the lm-evaluation-harness on the same rows: prompts with their few-shot examples, log-likelihoods,
// generated answers and metrics (golden/harness/expected.json, made by make-harness.py with its own task definitions).
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { loadModel, resolveData } from '../../src/checkpoint/index.ts'
import { encodeShards } from '../../src/data/index.ts'
import type { Model } from '../../src/models/index.ts'
import { pretrain } from '../../src/runs/index.ts'
import { benchmarks } from '../../src/tasks/harness/benchmarks/index.ts'
import { checkableInstructions, followsInstruction } from '../../src/tasks/harness/instructions/checks.ts'
import { answerScorer, generationKind } from '../../src/tasks/harness/kinds/generation.ts'
import { PythonRandom } from '../../src/tasks/harness/python-random.ts'
import { compileTask } from '../../src/tasks/harness/task-file.ts'
import {
  evaluateHarness,
  findHarnessTasks,
  type HarnessExample,
  type HarnessTask,
  hubBenchmarks,
} from '../../src/tasks/index.ts'
import { loadTokenizer, type Tokenizer } from '../../src/tokenizers/index.ts'
import { metricDirection, readEvents } from '../../src/tracking/index.ts'
import { startHub } from '../checkpoint/hub-server.ts'
import { runHere } from '../e2e/run-folder.ts'

interface GoldenRun {
  metrics: { [name: string]: number }
  examples: { prompts: string[]; logLikelihoods?: number[]; answer?: string }[]
}

const golden = fileURLToPath(new URL('golden/harness', import.meta.url))
const data = join(golden, 'data')
const expected = JSON.parse(readFileSync(join(golden, 'expected.json'), 'utf8')) as {
  [run: string]: GoldenRun | { [subject: string]: GoldenRun }
}
/** The names of lm-eval's metrics: those of filters are `exact_match,strict-match`. */
const metricOf = (metrics: GoldenRun['metrics'], name: string): number =>
  metrics[`${name},none`] ?? metrics[`exact_match,${name}`]

let model: Model
let tokenizer: Tokenizer
const scratch = mkdtempSync(join(tmpdir(), 'harness-'))
beforeAll(async () => {
  model = await loadModel(join(golden, 'model'), { head: 'causal-lm' })
  tokenizer = await loadTokenizer(join(golden, 'model'))
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** A benchmark, with answers as short as those of the reference. */
const taskOf = (name: string): HarnessTask => {
  const task = benchmarks.find((one) => one.name === name)
  return compileTask(
    task?.type === 'generation' || task?.type === 'instructions' ? { ...task, maxNewTokens: 48 } : task,
    name,
  )
}

/** The fields of a task file that only its kind has. */
const fieldsOf = (task: object = {}) =>
  Object.fromEntries(Object.entries(task).filter(([name]) => name in generationKind.fields.shape))

const run = async (task: HarnessTask, settings: object = {}) => {
  const examples: HarnessExample[] = []
  const results = await evaluateHarness(
    model,
    tokenizer,
    [task],
    { folder: data },
    { resamples: 20, ...settings },
    {
      onExamples: (some) => void examples.push(...some),
    },
  )
  return { examples, result: results[task.name] }
}

const expectEqual = (examples: readonly HarnessExample[], reference: GoldenRun['examples']) => {
  expect(examples.map(({ prompts }) => prompts)).toEqual(
    // lm-eval lists the prompt again for each choice.
    reference.map(({ prompts }) => (new Set(prompts).size === 1 ? prompts.slice(0, 1) : prompts)),
  )
  reference.forEach(({ logLikelihoods, answer }, i) => {
    logLikelihoods?.forEach((value, k) => {
      const ours = (examples[i].logLikelihoods as number[])[k]
      expect(Math.abs(ours - value) / Math.abs(value), `example ${i}, choice ${k}: ${ours}, ${value}`).toBeLessThan(
        1e-4,
      )
    })
    if (answer !== undefined) expect(examples[i].answer).toBe(answer)
  })
}

describe('benchmarks', () => {
  it.each(Object.keys(expected).filter((key) => !key.startsWith('mmlu')))('%s equals lm-eval', async (key) => {
    const [name, shots] = key.split('/')
    const reference = expected[key] as GoldenRun
    const { examples, result } = await run(taskOf(name), shots === undefined ? {} : { fewShot: Number(shots) })
    expectEqual(examples, reference.examples)
    for (const [metric, { value }] of Object.entries(result.metrics)) {
      const reported = metricOf(reference.metrics, metric)
      expect(Math.abs(value - reported) / Math.max(1, reported), metric).toBeLessThan(1e-4)
    }
  })

  it.each(['mmlu', 'mmlu/2'])('%s equals lm-eval subject by subject, and weights every question alike', async (key) => {
    const shots = key.split('/')[1]
    const subjects = expected[key] as { [subject: string]: GoldenRun }
    const { examples, result } = await run(taskOf('mmlu'), shots === undefined ? {} : { fewShot: Number(shots) })
    const means = Object.entries(subjects).map(([subject, reference]) => {
      expectEqual(
        examples.filter(({ group }) => group === subject),
        reference.examples,
      )
      const acc = metricOf(reference.metrics, 'acc')
      expect(result.groups?.[subject].acc.value).toBeCloseTo(acc, 9)
      return acc
    })
    expect(result.metrics.acc.value).toBeCloseTo((means[0] + means[1]) / 2, 9)
    // As lm-eval, a limit is one of each subject.
    expect((await run(taskOf('mmlu'), { limit: 2 })).result.examples).toBe(4)
  })

  it('are read from the Hub split by split, with the scores of a folder, and once', async () => {
    const asked: string[] = []
    const rows = (split: string) => readFileSync(join(data, 'arc_easy', `${split}.jsonl`))
    const card = ['ARC-Challenge', 'ARC-Easy'].map(
      (name) =>
        `- config_name: ${name}\n  data_files:\n  - split: train\n    path: ${name}/train-*\n  - split: test\n    path: ${name}/test-*\n`,
    )
    const files = new Map([
      ['README.md', Buffer.from(`---\nconfigs:\n${card.join('')}---\n`)],
      ['ARC-Easy/train-00000-of-00001.jsonl', rows('train')],
      ['ARC-Easy/test-00000-of-00001.jsonl', rows('test')],
      ['ARC-Challenge/train-00000-of-00001.jsonl', Buffer.from('no rows')],
      ['ARC-Challenge/test-00000-of-00001.jsonl', Buffer.from('no rows')],
    ])
    const hub = await startHub({ kind: 'datasets', commit: 'd'.repeat(40), revisions: ['main'], files, asked })
    vi.stubEnv('HF_ENDPOINT', hub.address)
    vi.stubEnv('HF_HUB_CACHE', join(scratch, 'hub-cache'))
    vi.stubEnv('HF_HUB_OFFLINE', '')
    try {
      const arc = benchmarks.find(({ name }) => name === 'arc_easy')
      const ofHub = (hubName?: string) =>
        compileTask({ ...arc, data: { ...arc?.data, hub: hubName } } as typeof arc, 'arc_easy')
      const evaluateOn = (task: HarnessTask, fewShot: number) =>
        evaluateHarness(
          model,
          tokenizer,
          [task],
          { folder: hubBenchmarks, resolve: resolveData },
          { fewShot, resamples: 10 },
        )
      const fromHub = await evaluateOn(ofHub('org/name/ARC-Easy'), 2)
      const { result } = await run(taskOf('arc_easy'), { fewShot: 2 })
      expect(fromHub.arc_easy.metrics.acc.value).toBe(result.metrics.acc.value)
      expect(fromHub.arc_easy.examples).toBe(result.examples)
      const files = asked
        .filter((path) => path.includes('/resolve/'))
        .map((path) => path.split('/').slice(-2).join('/'))
      expect(new Set(files)).toEqual(
        new Set([
          `${'d'.repeat(40)}/README.md`,
          'ARC-Easy/test-00000-of-00001.jsonl',
          'ARC-Easy/train-00000-of-00001.jsonl',
        ]),
      )
      await hub.close()
      vi.stubEnv('HF_HUB_OFFLINE', '1')
      expect((await evaluateOn(ofHub('org/name/ARC-Easy'), 0)).arc_easy.examples).toBe(result.examples)
      await expect(evaluateOn(ofHub('org/name/ARC'), 0)).rejects.toThrow(/ARC-Easy\/test/)
      await expect(evaluateOn(ofHub(), 0)).rejects.toThrow('names no data set of the Hub')
    } finally {
      vi.unstubAllEnvs()
    }
  })

  it('choose examples as Python does', () => {
    // random.Random(1234): sample(range(10), 3), sample(range(1000), 6), sample(range(80), 7), after five getrandbits(32).
    const random = new PythonRandom(1234)
    expect(Array.from({ length: 5 }, () => random.uint32())).toEqual([
      4150886329, 3342196574, 1892932127, 501869158, 32175636,
    ])
    expect(random.sample(10, 3)).toEqual([1, 0, 9])
    expect(random.sample(1000, 6)).toEqual([100, 784, 363, 242, 17, 31])
    expect(random.sample(80, 7)).toEqual([2, 44, 61, 59, 19, 11, 23])
    expect(new PythonRandom(2 ** 40 + 5).uint32()).toBe(2166296868)
  })

  it('extract answers as the filters of gsm8k do', () => {
    // Computed with lm-eval's RegexFilter and exact_match_hf_evaluate.
    const cases: [answer: string, strict: string, flexible: string, reference: string, rights: [number, number]][] = [
      ['So 3 + 4 = 7.\n#### 7', '7', '7', 'x\n#### 7', [1, 1]],
      ['It is $1,234.', '[invalid]', '$1,234.', 'x\n#### 1234', [0, 1]],
      ['#### 1,234 hens', '1,234', '1,234', 'x\n#### 1234', [1, 1]],
      ['It is 5. #### 6 or 7', '6', '7', 'x\n#### 6', [1, 0]],
      ['none', '[invalid]', '[invalid]', 'x\n#### 6', [0, 0]],
      ['#### -5.', '-5.', '-5.', 'x\n#### -5', [1, 1]],
    ]
    const { score } = answerScorer(
      generationKind.fields.parse(fieldsOf(benchmarks.find(({ name }) => name === 'gsm8k'))),
    )
    for (const [answer, strict, flexible, reference, rights] of cases)
      expect(score(answer, reference)).toEqual({
        scores: { 'strict-match': rights[0], 'flexible-extract': rights[1] },
        extracted: { 'strict-match': strict, 'flexible-extract': flexible },
      })
  })

  it('check instructions as lm-eval does, and count those that need a model of another party', async () => {
    const { answers, cases } = JSON.parse(readFileSync(join(golden, 'instructions.json'), 'utf8')) as {
      answers: string[]
      cases: { id: string; arguments: object; strict: number[]; loose: number[] }[]
    }
    for (const { id, arguments: given, strict, loose } of cases)
      answers.forEach((answer, i) => {
        const followed = followsInstruction(answer, id, given as never)
        expect([followed?.strict, followed?.loose], `${id}: ${answer}`).toEqual([strict[i] === 1, loose[i] === 1])
      })
    // Every instruction that can be checked is compared, but for the two whose language lm-eval detects.
    expect(
      [
        ...new Set([...cases.map(({ id }) => id), 'change_case:english_capital', 'change_case:english_lowercase']),
      ].sort(),
    ).toEqual([...checkableInstructions].sort())
    const other = { ...benchmarks.find(({ name }) => name === 'ifeval'), data: { path: join(scratch, 'other.jsonl') } }
    const ids = ['language:response_language', 'punctuation:no_comma']
    const rows = [ids, ids.slice(0, 1)].map((list) => ({
      prompt: 'x',
      instruction_id_list: list,
      kwargs: list.map(() => ({})),
    }))
    writeFileSync(join(scratch, 'other.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    const { result } = await run(compileTask({ ...other, maxNewTokens: 8 }, 'ifeval'))
    expect(result.unchecked).toEqual({ 'language:response_language': 2 })
    // The second prompt is in no metric.
    expect([0, 1]).toContain(result.metrics.prompt_level_strict_acc.value)
  })

  it('are a command, with task files of users and results by example', async () => {
    const own = join(scratch, 'colours.json')
    mkdirSync(join(scratch, 'rows'))
    const rows = ['red', 'green'].map((colour, i) => ({ q: `What colour is ${i}?`, options: ['red', 'green'], colour }))
    writeFileSync(join(scratch, 'rows', 'colours.test.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    const task = {
      type: 'multiple-choice',
      name: 'colours',
      data: { path: 'rows' },
      prompt: '{{q}}',
      choices: '{{options | tojson}}',
      labels: '{{options | tojson}}',
      target: '{{colour}}',
      metrics: ['acc', 'acc_bytes'],
    }
    writeFileSync(own, JSON.stringify(task))
    const file = join(scratch, 'examples.jsonl')
    const argv = ['evaluate', '--model', join(golden, 'model'), '--data', data, '--limit', '3', '--predictions', file]
    const { code, stdout } = await runHere([...argv, '--harness', `arc_easy,piqa,${own}`, '--json'])
    expect(code).toBe(0)
    const { task: evaluation, tasks } = JSON.parse(stdout)
    expect(evaluation).toBe('harness')
    expect(Object.keys(tasks)).toEqual(['arc_easy', 'piqa', 'colours'])
    expect(Object.keys(tasks.colours.metrics)).toEqual(['acc', 'acc_bytes'])
    const lines = readFileSync(file, 'utf8').trim().split('\n')
    expect(lines.map((line) => JSON.parse(line).task)).toEqual([
      ...Array(3).fill('arc_easy'),
      ...Array(3).fill('piqa'),
      ...Array(2).fill('colours'),
    ])
    expect(metricDirection('colours.acc')).toBe('higher')
    const shown = await runHere([...argv, '--harness', 'mmlu'])
    expect(shown.stdout).toMatch(/mmlu: 6 examples, 0-shot[\s\S]*acc +0\.\d{4} {2}\[[\s\S]*kitchen_chemistry/)
  })

  it('are scored in each evaluation of pretraining, and choose its best checkpoint', async () => {
    const texts = Array.from(
      { length: 8 },
      (_, i) => `It was the best of times, number ${i}, it was the worst of times.`,
    )
    const [shards, out] = [join(scratch, 'shards'), join(scratch, 'run')]
    await encodeShards(texts, join(golden, 'model'), shards, { validation: 0.25 })
    const recipe = {
      base: join(golden, 'model'),
      objective: { type: 'causal-lm' },
      data: shards,
      tokenizer: join(golden, 'model'),
      maxLength: 32,
      batch: { sequences: 2 },
      budget: { steps: 4 },
      evaluate: { steps: 2 },
      checkpoint: { steps: 2 },
      keep: { best: 'lambada.perplexity' },
      harness: { tasks: ['arc_easy', 'lambada'], data, limit: 3 },
      out,
    } as const
    await pretrain(recipe)
    const evaluations = []
    for await (const event of readEvents(join(out, 'events.jsonl')))
      if (event.type === 'evaluation') evaluations.push(event)
    expect(
      evaluations.map(({ step, metrics }) => [step, Object.keys(metrics).filter((name) => name.includes('.'))]),
    ).toEqual([2, 4].map((step) => [step, ['arc_easy.acc', 'arc_easy.acc_norm', 'lambada.acc', 'lambada.perplexity']]))
    // The exported model is the best one, and a separate evaluation gives its metric again.
    const best = Math.min(...evaluations.map(({ metrics }) => metrics['lambada.perplexity']))
    const trained = await loadModel(join(out, 'model'), { head: 'causal-lm' })
    const again = await evaluateHarness(
      trained,
      tokenizer,
      [taskOf('lambada')],
      { folder: data },
      { limit: 3, resamples: 1 },
    )
    expect(again.lambada.metrics.perplexity.value / best).toBeCloseTo(1, 4)
    const wrong = { ...recipe, out: join(scratch, 'wrong'), harness: { tasks: ['arc_easy'] } }
    await expect(pretrain(wrong)).rejects.toThrow(/arc_easy needs data/)
    await expect(pretrain({ ...wrong, harness: { limit: 3 } })).rejects.toThrow(/needs `harness.tasks`/)
  })

  it('say what is wrong with a name, a file, a row and the data', async () => {
    await expect(findHarnessTasks(['arc_esy'])).rejects.toThrow(/one of arc_easy,.*got "arc_esy".*Did you mean/)
    await expect(findHarnessTasks(['arc_easy', 'arc_easy'])).rejects.toThrow(/given twice/)
    const arc = benchmarks[0]
    const wrong: [task: object, message: RegExp][] = [
      [{ ...arc, promt: 'x' }, /mine\.json.*promt|promt.*mine\.json/s],
      [{ ...arc, prompt: '{{question' }, /mine\.json: .*`prompt`/],
      [{ ...arc, choices: undefined }, /needs `choices`/],
    ]
    for (const [task, message] of wrong) expect(() => compileTask(task, 'mine.json')).toThrow(message)
    const lacking = compileTask({ ...arc, prompt: '{{qestion}}' }, 'arc_easy')
    await expect(run(lacking)).rejects.toThrow(/test\.jsonl:1: `prompt` needs the column qestion.*Did you mean/)
    const target = compileTask({ ...arc, labels: ['X', 'Y'] }, 'arc_easy')
    await expect(run(target)).rejects.toThrow(/test\.jsonl:1: Expected one of X, Y for `target`/)
    await expect(run(taskOf('arc_easy'), { fewShot: 40 })).rejects.toThrow(/at least 40 rows.*got 9.*--few-shot/)
    await expect(run({ ...taskOf('arc_easy'), name: 'nothing' })).rejects.toThrow(/Expected nothing\/ or a file/)
    const shown = await runHere(['evaluate', '--model', join(golden, 'model'), '--harness', 'arc_easy'])
    expect([shown.code, shown.stderr]).toEqual([1, expect.stringMatching(/needs data.*--data/)])
  })
})
