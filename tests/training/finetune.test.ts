// Fine-tuning from end to end on invented texts: a class that some words give away, learnt by several variants.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadAdapter } from '../../src/adapters/index.ts'
import { loadModelWithReport, loadTokenizer, saveModel } from '../../src/checkpoint/index.ts'
import { renderRun } from '../../src/cli/parts/run-display.ts'
import { sha256File } from '../../src/core/index.ts'
import { open } from '../../src/inference/index.ts'
import { compareRuns, finetune, pretrain, resume, verifyResume } from '../../src/runs/index.ts'
import { evaluateTask, scoresOf, type TaskDefinition, taskConfig, tasks } from '../../src/tasks/index.ts'
import { readHistory, type TrainingEvent } from '../../src/tracking/index.ts'
import { listSnapshots } from '../../src/training/index.ts'
import { runHere } from '../e2e/run-folder.ts'
import { isFull } from '../grid.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
let base: string
let file: string
const at = (name: string) => join(data.root, name)

/** Texts with "green" are of one class, texts with "stone" of the other. */
const rows = (count: number) =>
  Array.from({ length: count }, (_, i) => {
    const telling = i % 2 === 0 ? 'green' : 'stone'
    const rest = ['the house', 'a river walks', 'old bird', 'rain and light'][i % 4]
    return JSON.stringify({ review: `${rest} ${telling} number ${i}`, stars: i % 2 === 0 ? 'plant' : 'rock' })
  }).join('\n')

beforeAll(async () => {
  data = await makeSmallData()
  base = at('base')
  await pretrain(smallRecipe(data, base, { budget: { steps: 8 } }))
  file = at('rows.jsonl')
  writeFileSync(file, rows(160))
})
afterAll(() => data.dispose())

const recipe = (variant: string, out: string, more: object = {}) =>
  ({
    base,
    task: 'sequence-classification',
    settings: { text: 'review', label: 'stars' },
    data: file,
    variant,
    out,
    maxLength: 32,
    batch: { sequences: 16 },
    budget: { epochs: 8 },
    learningRate: 0.01,
    ...more,
  }) as unknown as Parameters<typeof finetune>[0]

describe('finetune', () => {
  it.each(['full', 'lora'])('%s learns the classes and leaves a model that says so', async (variant) => {
    const out = at(variant)
    const events: TrainingEvent[] = []
    const result = await finetune(recipe(variant, out), { onEvent: (event) => events.push(event) })
    expect(result.reason).toBe('finished')
    const task = tasks['sequence-classification'] as unknown as TaskDefinition
    const config = taskConfig(task, { text: 'review', label: 'stars' })
    const folder = join(out, 'model')
    const { model } = existsSync(join(folder, 'adapter_config.json'))
      ? await loadAdapter(folder)
      : await loadModelWithReport(folder)
    expect(model.headOptions.labels).toEqual(['plant', 'rock'])
    const { records } = await task.read(file, config)
    const scores = scoresOf(await evaluateTask(model, await loadTokenizer(data.tokenizer), task, records, config))
    expect(scores.accuracy).toBeGreaterThan(0.95)
    const evaluated = events.filter(({ type }) => type === 'evaluation')
    expect(evaluated.length).toBe(8)
    // Evaluated once a pass, and each checkpoint but those of the newest and the best is gone.
    expect((await listSnapshots(out)).length).toBeLessThanOrEqual(3)
  })

  it('says so where nothing was learned', async () => {
    const { stdout } = await runHere([
      ...['finetune', '--base', base, '--task', 'sequence-classification', '--data', file, '--out', at('nothing')],
      ...['--text-column', 'review', '--label-column', 'stars', '--max-length', '32', '--batch.sequences', '16'],
      ...['--budget.steps', '10', '--learning-rate', '1', '--schedule.type', 'constant'],
    ])
    // One class for all records scores as the majority class does: 16 validation records, half of each class or nearly.
    const lines = stdout.replaceAll(/\n {2}/g, ' ')
    expect(lines).toMatch(/^compared: .*\(majority class 0\.\d+, random class 0\.\d+, untrained base 0\.\d+\)$/m)
    expect(lines).toMatch(/^warning: .* is not (clearly )?better\s+than\s+the\s+baseline\s+`majority\s+class`/m)
    expect(stdout).toMatch(/^warning: The model predicts "(plant|rock)" for every record\.$/m)
    expect(lines).toMatch(/^warning: Loss rose far above its start: 0\.\d+ at the first step/m)
    const report = readFileSync(at('nothing/report.txt'), 'utf8')
    expect(report).toMatch(/^ {2}warning: The model predicts/m)
    expect(report).toMatch(/step 8: divergence: Loss rose/)
    expect(readFileSync(at('nothing/report.html'), 'utf8')).toContain('<td>majority class</td>')
  })

  it.each(['full', 'lora', 'prefix-tuning', 'feature-based'])(
    '%s is evaluated and queried with the settings of training',
    async (variant) => {
      const out = at(`${variant}-short`)
      const text = 'the old house and the river and the small stone and the light of rain green'
      writeFileSync(at('held.jsonl'), rows(24).replaceAll('number', text))
      const atOnce = variant === 'feature-based' ? { batch: undefined, budget: undefined, learningRate: undefined } : {}
      const short = {
        validation: at('held.jsonl'),
        maxLength: 6,
        budget: { steps: 12 },
        untrainedBaseline: false,
        ...atOnce,
      }
      await finetune(recipe(variant, out, short))
      const { metrics } = JSON.parse(readFileSync(join(out, 'model', 'evaluation.json'), 'utf8'))
      const evaluate = async (...flags: string[]) =>
        JSON.parse((await runHere(['evaluate', '--model', out, '--data', at('held.jsonl'), '--json', ...flags])).stdout)
      expect(await evaluate()).toMatchObject({ metrics, truncatedRecords: 24 })
      expect(await evaluate('--max-length', '5')).toMatchObject({ truncatedRecords: 24 })
      expect((await evaluate('--max-length', '48')).truncatedRecords).toBe(0)
      const [line] = readFileSync(join(out, 'model', 'predictions.jsonl'), 'utf8').split('\n')
      const { review } = JSON.parse(readFileSync(at('held.jsonl'), 'utf8').split('\n')[0])
      const predict = async (...flags: string[]) =>
        JSON.parse((await runHere(['predict', '--model', out, '--text', review, '--json', ...flags])).stdout)
          .predictions[0]
      const { probabilities } = JSON.parse(line)
      for (const [label, share] of Object.entries((await predict()).probabilities))
        expect(share).toBeCloseTo(probabilities[label], 4)
      expect((await predict('--max-length', '48')).probabilities).not.toEqual((await predict()).probabilities)
      const { stderr, code } = await runHere(['predict', '--model', out, '--text', review, '--max-length', '9999'])
      expect(stderr).toMatch(/at most 64 for.*9999/)
      expect(code).toBe(2)
    },
  )

  it('leaves a specialist that is read without its length, and one with a tokenizer of its own', async () => {
    const out = at('lora-short')
    const path = join(out, 'model', 'task.json')
    const written = JSON.parse(readFileSync(path, 'utf8'))
    expect(written.maxLength).toBe(6)
    const evaluated = async (model: string) => {
      const { stdout, stderr } = await runHere(['evaluate', '--model', model, '--data', at('held.jsonl'), '--json'])
      expect(stderr).not.toContain('Expected')
      return JSON.parse(stdout)
    }
    // As earlier versions wrote it: the run says it still, the folder of the model alone does not.
    writeFileSync(path, JSON.stringify({ ...written, maxLength: undefined }))
    expect((await evaluated(out)).truncatedRecords).toBe(24)
    expect((await evaluated(join(out, 'model'))).truncatedRecords).toBe(0)
    writeFileSync(path, JSON.stringify({ ...written, maxLength: '6' }))
    const { stderr } = await runHere(['evaluate', '--model', out, '--data', at('held.jsonl')])
    expect(stderr).toMatch(/task\.json/)
    writeFileSync(path, JSON.stringify(written))
    const other = at('other-tokenizer')
    await finetune(recipe('lora', other, { tokenizer: data.tokenizer, budget: { steps: 1 }, untrainedBaseline: false }))
    expect(existsSync(join(other, 'model', 'tokenizer.json'))).toBe(true)
  })

  it('compares finished runs, the best first', async () => {
    const { runs: rows } = await compareRuns(['full', 'lora'].map(at))
    expect(rows.map(({ value }) => value)).toEqual([...rows.map(({ value }) => value)].sort((a, b) => b - a))
    const [full, lora] = ['full', 'lora'].map((name) => rows.find(({ variant }) => variant === name))
    expect(lora?.trainedParameters).toBeLessThan((full?.trainedParameters ?? 0) / 2)
    expect(lora?.fileBytes).toBeLessThan((full?.fileBytes ?? 0) / 2)
    await expect(compareRuns([at('base')])).rejects.toThrow(/Expected a fine-tuning run/)
  })

  it('says of a step that is not finite where its report is, and what to set, in the words of the command', async () => {
    const out = at('overflown')
    const { code, stderr } = await runHere([
      ...['finetune', '--base', base, '--task', 'sequence-classification', '--data', file, '--out', out],
      ...['--text-column', 'review', '--label-column', 'stars', '--budget.steps', '3'],
      ...['--learning-rate', '1e36', '--schedule.type', 'constant'],
    ])
    const report = join(out, 'incidents', 'step-00000002.json')
    expect(existsSync(report)).toBe(true)
    expect(code).toBe(1)
    expect(stderr.trim().split('\n').at(-1)).toBe(
      `error: Training stopped: the loss or a gradient of step 2 is not finite. Details are in ${report}. Lower \`--learning-rate\`, look at the examples, or set \`--on-non-finite\` to skip.`,
    )
  })

  it('warns before the first step of a warmup that is longer than the run', async () => {
    const warnings: string[] = []
    const schedule = { type: 'linear', warmupSteps: 5 }
    await finetune(recipe('full', at('warm'), { learningRate: 1e-3, schedule, budget: { steps: 1 } }), {
      onPreFlight: (flight) => void warnings.push(...flight.warnings),
    })
    expect(warnings).toContainEqual(
      expect.stringMatching(
        /^The learning-rate warmup has 5 steps, the run 1: the highest learning rate is 0, 0 % of 0.001\./,
      ),
    )
  })

  it('stops early when nothing gets better, and a resumed run stays finished', async () => {
    const out = at('patient')
    const result = await finetune(recipe('lora', out, { learningRate: 1e-9, patience: 2, budget: { epochs: 50 } }))
    expect(result).toMatchObject({ reason: 'finished', steps: 3 * Math.ceil(result.steps / 3) })
    expect(result.steps).toBeLessThan(50)
    expect(result.cause).toBe('patience')
    expect((await readHistory(out)).end).toMatchObject({ reason: 'finished', cause: 'patience' })
    expect(renderRun(result)).toMatch(
      /^Finished early: \d+ steps, .*\nStopped by patience: the last evaluations did not/,
    )
    const notes: string[] = []
    const again = await resume(out, { onNote: (line) => notes.push(line) })
    // Nothing is evaluated or written again.
    expect(notes).toEqual([expect.stringMatching(/already finished/)])
    expect(again).toEqual(result)
  })

  it('resumes to the bit, and its checkpoints are adapters that open', async () => {
    const proof = await verifyResume(at('lora'), { steps: 3 })
    expect(proof).toMatchObject({ equal: true, different: [] })
    const [newest] = await listSnapshots(at('lora'))
    expect(existsSync(join(newest.path, 'model', 'adapter.safetensors'))).toBe(true)
    expect(existsSync(join(newest.path, 'model', 'model.safetensors'))).toBe(false)
    // They open as the finished adapter does, which is one of them, with the task that it learns.
    const kept = (await listSnapshots(at('lora'))).map(({ path }) => join(path, 'model'))
    const [finished, ...others] = await Promise.all(
      [at('lora'), ...kept].map(async (folder) => (await open(folder)).classify('the house is green')),
    )
    expect(others).toContainEqual(finished)
  })

  it.each(['float32', 'bfloat16'] as const)(
    'learns over a base in 4 bits in %s, resumes to the bit, and leaves a plain adapter',
    async (precision) => {
      const out = at(`nf4-${precision}`)
      const notes: string[] = []
      const run = recipe('lora', out, { frozenWeights: 'nf4', precision, budget: { epochs: 4 } })
      const result = await finetune(run, { onNote: (note) => notes.push(note) })
      expect(notes.join()).toMatch(/quantised to nf4/)
      const card = JSON.parse(readFileSync(join(out, 'run-card.json'), 'utf8'))
      expect(card.config).toMatchObject({ base, frozenWeights: 'nf4', precision })
      const { model } = await loadAdapter(join(out, 'model'))
      const task = tasks['sequence-classification'] as unknown as TaskDefinition
      const config = taskConfig(task, { text: 'review', label: 'stars' })
      const { records } = await task.read(file, config)
      const scores = scoresOf(await evaluateTask(model, await loadTokenizer(data.tokenizer), task, records, config))
      expect(scores.accuracy).toBeGreaterThan(0.9)
      expect(result.reason).toBe('finished')
      expect(await verifyResume(out, { steps: 2 })).toMatchObject({ equal: true, different: [] })
    },
  )

  it('answers with numbers in bfloat16 as finely as in float32', async () => {
    const fine = at('numbers.jsonl')
    const numbers = Array.from({ length: 120 }, (_, i) => JSON.stringify({ text: `the house ${i}`, label: 2 + i / 60 }))
    writeFileSync(fine, numbers.join('\n'))
    const out = at('numbers')
    const more = { task: 'regression', data: fine, settings: {}, precision: 'bfloat16', budget: { epochs: 4 } }
    await finetune(recipe('full', out, more))
    const lines = readFileSync(join(out, 'model', 'predictions.jsonl'), 'utf8')
      .trim()
      .split('\n')
    const values = lines.map((line) => (JSON.parse(line) as { value: number }).value)
    // Around 2 its steps are a 64th.
    const coarse = values.filter((value) => Number.isInteger(value * 64))
    expect(values.length).toBeGreaterThan(5)
    expect(coarse.length).toBeLessThan(values.length / 2)
  })

  const variants = [
    'full',
    'linear-probe',
    'bitfit',
    'last-n-layers',
    'lora',
    'dora',
    'houlsby',
    'pfeiffer',
    'parallel',
    'ia3',
    'prefix-tuning',
    'prompt-tuning',
  ]
  // One that trains weights, and the three kinds of adapters.
  const chosen = isFull ? variants : ['full', 'lora', 'pfeiffer', 'prefix-tuning']
  it.each(chosen)('%s computes in bfloat16 as in float32, but for the rounding', async (name) => {
    const losses = async (precision: string) => {
      const out = at(`${name}-${precision}`)
      const found: number[] = []
      const variant = name === 'dora' ? 'lora' : name
      const adapter = { dora: { dora: true }, 'last-n-layers': { layers: 1 } }[name] ?? {}
      const run = recipe(variant, out, { precision, adapter, budget: { steps: 6 } })
      await finetune(run, { onEvent: (event) => event.type === 'step' && found.push(event.loss) })
      return { out, found }
    }
    const plain = await losses('float32')
    const half = await losses('bfloat16')
    expect(half.found).toHaveLength(6)
    for (const [i, loss] of half.found.entries()) expect(Math.abs(loss - plain.found[i])).toBeLessThan(0.03)
    expect(half.found).not.toEqual(plain.found)
    expect(await verifyResume(half.out, { steps: 2 })).toMatchObject({ equal: true, different: [] })
    // What is left opens in float32, as any other.
    const folder = join(half.out, 'model')
    const opened = existsSync(join(folder, 'adapter_config.json'))
      ? await loadAdapter(folder)
      : await loadModelWithReport(folder)
    expect(opened.model.headOptions.labels).toEqual(['plant', 'rock'])
  })

  it('refuses to train a base that is held in fewer bits', async () => {
    for (const variant of ['full', 'last-n-layers'])
      await expect(finetune(recipe(variant, at('refused'), { frozenWeights: 'int8' }))).rejects.toThrow(
        /not quantised|plain weights/,
      )
    await expect(finetune(recipe('lora', at('refused'), { frozenWeights: 'int4' }))).rejects.toThrow(/frozenWeights/)
    const both = recipe('lora', at('refused'), { frozenWeights: 'bfloat16', precision: 'bfloat16' })
    await expect(finetune(both)).rejects.toThrow(/no effect with bfloat16/)
    const { batch: _, budget: __, learningRate: ___, ...bare } = recipe('feature-based', at('refused'))
    await expect(finetune({ ...bare, frozenWeights: 'nf4' })).rejects.toThrow(/float32 for `frozenWeights`/)
  })

  it('leaves the averaged weights, by which checkpoints are chosen', async () => {
    const evaluated: Record<string, number>[] = []
    for (const variant of ['full', 'lora']) {
      evaluated.length = 0
      const more = { average: { decay: 0.5 }, budget: { steps: 4 }, evaluate: { steps: 2 }, keep: { best: 'matthews' } }
      const { metrics } = await finetune(recipe(variant, at(`${variant}-average`), more), {
        onEvent: (event) => event.type === 'evaluation' && evaluated.push(event.metrics),
      })
      const best = evaluated.reduce((high, each) => (each.matthews >= high.matthews ? each : high))
      expect(evaluated).toHaveLength(2)
      expect(metrics).toEqual(best)
    }
  })

  it('is evaluated after each epoch, also with a batch in tokens', async () => {
    const steps: number[] = []
    const { steps: last } = await finetune(
      recipe('lora', at('tokens'), { batch: { tokens: 200 }, budget: { epochs: 4 }, untrainedBaseline: false }),
      { onEvent: (event) => event.type === 'evaluation' && steps.push(event.step) },
    )
    expect(Math.abs(steps[0] - last / 4)).toBeLessThanOrEqual(1)
    // After every so many steps, and after the last.
    const every = steps[0]
    const whole = Array.from({ length: Math.floor(last / every) }, (_, i) => (i + 1) * every)
    expect(steps).toEqual(last % every === 0 ? whole : [...whole, last])
  })

  it('leaves an adapter that brings its base of random weights along', async () => {
    const out = at('fresh-lora')
    const { metrics } = await finetune(recipe('lora', out, { randomInit: true, seed: 3, validation: file }))
    const evaluated = JSON.parse(
      (await runHere(['evaluate', '--model', out, '--task', 'sequence-classification', '--data', file, '--json']))
        .stdout,
    )
    for (const [name, value] of Object.entries(metrics))
      expect(evaluated.metrics[name].value, name).toBeCloseTo(value, 6)
    const { model } = await loadModelWithReport(base, { head: 'masked-lm' })
    await expect(loadAdapter(join(out, 'model'), { base: model })).rejects.toThrow(/randomly initialised base/)
  })

  it.each(['full', 'lora'])(
    '%s goes on from a specialist of other labels where a new head is asked for',
    async (variant) => {
      const three = at(`three-${variant}.jsonl`)
      const named = ['plant', 'rock', 'bird']
      const of = (i: number) => ['green', 'stone', 'old'][i % 3]
      const lines = Array.from({ length: 90 }, (_, i) => ({ review: `the house ${of(i)} ${i}`, stars: named[i % 3] }))
      writeFileSync(three, lines.map((line) => JSON.stringify(line)).join('\n'))
      const first = at(`first-${variant}`)
      await finetune(recipe('full', first, { data: three, budget: { steps: 4 }, untrainedBaseline: false }))
      const again = { base: join(first, 'model'), validation: file, budget: { epochs: 4 } }
      const out = at(`second-${variant}`)
      await expect(finetune(recipe(variant, out, again))).rejects.toThrow(/newHead/)
      const { metrics } = await finetune(recipe(variant, out, { ...again, newHead: true }))
      expect(metrics.accuracy).toBeGreaterThan(0.9)
      const evaluated = JSON.parse(
        (await runHere(['evaluate', '--model', out, '--task', 'sequence-classification', '--data', file, '--json']))
          .stdout,
      )
      expect(evaluated.metrics.accuracy.value).toBe(metrics.accuracy)
    },
  )

  it('names the files that it has learnt from by their hash, also where a pattern found them', async () => {
    const out = at('pattern')
    const more = { data: `${file}*`, budget: { steps: 1 }, untrainedBaseline: false }
    await finetune(recipe('lora', out, more))
    const { dataHashes } = JSON.parse(readFileSync(join(out, 'run-card.json'), 'utf8'))
    expect(dataHashes).toMatchObject({ [file]: await sha256File(file) })
  })

  it('learns tags that stand alone', async () => {
    const words = { the: 'DET', a: 'DET', house: 'NOUN', river: 'NOUN', walks: 'VERB' }
    const sentences = [
      ['the', 'house', 'walks'],
      ['a', 'river'],
      ['the', 'river', 'walks', 'a', 'house'],
    ]
    const tagged = at('tagged.jsonl')
    const lines = sentences.map((tokens) => ({ tokens, tags: tokens.map((word) => words[word as keyof typeof words]) }))
    writeFileSync(tagged, Array.from({ length: 60 }, (_, i) => JSON.stringify(lines[i % 3])).join('\n'))
    const more = { task: 'token-classification', data: tagged, validation: tagged, settings: { scheme: 'none' } }
    const { metrics } = await finetune(recipe('lora', at('tagged'), { ...more, untrainedBaseline: false }))
    expect(metrics.tokenAccuracy).toBeGreaterThan(0.95)
    const asked = await runHere(['predict', '--model', at('tagged'), '--text', 'a river walks'])
    expect(asked.stdout).toContain('a/DET river/NOUN walks/VERB')
    expect(metrics.f1Macro).toBeGreaterThan(0.9)
  })

  it('predicts by the settings of training, and refuses those without effect', async () => {
    const several = at('several.jsonl')
    const lines = Array.from({ length: 60 }, (_, i) => ({
      text: `the house ${i}`,
      other: 'a river',
      label: i % 3 > 0 ? ['a', 'b'] : ['a'],
    }))
    writeFileSync(several, lines.map((line) => JSON.stringify(line)).join('\n'))
    const short = { data: several, validation: several, budget: { steps: 1 }, untrainedBaseline: false }
    const settings = { multiLabel: true, threshold: 0.999 }
    await finetune(recipe('lora', at('several'), { ...short, settings }))
    const [line] = readFileSync(join(at('several'), 'model', 'predictions.jsonl'), 'utf8').split('\n')
    const asked = await runHere(['predict', '--model', at('several'), '--text', 'the house 0', '--json'])
    expect(JSON.parse(asked.stdout).predictions[0].labels).toEqual([])
    expect(JSON.parse(line).labels).toEqual([])
    const idle = await runHere(['predict', '--model', at('several'), '--text', 'the house', '--top-k', '3'])
    expect(idle).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/`--top-k` has no effect on a model with the head sequence-classification/),
    })
    await finetune(recipe('lora', at('pairs'), { ...short, settings: { multiLabel: true, pair: 'other' } }))
    const half = await runHere(['predict', '--model', at('pairs'), '--text', 'the house'])
    expect(half).toMatchObject({ code: 2, stderr: expect.stringMatching(/Expected a text for `pair`/) })
  })

  it('gives vectors of the base as the adapter made it', async () => {
    writeFileSync(at('texts.jsonl'), ['the green house', 'an old bird'].map((text) => `{"text":"${text}"}`).join('\n'))
    const { model, applied } = await loadAdapter(join(at('lora'), 'model'))
    applied.merge()
    await saveModel(model, at('merged'), { tokenizer: data.tokenizer })
    const vectors = async (folder: string, ...flags: string[]) => {
      const argv = ['embed', '--model', folder, '--input', at('texts.jsonl'), '--out', at('vectors.jsonl'), ...flags]
      expect(await runHere(argv)).toMatchObject({ code: 0 })
      const lines = readFileSync(at('vectors.jsonl'), 'utf8').trim().split('\n')
      return lines.flatMap((one) => JSON.parse(one).embedding as number[])
    }
    const adapted = await vectors(at('lora'))
    const close = adapted.map((value) => expect.closeTo(value, 4))
    expect(await vectors(at('merged'))).toEqual(close)
    expect(await vectors(base)).not.toEqual(close)
    const wrong = await runHere(['predict', '--model', at('lora'), '--head', 'masked-lm', '--text', 'the [MASK]'])
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringMatching(/head masked-lm, got one .*classification/) })
  })

  it('refuses a head that is new and would not be kept', async () => {
    const run = finetune(recipe('lora', at('headless'), { adapter: { trainHead: false } }))
    await expect(run).rejects.toThrow(
      /needs `adapter.trainHead`: set it to true. head.dense.weight.* randomly initialised/,
    )
    expect(existsSync(join(at('headless'), 'run.json'))).toBe(false)
    // One that the base has already stays the base's own.
    const again = recipe('lora', at('headed'), {
      base: at('full'),
      adapter: { trainHead: false },
      budget: { steps: 1 },
    })
    const { reason } = await finetune({ ...again, untrainedBaseline: false })
    expect(reason).toBe('finished')
  })

  it('refuses longer examples than the base has positions for, before the first step', async () => {
    const events: TrainingEvent[] = []
    const run = finetune(recipe('lora', at('long'), { maxLength: 65 }), { onEvent: (event) => events.push(event) })
    await expect(run).rejects.toThrow(/at most 64 for `maxLength`.*got 65/)
    const beside = finetune(recipe('prompt-tuning', at('long'), { maxLength: 50 }), {
      onEvent: (event) => events.push(event),
    })
    await expect(beside).rejects.toThrow(/at most 44 for `maxLength`.*without 20 virtual tokens/)
    expect(events).toEqual([])
  })

  it('names every fault of a recipe', async () => {
    const wrong = (more: object) => finetune(recipe('lora', at('wrong'), more))
    await expect(wrong({ settings: { text: 'reviw', label: 'stars' } })).rejects.toThrow(/review/)
    await expect(wrong({ adapter: { rnk: 4 } })).rejects.toThrow(/rank/)
    await expect(wrong({ dataset: 'sst3' })).rejects.toThrow(/sst2/)
    await expect(finetune(recipe('lora', at('lora')))).rejects.toThrow(/resume/)
    expect(existsSync(join(at('wrong'), 'run.json'))).toBe(false)
  })
})
