// Fine-tuning of models that write, from end to end on a small language: who says "hi" twice is answered "ho" twice. Every variant, every
// kind of body; what a run leaves; resuming.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadAdapter } from '../../src/adapters/index.ts'
import { loadModelWithReport, loadTokenizer, saveModel } from '../../src/checkpoint/index.ts'
import { type AnswerPrediction, predictWith } from '../../src/inference/index.ts'
import { buildModel, models } from '../../src/models/index.ts'
import { compareRuns, finetune, type SavedSample, verifyResume } from '../../src/runs/index.ts'
import { createChatEncoder } from '../../src/tasks/generative/chat-encoder.ts'
import { Generator, setThreads } from '../../src/tensor/index.ts'
import { CHAT_TEMPLATES } from '../../src/tokenizers/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { testDevice } from '../device.ts'
import { runHere } from '../e2e/run-folder.ts'
import { eachValue } from '../grid.ts'
import { chatTokenizer } from '../tasks/chat-tokenizer.ts'

let root: string
const at = (name: string) => join(root, name)

const sizes = { hiddenSize: 32, numLayers: 2, numHeads: 4, intermediateSize: 64 }
const kinds = {
  llama: { ...sizes, numKvHeads: 2, maxPositions: 128 },
  qwen3: { ...sizes, numKvHeads: 2, headDim: 8, maxPositions: 128 },
  gpt2: { ...sizes, maxPositions: 128 },
  t5: { ...sizes, headDim: 8 },
} as const

const makeBase = async (name: keyof typeof kinds) => {
  const tokenizer = chatTokenizer()
  await tokenizer.save(at('tokenizer'))
  const definition = (models as unknown as Record<string, Parameters<typeof buildModel>[0]>)[name]
  const config = definition.adjust({}, { ...kinds[name], vocabSize: tokenizer.maxId + 1 })
  const { causal, initializerRange: std } = definition.facts(config)
  const model = buildModel(definition, config, causal ? 'causal-lm' : 'seq2seq-lm')
  model.initialize({ std: causal ? 0.1 : std, generator: new Generator(1) })
  await saveModel(model, at(name), { tokenizer: at('tokenizer') })
}

const rows = (count: number) =>
  Array.from({ length: count }, (_, i) => {
    const times = 1 + (i % 3)
    const messages = [
      { role: 'user', content: Array(times).fill('hi').join(' ') },
      { role: 'assistant', content: Array(times).fill('ho').join(' ') },
    ]
    return JSON.stringify({
      messages: i % 5 === 0 ? [...messages, { role: 'user', content: `${i}` }] : messages,
      number: i,
    })
  }).join('\n')

beforeAll(async () => {
  // Tensors of this size only lose by threads.
  setThreads(1)
  root = mkdtempSync(join(tmpdir(), 'tunesmith-writing-'))
  for (const name of Object.keys(kinds) as (keyof typeof kinds)[]) await makeBase(name)
  writeFileSync(at('rows.jsonl'), rows(48))
  writeFileSync(at('held.jsonl'), rows(6))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const run = (base: string, variant: string, more: object = {}, onEvent?: (event: TrainingEvent) => void) => {
  const out = at(`${base}-${variant}`)
  rmSync(out, { recursive: true, force: true })
  const recipe = {
    base: at(base),
    task: 'instructions',
    settings: { maxNewTokens: 8, metrics: ['exactMatch'], ...(base === 't5' ? {} : { template: 'chatml' }) },
    data: at('rows.jsonl'),
    validation: at('held.jsonl'),
    variant,
    out,
    batch: { sequences: 8 },
    budget: { steps: 30 },
    evaluate: { steps: 15 },
    learningRate: 0.01,
    ...more,
  } as unknown as Parameters<typeof finetune>[0]
  return finetune(recipe, { onEvent })
}

const evaluationOf = (out: string) =>
  JSON.parse(readFileSync(join(out, 'model', 'evaluation.json'), 'utf8')) as {
    metrics: Record<string, { value: number }>
    answered?: number
    references: { name: string; metrics: Record<string, { value: number }> }[]
  }

const silent = { warn() {}, log() {} }

describe.each(['llama', 'qwen3', 'gpt2', 't5'] as const)('%s', (base) => {
  it('learns to answer and to stop, and is asked as it was taught', async () => {
    const events: TrainingEvent[] = []
    const { out } = await run(
      base,
      'full',
      { budget: { steps: base === 't5' ? 240 : 80 }, evaluate: { steps: 80 } },
      (event) => events.push(event),
    )
    const { metrics, references } = evaluationOf(out)
    const before = references.find(({ name }) => name === 'untrained base')!.metrics
    expect(metrics.perplexity.value).toBeLessThan(1.5)
    expect(before.perplexity.value).toBeGreaterThan(20)
    expect(before.exactMatch.value).toBe(0)
    expect(metrics.exactMatch.value).toBeGreaterThan(0.6)
    expect(metrics.ended.value).toBe(1)
    expect(events.some(({ type }) => type === 'evaluation')).toBe(true)
    const samples = JSON.parse(readFileSync(join(out, 'samples.json'), 'utf8')) as SavedSample[]
    expect(samples.length).toBe(6)
    expect(samples.filter(({ after, reference }) => after === reference).length).toBeGreaterThan(3)
    for (const { before: earlier, prompt } of samples) {
      expect(typeof earlier).toBe('string')
      expect(prompt).toMatch(base === 't5' ? /^(hi ?)+/ : /<\|im_start\|>user\nhi.*<\|im_start\|>assistant\n$/s)
    }
    const folder = join(out, 'model')
    const opened = await loadModelWithReport(folder)
    const tokenizer = await loadTokenizer(folder)
    if (base !== 't5') expect(tokenizer.chatTemplate).toBe(CHAT_TEMPLATES.chatml)
    const ready = { ...opened, folder, tokenizer, ...silent }
    const said = (await predictWith(ready, ['hi hi']))[0] as AnswerPrediction
    expect(said).toMatchObject({ answer: 'ho ho', ended: true })
  })
})

const variants = [
  ['llama', 'lora'],
  ['llama', 'prefix-tuning'],
  ['llama', 'prompt-tuning'],
  ['llama', 'houlsby'],
  ['llama', 'linear-probe'],
  ['qwen3', 'lora'],
  ['gpt2', 'lora'],
  ['gpt2', 'prefix-tuning'],
  ['gpt2', 'linear-probe'],
  ['t5', 'lora'],
  ['t5', 'linear-probe'],
  ['t5', 'pfeiffer'],
  ['t5', 'prefix-tuning'],
  ['t5', 'prompt-tuning'],
] as const
describe.each(eachValue(variants, (pair) => pair, 1))('%s by %s', (base, variant) => {
  it('gets better, and its files answer as it did', async () => {
    const { out } = await run(base, variant)
    const { metrics, references } = evaluationOf(out)
    const before = references.find(({ name }) => name === 'untrained base')!.metrics
    expect(metrics.perplexity.value).toBeLessThan(before.perplexity.value)
    const folder = join(out, 'model')
    const adapted = existsSync(join(folder, 'adapter_config.json'))
    const { model } = adapted ? await loadAdapter(folder) : await loadModelWithReport(folder)
    const tokenizer = await loadTokenizer(folder)
    if (base !== 't5') expect(tokenizer.chatTemplate).toBe(CHAT_TEMPLATES.chatml)
    const [line] = readFileSync(join(folder, 'predictions.jsonl'), 'utf8').split('\n')
    const { answer, ended } = JSON.parse(line) as { answer: string; ended: boolean }
    const report = { newHead: [], unused: [], notes: [] }
    const said = (await predictWith({ model, report, folder, tokenizer }, ['hi']))[0] as AnswerPrediction
    expect(said).toEqual({ text: 'hi', answer, ended })
  })
})

describe('a run', () => {
  it('resumes to the bit', async () => {
    const { out } = await run('llama', 'lora')
    const proof = await verifyResume(out, { steps: 2 })
    expect(proof).toMatchObject({ equal: true, different: [] })
    expect((await compareRuns([out])).runs).toMatchObject([{ metric: 'perplexity' }])
  })

  it('is refused where a variant has nothing to train', async () => {
    await expect(run('llama', 'bitfit')).rejects.toThrow(/bias terms/)
  })

  it('is evaluated, scored and queried on the command line', async () => {
    const { out } = await run('gpt2', 'lora')
    const [said, asked] = [at('said.jsonl'), ['--settings.metrics', 'exactMatch', '--settings.max-new-tokens', '8']]
    const json = async (...argv: string[]) => {
      const { code, stdout, stderr } = await runHere([...argv, '--json'])
      expect(stderr.includes('Expected'), stderr).toBe(false)
      expect(code).toBe(0)
      return JSON.parse(stdout)
    }
    const held = at('held.jsonl')
    const evaluated = await json(
      ...['evaluate', '--model', out, '--task', 'instructions', '--data', held, '--predictions', said, ...asked],
    )
    const { metrics } = evaluationOf(out)
    for (const name of ['exactMatch', 'perplexity', 'ended'])
      expect(evaluated.metrics[name].value).toBeCloseTo(metrics[name].value, 3)
    const scored = await json('score', 'instructions', '--references', held, '--predictions', said, ...asked)
    expect(scored.metrics).toEqual(evaluated.metrics)
    // The run says its task and settings itself; what is said beside it counts instead.
    expect((await json('evaluate', '--model', out, '--data', held)).metrics).toEqual(evaluated.metrics)
    const short = await json('evaluate', '--model', out, '--data', held, '--settings.max-new-tokens', '1')
    // One token is one word, the answer to a third of the records.
    expect(short.metrics.exactMatch.value).toBeLessThanOrEqual(1 / 3)
    expect(evaluated.metrics.exactMatch.value).toBeGreaterThan(short.metrics.exactMatch.value)
    expect(short.metrics.perplexity).toEqual(evaluated.metrics.perplexity)
    const { stderr } = await runHere(['evaluate', '--model', at('gpt2'), '--data', held])
    expect(stderr).toContain('`evaluate` needs a task for')
    const weighed = await json(
      ...['evaluate', '--model', out, '--task', 'instructions', '--data', held, '--answers', '0', ...asked],
    )
    expect(Object.keys(weighed.metrics)).toEqual(['perplexity'])
    expect([evaluated.answered, weighed.answered]).toEqual([6, 0])
    const predicted = await json('predict', '--model', out, '--text', 'hi', '--text', 'hi hi')
    const lines = readFileSync(said, 'utf8').split('\n')
    expect(predicted.predictions[0].answer).toBe((JSON.parse(lines[0]) as { answer: string }).answer)
    expect(predicted.predictions).toHaveLength(2)
  })

  it('is comparable with an evaluation of as many answers, which shows their number', async () => {
    const { out } = await run('llama', 'lora', { answers: { atEnd: 2 }, budget: { steps: 4 } })
    const { metrics, answered } = evaluationOf(out)
    expect(answered).toBe(2)
    const evaluate = async (...flags: string[]) =>
      (await runHere(['evaluate', '--model', out, '--data', at('held.jsonl'), ...flags])).stdout
    expect(JSON.parse(await evaluate('--answers', '2', '--json'))).toMatchObject({ metrics, answered: 2, records: 6 })
    expect(await evaluate('--answers', '2')).toMatch(/6 records, answers for the first 2, perplexity of all, in /)
    expect(await evaluate()).toMatch(/6 records, all answered, in /)
  })

  it('ends with the scores of its answers, also where none was asked for while training', async () => {
    const { out, metrics } = await run('llama', 'lora', { answers: { duringTraining: 0 }, budget: { steps: 4 } })
    const scores = Object.entries(evaluationOf(out).metrics).map(([name, { value }]) => [name, value])
    expect(metrics).toEqual(Object.fromEntries(scores))
    expect(Object.keys(metrics)).toEqual(expect.arrayContaining(['exactMatch', 'ended', 'perplexity']))
    const card = JSON.parse(readFileSync(join(out, 'run-card.json'), 'utf8')) as { results: object }
    expect(card.results).toEqual(metrics)
  })

  it('is evaluated on the same rows afterwards, with the maximum length of training', async () => {
    const long = { messages: ['user', 'assistant'].map((role) => ({ role, content: 'hi '.repeat(40) })) }
    writeFileSync(at('uneven.jsonl'), [rows(6), JSON.stringify(long)].join('\n'))
    const settings = { maxNewTokens: 8, metrics: ['exactMatch'], template: 'chatml', tooLong: 'drop' }
    const more = {
      validation: at('uneven.jsonl'),
      settings,
      maxLength: 40,
      budget: { steps: 4 },
      evaluate: { steps: 4 },
    }
    const { out } = await run('llama', 'lora', more)
    const evaluate = async (...flags: string[]) => {
      const { stdout } = await runHere([
        ...['evaluate', '--model', out, '--data', at('uneven.jsonl'), '--json'],
        ...flags,
      ])
      const { metrics } = JSON.parse(stdout) as { metrics: object }
      return metrics
    }
    const { metrics } = evaluationOf(out)
    expect(await evaluate()).toEqual(metrics)
    expect(await evaluate('--max-length', '128')).not.toEqual(metrics)
    const asked = { folder: join(out, 'model'), tokenizer: await loadTokenizer(join(out, 'model')) }
    const { model } = await loadAdapter(asked.folder)
    const report = { newHead: [], unused: [], notes: [] }
    const lines = readFileSync(join(out, 'model', 'predictions.jsonl'), 'utf8').split('\n')
    const said = (await predictWith({ model, report, ...asked }, ['hi '.repeat(40)]))[0] as AnswerPrediction
    expect(said.answer).toBe((JSON.parse(lines[6]) as { answer: string }).answer)
  })

  it('multiplies the loss of each token by the weight of its turn', async () => {
    const { model } = await loadModelWithReport(at('llama'), { head: 'causal-lm' })
    const limits = { lossOn: 'all-answers', tooLong: 'error', maxLength: 100, maxPrompt: 100 } as const
    const { encode, criterion } = createChatEncoder(chatTokenizer(), { template: 'plain', ...limits })
    const user = { role: 'user' as const, content: 'hi' }
    const chat = (weight?: number) => ({ turns: [user, { role: 'assistant' as const, content: 'ho', weight }, user] })
    const examples = [chat(), chat(0.25)].map((one) => encode(one, 'ho ho', { file: 'x', line: 1 })[0])
    const lossOf = (some: typeof examples) =>
      criterion
        .loss(model, criterion.collate(some, { padded: false, device: testDevice }))
        .terms.map(({ sum, weight }) => [sum.item(), weight])
    // " ho" and the end token of the first answer count a quarter.
    const [plain] = examples
    const first = { ...plain, positions: plain.positions.slice(0, 2), targets: plain.targets.slice(0, 2) }
    const [[whole, count], [part]] = [...lossOf([plain]), ...lossOf([first])]
    const [[sum, weight]] = lossOf(examples)
    expect([count, weight]).toEqual([5, 5 + 3.5])
    expect(sum).toBeCloseTo(2 * whole - 0.75 * part, 3)
  })

  it('learns from tools, calls and weights, and refuses them for an encoder-decoder', async () => {
    const call = { type: 'function', function: { name: 'f', arguments: '{}' } }
    const messages = [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'ho', weight: 0.5 },
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: null, tool_calls: [call] },
    ]
    const row = { tools: [{ name: 'f' }], messages, number: 0 }
    writeFileSync(at('tools.jsonl'), Array(16).fill(JSON.stringify(row)).join('\n'))
    const more = { data: at('tools.jsonl'), budget: { steps: 1 }, validation: at('tools.jsonl'), maxLength: 400 }
    const { out } = await run('llama', 'lora', more)
    const predictions = readFileSync(join(out, 'model', 'predictions.jsonl'), 'utf8')
    expect(JSON.parse(predictions.split('\n')[0])).toMatchObject({ id: '0', tokens: expect.any(Number) })
    await expect(run('t5', 'lora', more)).rejects.toThrow(/tools\.jsonl:1: .*decoder/)
  })

  it('reports what it skipped and truncated', async () => {
    writeFileSync(
      at('faulty.jsonl'),
      [
        rows(24),
        JSON.stringify({ messages: [{ role: 'system', content: 'Be kind.' }] }),
        JSON.stringify({ messages: [{ role: 'assistant', content: 'ho' }] }),
        JSON.stringify({ messages: [{ role: 'narrator', content: 'ho' }] }),
        JSON.stringify({
          messages: [
            { role: 'user', content: 'hi '.repeat(200) },
            { role: 'assistant', content: 'ho' },
          ],
        }),
        JSON.stringify({ instruction: 'hi', output: 'ho '.repeat(200) }),
      ].join('\n'),
    )
    const settings = { maxNewTokens: 4, metrics: [], template: 'chatml' }
    const faulty = { data: at('faulty.jsonl'), budget: { steps: 1 }, maxLength: 100 }
    await expect(run('llama', 'lora', { ...faulty, settings })).rejects.toThrow(/faulty\.jsonl:25: .*assistant/)
    const { out } = await run('llama', 'lora', {
      ...faulty,
      settings: { ...settings, onFault: 'skip', tooLong: 'drop' },
    })
    const notes = readFileSync(join(out, 'events.jsonl'), 'utf8')
      .split('\n')
      .filter((line) => line.includes('"note"'))
      .join('\n')
    for (const reason of ['no-answer', 'roles-out-of-order', 'unknown-role', 'too-long'])
      expect(notes).toContain(reason)
    expect(notes).toMatch(/faulty\.jsonl:28/)
    const cut = await run('llama', 'lora', { ...faulty, settings: { ...settings, onFault: 'skip' } })
    const told = readFileSync(join(cut.out, 'events.jsonl'), 'utf8')
    expect(told).toMatch(/1 of 25 examples are longer than 100 tokens/)
    // A question that leaves no room for anything of its answer teaches nothing.
    expect(told).toMatch(/too-long.*faulty\.jsonl:28/)
  })
})
