// Every file in recipes/ is read as the program reads it, fits the schema, and trains for two steps on tiny data.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { readRecipeFile } from '../src/cli/recipe-file.ts'
import { isValidationDocument, openTokens } from '../src/data/index.ts'
import {
  type AlignInput,
  align,
  type FinetuneInput,
  finetune,
  openSpecialists,
  type PretrainInput,
  type PretrainSettings,
  pretrain,
} from '../src/runs/index.ts'
import { makeDocuments, makeTextFolder, repository, type TextFolder } from './e2e/run-folder.ts'

const folder = join(repository, 'recipes')

let pieces: TextFolder
let bytes: TextFolder
beforeAll(async () => {
  pieces = await makeTextFolder('wordpiece', 120)
  bytes = await makeTextFolder('bpe', 300)
})
afterAll(() => {
  pieces.remove()
  bytes.remove()
})

/** What a recipe is run with instead of its real data, and for two steps of two rows. */
const tiny = (text: TextFolder, out: string): Partial<PretrainSettings> => ({
  data: text.shards,
  tokenizer: text.tokenizer,
  out: join(text.path, out),
  batch: { sequences: 2 },
  budget: { steps: 2 },
  evaluate: { steps: 2 },
  sample: {},
  checkpoint: {},
  validationExamples: 2,
})

/** A text of which the recipe's seed sets aside just the last tenth. */
const textWithTenth = (): string => {
  const body = makeDocuments(60).join('\n')
  for (let more = 0; ; more++) {
    const text = body + '.'.repeat(more)
    const cut = Math.floor(text.length * 0.9)
    const split = { share: 0.1, seed: '2' }
    if (!isValidationDocument(text.slice(0, cut), split) && isValidationDocument(text.slice(cut), split)) return text
  }
}

const pretraining: Record<string, () => object> = {
  'bert-from-scratch.ts': () => tiny(pieces, 'bert'),
  'modernbert-from-scratch.ts': () => tiny(pieces, 'modernbert'),
  'gpt-from-scratch.ts': () => tiny(bytes, 'gpt'),
  'continue-pretraining.ts': () => ({
    ...tiny(pieces, 'medical'),
    base: join(pieces.path, 'bert'),
    data: [pieces.shards, pieces.shards],
  }),
  'char-shakespeare.ts': () => {
    const { data: _, tokenizer: __, ...rest } = tiny(pieces, 'shakespeare/run')
    return rest
  },
}

const sentences = makeDocuments(20).map((text) => text.split(' .')[0])
const rows = (header: string, row: (text: string, i: number) => string) =>
  [header, ...sentences.map(row), ''].join('\n')
const question = (text: string, i: number) => ({
  context: text,
  qas: [
    {
      id: `${i}`,
      question: 'who sees the moon',
      answers: [{ text: text.split(' ')[1], answer_start: text.indexOf(' ') + 1 }],
    },
  ],
})

/** Data in the form of the sets that recipes name, as their makers call the files. */
const labelled: Record<string, string> = {
  'train.tsv': rows('sentence\tlabel', (text, i) => `${text}\t${i % 2}`),
  'dev.tsv': rows('sentence\tlabel', (text, i) => `${text}\t${i % 2}`),
  'train-v1.1.json': JSON.stringify({ data: [{ title: 't', paragraphs: sentences.map(question) }] }),
  'dev-v1.1.json': JSON.stringify({ data: [{ title: 'd', paragraphs: sentences.slice(0, 4).map(question) }] }),
  'wnut17train.conll': sentences.map((text) => `${text.split(' ').join('\tO\n')}\tB-person\n`).join('\n'),
  'emerging.dev.conll': sentences.map((text) => `${text.split(' ').join('\tO\n')}\tB-person\n`).join('\n'),
  'sts-train.tsv': sentences.map((text, i) => `g\tf\ty\t${i}\t${i % 5}.2\t${text}\t${sentences[0]}\n`).join(''),
  'sts-dev.tsv': sentences.map((text, i) => `g\tf\ty\t${i}\t${i % 4}.5\t${text}\t${sentences[1]}\n`).join(''),
  'reviews.csv': rows('text,label', (text, i) => `${text},${['good', 'bad', 'so-so'][i % 3]}`),
}

/** The folder with all of it. */
const labelledFolder = (): string => {
  const data = join(pieces.path, 'labelled')
  mkdirSync(data, { recursive: true })
  for (const [file, content] of Object.entries(labelled)) writeFileSync(join(data, file), content)
  return data
}

/** Recipes of fine-tuning, with the metric that shows that the specialist was judged. */
const finetuning: Record<string, string> = {
  'bert-sst2.ts': 'accuracy',
  'bert-squad.ts': 'exactMatch',
  'bert-wnut17.ts': 'f1',
  'lora-classifier.ts': 'accuracy',
}

/** One recipe with four specialists, by their names, each with a question that it answers. */
const manyAdapters = 'one-base-many-adapters.ts'
const specialists: Record<string, object> = {
  sentiment: { text: sentences[0] },
  entities: { text: sentences[1] },
  answers: { question: 'who sees the moon', context: sentences[2] },
  similarity: { text: sentences[0], pair: sentences[1] },
}

const asked = sentences.map((text, i) => ({ instruction: `who ${i}`, output: text }))
const xml = (text: string, i: number) =>
  `<QAPair pid="${i}"><Question qid="${i}">Who is ${i}?</Question><Answer>${text}</Answer></QAPair>`

/** Recipes of models that write, with the variable that names their data, the data, and a metric. */
const writing: Record<string, { variable: string; file: string; content: string; metric: string }> = {
  'summarize-dialogues.ts': {
    variable: 'DIALOGSUM',
    file: 'dialogsum.jsonl',
    content: sentences
      .map((text, i) => JSON.stringify({ fname: `${i}`, dialogue: text, summary: text.slice(0, 12) }))
      .join('\n'),
    metric: 'rougeL',
  },
  'instruct-smollm2.ts': {
    variable: 'INSTRUCTIONS',
    file: 'instructions.json',
    content: JSON.stringify(asked),
    metric: 'perplexity',
  },
  'medical-answers.ts': {
    variable: 'MEDQUAD',
    file: 'medquad/0.xml',
    content: `<Document><QAPairs>${sentences.map(xml).join('')}</QAPairs></Document>`,
    metric: 'perplexity',
  },
}

const chats = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    prompt: [{ role: 'user', content: sentences[i % 20] }],
    chosen: [{ role: 'assistant', content: `${sentences[(i + 3) % 20].slice(0, 8)} ${i}` }],
    rejected: [{ role: 'assistant', content: `${sentences[(i + 7) % 20].slice(0, 8)} ${i}` }],
  }))
const linesOf = (list: readonly object[]) => list.map((row) => `${JSON.stringify(row)}\n`).join('')

/** Recipes of alignment, with the variables that name their data, and the data. */
const aligning: Record<string, { variable: string; content: string }> = {
  'dpo-chat.ts': { variable: 'PREFERENCES', content: linesOf(chats(12)) },
  'kto-ratings.ts': {
    variable: 'RATINGS',
    content: linesOf(
      chats(12).map(({ prompt, chosen }, i) => ({ messages: [...prompt, ...chosen], label: i % 2 === 0 })),
    ),
  },
}

/** What alignment is run with instead of its real sizes, and for two steps. */
const tinyAlignment = (out: string): Partial<AlignInput> => ({
  out,
  validationShare: 0.3,
  maxLength: undefined,
  batch: { sequences: 2 },
  budget: { steps: 2 },
  evaluate: { steps: 2 },
  answers: { validation: 2, samples: 1, maxNewTokens: 4 },
  checkpoint: {},
  untrainedBaseline: false,
})

describe('recipes', () => {
  it('are all run here', () => {
    const names = [
      ...Object.keys(pretraining),
      ...Object.keys(finetuning),
      ...Object.keys(writing),
      ...Object.keys(aligning),
      manyAdapters,
      'reward-model.ts',
      'ppo-sentiment.ts',
      'grpo-arithmetic.ts',
      'rlhf.ts',
      'tools-arithmetic.ts',
    ]
    expect(readdirSync(folder).sort()).toEqual(names.sort())
  })

  it.each(Object.keys(pretraining))('%s trains', async (name) => {
    const text = join(pieces.path, 'input.txt')
    writeFileSync(text, textWithTenth())
    vi.stubEnv('SHAKESPEARE', text)
    vi.stubEnv('SHAKESPEARE_OUT', join(pieces.path, 'shakespeare'))
    const recipe = (await readRecipeFile(join(folder, name))) as unknown as PretrainInput
    const result = await pretrain({ ...recipe, ...pretraining[name]() } as PretrainInput)
    expect(result).toMatchObject({ reason: 'finished', steps: 2 })
    expect(Number.isFinite(result.loss)).toBe(true)
    expect(result.metrics.perplexity).toBeGreaterThan(1)
    vi.unstubAllEnvs()
  })

  // Their base is what the recipe of a base above made, and their data lie where a variable says.
  it.each(Object.entries(finetuning))('%s trains a specialist', async (name, metric) => {
    const data = labelledFolder()
    for (const variable of ['SST2', 'SQUAD', 'WNUT17']) vi.stubEnv(variable, data)
    vi.stubEnv('DATA', join(data, 'reviews.csv'))
    vi.stubEnv('BASE', join(pieces.path, 'bert'))
    const { command, ...recipe } = (await readRecipeFile(join(folder, name))) as unknown as FinetuneInput & {
      command: string
    }
    expect(command).toBe('finetune')
    const result = await finetune({
      ...recipe,
      out: join(pieces.path, `run-of-${name}`),
      batch: { sequences: 2 },
      budget: { steps: 2 },
      checkpoint: {},
    })
    expect(result).toMatchObject({ reason: 'finished', steps: 2 })
    expect(Number.isFinite(result.loss)).toBe(true)
    expect(result.metrics[metric]).toBeGreaterThanOrEqual(0)
    vi.unstubAllEnvs()
  })

  it(`${manyAdapters} trains four specialists that one process serves by name`, async () => {
    const data = labelledFolder()
    for (const variable of ['SST2', 'SQUAD', 'WNUT17', 'STSB']) vi.stubEnv(variable, data)
    const base = join(pieces.path, 'bert')
    vi.stubEnv('BASE', base)
    const folders: Record<string, string> = {}
    for (const name of Object.keys(specialists)) {
      vi.stubEnv('SPECIALIST', name)
      const recipe = (await readRecipeFile(join(folder, manyAdapters))) as unknown as FinetuneInput
      expect(recipe.out).toBe(`runs/many/${name}`)
      folders[name] = join(pieces.path, recipe.out)
      const steps = { batch: { sequences: 2 }, budget: { steps: 2 }, checkpoint: {}, untrainedBaseline: false }
      const { reason } = await finetune({ ...recipe, ...steps, out: folders[name] })
      expect(reason).toBe('finished')
    }
    const served = await openSpecialists(base, folders)
    const questions = Object.entries(specialists).map(([specialist, fields]) => ({ specialist, ...fields }))
    const answers = await served.queryAll(questions)
    expect(answers.map(({ specialist }) => specialist)).toEqual(Object.keys(specialists))
    const { base: whole, specialists: parts } = served.memory()
    for (const bytes of Object.values(parts)) expect(bytes).toBeLessThan(whole / 2)
    await served.close()
    vi.unstubAllEnvs()
  })

  // Their base is what gpt-from-scratch.ts made above.
  it.each(Object.entries(writing))(
    '%s trains a model that writes',
    async (name, { variable, file, content, metric }) => {
      const data = join(bytes.path, 'asked', file)
      mkdirSync(dirname(data), { recursive: true })
      writeFileSync(data, content)
      vi.stubEnv(variable, file.endsWith('.xml') ? dirname(data) : data)
      vi.stubEnv('BASE', join(bytes.path, 'gpt'))
      const { command, settings, ...recipe } = (await readRecipeFile(
        join(folder, name),
      )) as unknown as FinetuneInput & {
        command: string
      }
      expect(command).toBe('finetune')
      const result = await finetune({
        ...recipe,
        settings: { ...settings, maxNewTokens: 4 } as never,
        out: join(bytes.path, `run-of-${name}`),
        validationShare: 0.3,
        maxLength: 128,
        batch: { sequences: 2 },
        budget: { steps: 2 },
        evaluate: { steps: 2 },
        answers: { duringTraining: 2, atEnd: 2, samples: 2 },
        checkpoint: {},
      })
      expect(result).toMatchObject({ reason: 'finished', steps: 2 })
      expect(Number.isFinite(result.loss)).toBe(true)
      expect(result.metrics[metric]).toBeGreaterThanOrEqual(0)
      const samples = JSON.parse(readFileSync(join(result.out, 'samples.json'), 'utf8')) as object[]
      expect(samples.length).toBe(2)
      vi.unstubAllEnvs()
    },
  )

  // Their base is what gpt-from-scratch.ts made above.
  it.each(Object.entries(aligning))('%s aligns a model', async (name, { variable, content }) => {
    const data = join(bytes.path, `${variable}.jsonl`)
    writeFileSync(data, content)
    vi.stubEnv(variable, data)
    vi.stubEnv('BASE', join(bytes.path, 'gpt'))
    vi.stubEnv('OUT', join(bytes.path, `run-of-${name}`))
    const { command, ...recipe } = (await readRecipeFile(join(folder, name))) as unknown as AlignInput & {
      command: string
    }
    expect(command).toBe('align')
    const result = await align({ ...recipe, ...tinyAlignment(join(bytes.path, `run-of-${name}`)) } as AlignInput)
    expect(result).toMatchObject({ reason: 'finished', steps: 2 })
    expect(Object.values(result.metrics).every(Number.isFinite)).toBe(true)
    vi.unstubAllEnvs()
  })

  it('reward-model.ts trains a judge', async () => {
    const data = join(bytes.path, 'dialogues.jsonl')
    const dialogue = (text: string, i: number) => `\n\nHuman: who ${i}?\n\nAssistant: ${text.slice(0, 12)} ${i}`
    const rows = sentences.map((text, i) => ({
      chosen: dialogue(text, i),
      rejected: dialogue(sentences[(i + 1) % 20], i),
    }))
    writeFileSync(data, linesOf(rows))
    vi.stubEnv('HH_RLHF', data)
    vi.stubEnv('BASE', join(bytes.path, 'gpt'))
    const recipe = (await readRecipeFile(join(folder, 'reward-model.ts'))) as unknown as FinetuneInput
    const result = await finetune({
      ...recipe,
      out: join(bytes.path, 'run-of-reward-model'),
      validationShare: 0.3,
      maxLength: 128,
      batch: { sequences: 2 },
      budget: { steps: 2 },
      evaluate: { steps: 2 },
      checkpoint: {},
    })
    expect(result.metrics.accuracy).toBeGreaterThanOrEqual(0)
    vi.unstubAllEnvs()
  })

  it('ppo-sentiment.ts pretrains, trains a reward and a judge, and reinforces with each objective', async () => {
    const out = join(bytes.path, 'sentiment')
    for (const part of ['train/neg', 'train/pos', 'test/neg', 'test/pos']) {
      mkdirSync(join(out, part), { recursive: true })
      const reviews = makeDocuments(40).map((text) => `${text.replaceAll(' .', '.')}<br /><br />The end of it.`)
      for (const [i, review] of reviews.entries()) writeFileSync(join(out, part, `${i}_${part.length}.txt`), review)
    }
    const variables = { IMDB: out, SST2: labelledFolder(), ENCODER: join(pieces.path, 'bert'), SENTIMENT: out }
    for (const [variable, value] of Object.entries(variables)) vi.stubEnv(variable, value)
    const read = async (stage: string) => {
      vi.stubEnv('STAGE', stage)
      return (await readRecipeFile(join(folder, 'ppo-sentiment.ts'))) as Record<string, unknown>
    }
    const steps = { batch: { sequences: 2 }, budget: { steps: 2 }, evaluate: { steps: 2 }, checkpoint: {} }
    await pretrain({ ...(await read('base')), ...steps, sample: {} } as unknown as PretrainInput)
    for (const stage of ['reward', 'judge'])
      await finetune({ ...(await read(stage)), ...steps, untrainedBaseline: false } as unknown as FinetuneInput)
    for (const objective of ['ppo', 'grpo', 'rloo']) {
      vi.stubEnv('OBJECTIVE', objective)
      const recipe = await read('align')
      expect(recipe).toMatchObject({ command: 'align', objective, base: `${out}/base` })
      const small = { ...tinyAlignment(join(out, objective)), rollout: { prompts: 2, maxNewTokens: 4 } }
      const { metrics } = await align({ ...recipe, ...small } as unknown as AlignInput)
      // The share of two answers that are positive.
      expect([0, 0.5, 1]).toContain(metrics.judge)
    }
    await expect(read('dessert')).rejects.toThrow('got dessert')
    vi.unstubAllEnvs()
  })

  it('grpo-arithmetic.ts pretrains a model that adds, and rewards it', async () => {
    const path = join(bytes.path, 'arithmetic')
    vi.stubEnv('ARITHMETIC', path)
    vi.stubEnv('EQUATIONS', '60')
    vi.stubEnv('STAGE', 'pretrain')
    const first = (await readRecipeFile(join(folder, 'grpo-arithmetic.ts'))) as unknown as PretrainInput
    await pretrain({ ...first, batch: { sequences: 2 }, budget: { steps: 2 }, evaluate: {} } as PretrainInput)
    vi.stubEnv('STAGE', 'grpo')
    // The same file read again: modules are read once.
    const second = (await readRecipeFile(join(folder, 'grpo-arithmetic.ts'))) as unknown as AlignInput
    const { base, data, validation } = second
    expect([base, data, validation]).toEqual([`${path}/base`, `${path}/problems.jsonl`, `${path}/test.jsonl`])
    const parts = ['problems', 'validation', 'test'].map((part) =>
      readFileSync(`${path}/${part}.jsonl`, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { prompt: string; answer: string }),
    )
    expect(parts.map(({ length }) => length)).toEqual([2000, 250, 250])
    // No sum is in two parts, and every number is in all of them.
    expect(new Set(parts.flat().map(({ prompt }) => prompt)).size).toBe(2500)
    for (const part of parts) {
      const numbers = part.map(({ prompt }) => prompt.split(/[+=]/).map(Number))
      expect(numbers.map(([first, second]) => first + second)).toEqual(part.map(({ answer }) => Number(answer)))
      const [even, odd] = [0, 1].map((rest) => numbers.filter(([, second]) => second % 2 === rest).length)
      expect(Math.min(even, odd)).toBeGreaterThan(part.length / 3)
    }
    // The base read practised sums only, and results that are right or too large.
    const read = await openTokens(`${path}/shards`, 'train')
    const characters = ['<end>', ...'0123456789+=']
    const equations = Array.from({ length: read.documents }, (_, i) => {
      const start = read.documentStart(i)
      return Array.from(read.readTokens(start, read.documentEnd(i) - start), (id) => characters[id]).join('')
    })
    expect(equations.length).toBeGreaterThan(40)
    const answers = new Map(parts[0].map(({ prompt, answer }) => [prompt, Number(answer)]))
    const off = equations.map((equation) => {
      const at = equation.indexOf('=') + 1
      return Number(equation.slice(at)) - (answers.get(equation.slice(0, at)) ?? Number.NaN)
    })
    expect(off.filter((by) => ![0, 1, 2, 3, 10].includes(by))).toEqual([])
    const small = { ...tinyAlignment(`${path}/grpo`), rollout: { prompts: 2, answers: 2, maxNewTokens: 3 } }
    const result = await align({ ...second, ...small } as AlignInput)
    expect(result.metrics.reward).toBeGreaterThanOrEqual(0)
    vi.unstubAllEnvs()
  })

  it('tools-arithmetic.ts writes answers in turns with a calculator', async () => {
    const out = join(bytes.path, 'tools')
    vi.stubEnv('BASE', join(bytes.path, 'gpt'))
    vi.stubEnv('OUT', out)
    vi.stubEnv('PROBLEMS', '20')
    const recipe = (await readRecipeFile(join(folder, 'tools-arithmetic.ts'))) as unknown as AlignInput
    expect(recipe).toMatchObject({
      environment: { name: 'calculator' },
      rewards: ['numeric-match', expect.any(Function)],
    })
    const tiny = { ...tinyAlignment(out), template: 'plain', adapter: { rank: 2 }, tooLong: 'truncate' }
    const rollout = { prompts: 2, answers: 2, maxNewTokens: 4 }
    const result = await align({ ...recipe, ...tiny, rollout } as unknown as AlignInput)
    expect(result.metrics).toMatchObject({ turns: expect.any(Number), reward: expect.any(Number) })
    vi.unstubAllEnvs()
  })

  it('rlhf.ts fine-tunes, trains a judge and reinforces', async () => {
    const out = join(bytes.path, 'rlhf')
    const conversations = chats(12).map(({ prompt, chosen }) => ({ messages: [...prompt, ...chosen] }))
    for (const [variable, list] of Object.entries({ CONVERSATIONS: conversations, COMPARISONS: chats(12) })) {
      const path = join(bytes.path, `${variable}.jsonl`)
      writeFileSync(path, linesOf(list))
      vi.stubEnv(variable, path)
    }
    vi.stubEnv('OUT', out)
    vi.stubEnv('BASE', join(bytes.path, 'gpt'))
    const steps = { batch: { sequences: 2 }, budget: { steps: 1 }, evaluate: { steps: 1 }, checkpoint: {} }
    const read = async (stage: string) => {
      vi.stubEnv('STAGE', stage)
      return (await readRecipeFile(join(folder, 'rlhf.ts'))) as Record<string, unknown>
    }
    const sft = await read('sft')
    await finetune({
      ...sft,
      ...steps,
      settings: { ...(sft.settings as object), template: 'plain', maxNewTokens: 4 },
      maxLength: 128,
      validationShare: 0.3,
      answers: { duringTraining: 0, atEnd: 1, samples: 1 },
    } as unknown as FinetuneInput)
    await finetune({
      ...(await read('reward')),
      ...steps,
      maxLength: 128,
      validationShare: 0.3,
    } as unknown as FinetuneInput)
    const result = await align({
      ...(await read('ppo')),
      ...tinyAlignment(join(out, 'ppo')),
      rollout: { prompts: 2, maxNewTokens: 4 },
    } as unknown as AlignInput)
    expect(Number.isFinite(result.metrics.reward)).toBe(true)
    vi.unstubAllEnvs()
  })
})
