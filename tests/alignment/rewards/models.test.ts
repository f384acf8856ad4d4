// Models as rewards: small ones in files, against logits that are computed here from token ids that are encoded here.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { adaptersOf, applyAdapter, saveAdapter } from '../../../src/adapters/index.ts'
import {
  checkRewards,
  closeRewards,
  openRewards,
  type RewardInput,
  scoreSamples,
} from '../../../src/alignment/index.ts'
import { loadModel, saveModel } from '../../../src/checkpoint/index.ts'
import {
  buildModel,
  type HeadType,
  type Model,
  type ModelDefinition,
  type ModelType,
  models,
  withHead,
} from '../../../src/models/index.ts'
import { Generator, noGrad, scope, setThreads, tensor } from '../../../src/tensor/index.ts'
import { applyChatTemplate, encodeChatAnswer } from '../../../src/tokenizers/index.ts'
import { bertJson } from '../../../src/tokenizers/legacy-files.ts'
import { Tokenizer } from '../../../src/tokenizers/tokenizer.ts'
import { chatTokenizer } from '../../tasks/chat-tokenizer.ts'
import { sample } from './samples.ts'

setThreads(1)
const folder = await mkdtemp(join(tmpdir(), 'judges-'))
const at = (...names: string[]) => join(folder, ...names)
afterAll(() => rm(folder, { recursive: true }))

const build = (type: ModelType, head: HeadType, vocabSize: number, options: object = {}, seed = 1): Model => {
  const definition = models[type] as ModelDefinition
  const config = definition.config.parse({ ...definition.presets.test, vocabSize }) as object
  const model = buildModel(definition, config, head, options as never)
  model.initialize({ std: 0.15, generator: new Generator(seed) })
  return model.eval()
}

/** The policy's tokenizer has other ids than those of the models that score. */
const policy = chatTokenizer({ chatTemplate: 'chatml' })
const judgeTokenizer = chatTokenizer({ chatTemplate: 'llama3' })
const words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'good', 'bad', 'so', 'film', 'a', '.', 'is', 'the']
const textTokenizer = new Tokenizer(bertJson(words.join('\n')))

const logitsOf = (model: Model, ids: readonly number[], typeIds?: readonly number[]): number[] =>
  scope(() =>
    noGrad(() => {
      const inputs = { inputIds: tensor([[...ids]], { dtype: 'int64', device: model.body.embedTokens.device }) }
      const typed =
        typeIds === undefined
          ? {}
          : { typeIds: tensor([[...typeIds]], { dtype: 'int64', device: model.body.embedTokens.device }) }
      return [
        ...model
          .forward({ ...inputs, ...typed })
          .logits.flatten()
          .toFloat32Array(),
      ]
    }),
  )

await judgeTokenizer.save(at('tokenizer'))
await textTokenizer.save(at('words'))
const judge = build('llama', 'reward', 268)
await saveModel(judge, at('judge'), { tokenizer: at('tokenizer') })
const sentiment = build('bert', 'sequence-classification', words.length, {
  labels: ['negative', 'neutral', 'positive'],
})
await saveModel(sentiment, at('sentiment'), { tokenizer: at('words') })

const scored = async (input: RewardInput, samples: Parameters<typeof scoreSamples>[1], more = {}) => {
  const functions = await openRewards([input], { tokenizer: policy, ...more })
  const { scores } = await scoreSamples(functions, samples)
  await closeRewards(functions)
  return scores.map(({ reward }) => reward!)
}

const question = [{ role: 'user' as const, content: 'How many ho?' }]
const turns = (completion: string) => sample(completion, { prompt: question })
const answers = ['ho', 'A longer answer: hi, hi, hi.', '', 'Nine.', 'ho '.repeat(30).trim()]

/** The model's own ids of question and answer. */
const ownIds = (completion: string, prompt: { role: string; content: string }[] = question) => [
  ...applyChatTemplate(judgeTokenizer, prompt, { template: 'llama3', addGenerationPrompt: true }).ids,
  ...encodeChatAnswer(judgeTokenizer, prompt, completion, { template: 'llama3' }).ids,
]

describe('a reward model with another tokenizer and template than the policy', () => {
  it('reads the texts, encoded with its own', async () => {
    const expected = answers.map((one) => logitsOf(judge, ownIds(one))[0])
    expect(new Set(expected).size).toBe(answers.length)
    const found = await scored({ type: 'reward-model', model: at('judge') }, answers.map(turns))
    for (const [i, value] of expected.entries()) expect(found[i]).toBeCloseTo(value, 5)
    // The policy's ids play no part.
    const others = answers.map((one) => ({ ...turns(one), promptIds: [0], completionIds: [9] }))
    expect(await scored({ type: 'reward-model', model: at('judge') }, others)).toEqual(found)
  })

  it('reads raw text as it is, or as turns where it was trained on turns', async () => {
    const raw = [sample('ho', { prompt: 'How many ho?' })]
    const [asText] = await scored({ type: 'reward-model', model: at('judge') }, raw)
    const ids = [...judgeTokenizer.encodeIds('How many ho?'), ...judgeTokenizer.encodeIds('ho'), 1]
    expect(asText).toBeCloseTo(logitsOf(judge, ids)[0], 5)
    const [asTurns] = await scored({ type: 'reward-model', model: at('judge'), texts: 'turns' }, raw)
    expect(asTurns).toBeCloseTo(logitsOf(judge, ownIds('ho'))[0], 5)
  })

  it('reads the turns of an episode', async () => {
    const messages = [
      { role: 'assistant' as const, content: 'hi' },
      { role: 'user' as const, content: 'Sure?' },
      { role: 'assistant' as const, content: 'ho' },
    ]
    const [found] = await scored({ type: 'reward-model', model: at('judge') }, [
      { ...turns('ho'), episode: { messages, reward: null } },
    ])
    const prompt = [...question, ...messages.slice(0, 2)].map((turn) => ({ ...turn }))
    expect(found).toBeCloseTo(logitsOf(judge, ownIds('ho', prompt))[0], 5)
  })

  it('does not depend on batch or padding', async () => {
    const samples = answers.map(turns)
    for (const batchTokens of [1, 100, 4096]) {
      const [reward] = await openRewards([{ type: 'reward-model', model: at('judge'), batchTokens }], {
        tokenizer: policy,
      })
      const [check] = await checkRewards([reward], samples, { tolerance: 1e-5 })
      expect(check.constant).toBe(false)
    }
  })

  it('has its settings and its scale from its files', async () => {
    const [plain] = await scored({ type: 'reward-model', model: at('judge') }, [
      sample('ho', { prompt: 'How many ho?' }),
    ])
    const scaled = build('llama', 'reward', 268, { rewardScale: { mean: 0.5, deviation: 2 } })
    await saveModel(scaled, at('scaled'), { tokenizer: at('tokenizer') })
    const task = { task: 'reward', settings: { texts: 'turns' }, maxLength: 64 }
    await writeFile(at('scaled', 'task.json'), JSON.stringify(task))
    const raw = [sample('ho', { prompt: 'How many ho?' })]
    const logit = logitsOf(judge, ownIds('ho'))[0]
    expect(logit).not.toBeCloseTo(plain, 4)
    expect((await scored({ type: 'reward-model', model: at('scaled') }, raw))[0]).toBeCloseTo((logit - 0.5) / 2, 5)
    expect((await scored({ type: 'reward-model', model: at('scaled'), scale: false }, raw))[0]).toBeCloseTo(logit, 5)
  })

  it('is cached by its files', async () => {
    const [one] = await openRewards([{ type: 'reward-model', model: at('judge') }], { tokenizer: policy })
    const [same] = await openRewards([{ type: 'reward-model', model: at('judge'), weight: 2 }], { tokenizer: policy })
    await mkdir(at('judge', 'more'))
    const [still] = await openRewards([{ type: 'reward-model', model: at('judge') }], { tokenizer: policy })
    expect([same.identity, still.identity]).toEqual([one.identity, one.identity])
    await writeFile(at('judge', 'notes.txt'), 'changed')
    const [changed] = await openRewards([{ type: 'reward-model', model: at('judge') }], { tokenizer: policy })
    expect(changed.identity).not.toBe(one.identity)
  })

  it('is refused without a trained head', async () => {
    await saveModel(build('llama', 'causal-lm', 268), at('language'), { tokenizer: at('tokenizer') })
    for (const type of ['reward-model', 'classifier'] as const)
      await expect(scored({ type, model: at('language') }, [])).rejects.toThrow(/head is new and gives random numbers/)
    await expect(scored({ type: 'reward-model', model: at('nowhere') }, [])).rejects.toThrow(/nothing at/)
  })
})

describe('a reward model that is an adapter on the base of the policy', () => {
  it('shares the base in memory, and leaves the adapter of the policy as it was', async () => {
    await saveModel(build('llama', 'causal-lm', 268, {}, 5), at('base'), { tokenizer: at('tokenizer') })
    // The reward model: an adapter with a head of its own on that base.
    const other = withHead(await loadModel(at('base')), 'reward')
    other.head.initialize({ std: 0.15, generator: new Generator(3) })
    const trained = applyAdapter(other, { type: 'lora', rank: 2 })
    noGrad(() => {
      for (const values of trained.trainable.values()) values.add_(0.05)
    })
    await saveAdapter(trained, at('adapter'), { base: at('base') })
    const alone = await scored({ type: 'reward-model', model: at('adapter') }, answers.map(turns))
    expect(new Set(alone).size).toBe(answers.length)

    const model = await loadModel(at('base'))
    const before = logitsOf(model, [5, 6, 7])
    const own = applyAdapter(model, { type: 'lora', rank: 2 }, { name: 'policy' })
    noGrad(() => {
      for (const values of own.trainable.values()) values.add_(0.1)
    })
    const adapted = logitsOf(model, [5, 6, 7])
    expect(adapted).not.toEqual(before)
    const functions = await openRewards(
      [
        { type: 'reward-model', model: at('adapter') },
        { type: 'reward-model', model: at('adapter'), name: 'again', samplesPerCall: 2 },
      ],
      { tokenizer: policy, base: { model, folder: at('base') } },
    )
    expect(adaptersOf(model).names).toHaveLength(3)
    expect(adaptersOf(model).active).toEqual(['policy'])
    const { scores } = await scoreSamples(functions, answers.map(turns))
    for (const [i, { rewards }] of scores.entries()) {
      // Scores are rounded to five digits, which may differ in the last one.
      expect(rewards[0]).toBeCloseTo(alone[i], 4)
      expect(rewards[1]).toBeCloseTo(alone[i], 4)
    }
    expect(adaptersOf(model).active).toEqual(['policy'])
    expect(logitsOf(model, [5, 6, 7])).toEqual(adapted)
    for (const values of own.trainable.values()) expect(values.requiresGrad).toBe(true)
    await closeRewards(functions)
    expect(adaptersOf(model).names).toEqual(['policy'])
  })
})

describe('a classifier', () => {
  const texts = ['the film is good .', 'bad bad bad', 'so', 'a film']
  const expected = texts.map((text) => {
    const { ids, typeIds } = textTokenizer.encode(text)
    const logits = logitsOf(sentiment, ids, typeIds)
    const [, , positive] = logits
    const all = Math.log(logits.reduce((sum, value) => sum + Math.exp(value), 0))
    const probability = Math.exp(positive - all)
    return { probability, odds: Math.log(probability / (1 - probability)) }
  })
  // The first word is the prompt.
  const parts = texts.map((text) => {
    const [prompt, ...rest] = text.split(' ')
    return sample(rest.map((word) => ` ${word}`).join(''), { prompt })
  })

  it('gives 1 where the class is the most likely one', async () => {
    const { labels } = sentiment.headOptions
    const decisions = await Promise.all(
      labels.map((label) => scored({ type: 'classifier', model: at('sentiment'), label, output: 'decision' }, parts)),
    )
    for (const [i, text] of texts.entries()) {
      const { ids, typeIds } = textTokenizer.encode(text)
      const logits = logitsOf(sentiment, ids, typeIds)
      expect(decisions.map((one) => one[i])).toEqual(
        Array.from(logits, (value) => (value === Math.max(...logits) ? 1 : 0)),
      )
    }
  })

  it('gives the log-odds or the probability of a class, of prompt and answer or of the answer', async () => {
    const base = { type: 'classifier', model: at('sentiment'), label: 'positive' } as const
    const odds = await scored(base, parts)
    const shares = await scored({ ...base, output: 'probability' }, parts)
    for (const [i, one] of expected.entries()) {
      expect(odds[i]).toBeCloseTo(one.odds, 4)
      expect(shares[i]).toBeCloseTo(one.probability, 6)
    }
    const alone = await scored(
      { ...base, input: 'completion' },
      texts.map((text) => sample(text)),
    )
    expect(alone).toEqual(odds)
    const [pair] = await scored({ ...base, input: 'pair' }, [sample('good', { prompt: 'film' })])
    const { ids, typeIds } = textTokenizer.encode('film', { pair: 'good' })
    const [a, b, c] = logitsOf(sentiment, ids, typeIds)
    expect(pair).toBeCloseTo(c - Math.log(Math.exp(a) + Math.exp(b)), 4)
  })

  it('gives the number of a regressor, and the odds of a label of several', async () => {
    const number = build(
      'bert',
      'sequence-classification',
      words.length,
      { labels: ['score'], problemType: 'regression' },
      2,
    )
    await saveModel(number, at('number'), { tokenizer: at('words') })
    const { ids, typeIds } = textTokenizer.encode(texts[0])
    const [found] = await scored({ type: 'classifier', model: at('number') }, [parts[0]])
    expect(found).toBeCloseTo(logitsOf(number, ids, typeIds)[0], 5)
    const many = build(
      'bert',
      'sequence-classification',
      words.length,
      { labels: ['x', 'y'], problemType: 'multi-label' },
      3,
    )
    await saveModel(many, at('many'), { tokenizer: at('words') })
    const [y] = await scored({ type: 'classifier', model: at('many'), label: 'y' }, [parts[0]])
    expect(y).toBeCloseTo(logitsOf(many, ids, typeIds)[1], 5)
  })

  it('needs the class that is rewarded', async () => {
    const open = (label?: string) => scored({ type: 'classifier', model: at('sentiment'), label }, [])
    await expect(open()).rejects.toThrow(/Expected one of the labels negative, neutral, positive .* got none/)
    await expect(open('postive')).rejects.toThrow(/`positive`/)
  })
})
