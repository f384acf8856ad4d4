// Rewards that are models: the log-odds, the probability or the choice of a class, or the number of any classifier or regressor of texts;
// and the score of a reward model.
import { setImmediate } from 'node:timers/promises'
import { z } from 'zod'
import { ConfigError, didYouMean, invariant } from '../../../core/index.ts'
import { planMicroBatches } from '../../../data/index.ts'
import type { HeadOptions, Model } from '../../../models/index.ts'
import { mustPad, positionsIn } from '../../../objectives/index.ts'
import {
  type ClassificationRecord,
  expectDiscriminative,
  type PromptText,
  predictTask,
  type RewardRecord,
  taskConfig,
  taskMaxLength,
  tasks,
  turnsOf,
} from '../../../tasks/index.ts'
import { inferenceMode, scope } from '../../../tensor/index.ts'
import type { Tokenizer } from '../../../tokenizers/index.ts'
import { defineReward, type RewardSample } from '../reward.ts'
import { judgeFields, loadJudge, plainText, promptAndAnswer } from './judge.ts'

interface Texts {
  text: string
  pair: string | undefined
}

type ReadTexts = (sample: RewardSample) => Texts

const inputs: { readonly [input in 'text' | 'completion' | 'pair']: ReadTexts } = {
  completion: ({ completion }) => ({ text: completion, pair: undefined }),
  text(sample) {
    const { prompt, answer } = promptAndAnswer(sample)
    // An answer in raw text continues the prompt; one in turns follows it.
    const between = typeof prompt === 'string' ? '' : '\n'
    return { text: plainText(prompt) + between + plainText(answer), pair: undefined }
  },
  pair(sample) {
    const { prompt, answer } = promptAndAnswer(sample)
    return { text: plainText(prompt), pair: plainText(answer) }
  },
}

const logSumExp = (values: readonly number[]): number => {
  const high = Math.max(...values)
  return high + Math.log(values.reduce((sum, value) => sum + Math.exp(value - high), 0))
}

/** What the odds of a class become; `margin` is its logit above the best of the others, or above even odds. */
const outputs = {
  'log-odds': (odds: number) => odds,
  probability: (odds: number) => 1 / (1 + Math.exp(-odds)),
  decision: (_odds: number, margin: number) => (margin > 0 ? 1 : 0),
}

type ReadLogits = (logits: Float32Array) => number

/** @throws ConfigError without a class where the model has several */
const readerOf = (
  { labels, problemType }: HeadOptions,
  label: string | undefined,
  output: keyof typeof outputs,
): ReadLogits => {
  if (problemType === 'regression') return ([value]) => value
  const target = label === undefined ? -1 : labels.indexOf(label)
  if (target < 0)
    throw new ConfigError(
      `Expected one of the labels ${labels.join(', ')} for \`label\` of the reward \`classifier\`, got ${label ?? 'none'}.${label === undefined ? ' Name the class that is to be rewarded.' : didYouMean(label, labels)}`,
    )
  const rewardOf = outputs[output]
  if (problemType === 'multi-label') return (logits) => rewardOf(logits[target], logits[target])
  return (logits) => {
    const others = Array.from(logits).filter((_, i) => i !== target)
    return rewardOf(logits[target] - logSumExp(others), logits[target] - Math.max(...others))
  }
}

/** Encodes texts as in the fine-tuning of the model, and computes their logits. */
const logitsOf = async (
  model: Model,
  tokenizer: Tokenizer,
  texts: readonly Texts[],
  { maxLength, batchTokens, signal }: { maxLength: number; batchTokens: number; signal: AbortSignal },
): Promise<Float32Array[]> => {
  const task = tasks['sequence-classification']
  const { headOptions, facts } = model
  // The encoding and the collation are those of any head with one row of logits per text.
  const config = taskConfig(task, headOptions.problemType === 'multi-label' ? { multiLabel: true } : {})
  const prepared = expectDiscriminative(task.prepare(tokenizer, config, { maxLength, headOptions, facts }))
  const records = texts.map(
    (one, i): ClassificationRecord => ({ id: String(i), file: 'answers', line: undefined, labels: undefined, ...one }),
  )
  const { criterion } = prepared
  const examples = records.map((record) => prepared.encode(record)[0])
  const padded = mustPad(criterion, model)
  const lengths = examples.map(positionsIn(criterion, model))
  const { device } = model.body.embedTokens
  const logits: Float32Array[] = []
  const { training } = model
  model.eval()
  try {
    for (const part of planMicroBatches(lengths, batchTokens, padded)) {
      await setImmediate()
      signal.throwIfAborted()
      const rows = inferenceMode(() =>
        scope(() => {
          const batch = criterion.collate(
            part.map((i) => examples[i]),
            { padded, device },
          )
          const { logits: all } = model.forward(batch.inputs)
          return prepared.split(all.to('float32'), batch).map((row) => row.slice())
        }),
      )
      for (const [k, i] of part.entries()) logits[i] = rows[k]
    }
  } finally {
    if (training) model.train()
  }
  invariant(logits.length === texts.length, 'every text is in one micro-batch.')
  return logits
}

export const classifier = defineReward({
  type: 'classifier',
  source: 'arXiv:1909.08593',
  summary: 'The log-odds, the probability or the choice of a class of a classifier, or the number of a regressor.',
  config: z.strictObject({
    ...judgeFields,
    label: z.string().optional().describe('class that is rewarded, as the model names it; not needed for regression'),
    output: z
      .enum(['log-odds', 'probability', 'decision'])
      .default('log-odds')
      .describe(
        'reward: log-odds of the class, which never saturate, its probability, or 1 where it is the most likely class and 0 elsewhere',
      ),
    input: z
      .enum(['text', 'completion', 'pair'])
      .default('text')
      .describe('classified text: prompt and answer as one text, the answer alone, or both as a pair of texts'),
  }),
  cached: true,
  limits: { concurrency: 1, timeoutSeconds: 3600 },
  async open({ label, output, input, maxLength, batchTokens, ...choice }, context) {
    const judge = await loadJudge(choice, ['sequence-classification'], 'classifier', context)
    const { model, tokenizer, task } = judge
    const read = readerOf(model.headOptions, label, output)
    const length =
      maxLength ??
      task?.maxLength ??
      model.headOptions.maxTokens ??
      taskMaxLength(model, tokenizer, tasks['sequence-classification'])
    return {
      identity: judge.identity,
      usesModel: true,
      close: () => judge.close(),
      async score(samples, { signal }) {
        const texts = samples.map(inputs[input])
        const logits = await judge.use((active) =>
          logitsOf(active, tokenizer, texts, { maxLength: length, batchTokens, signal }),
        )
        return logits.map(read)
      },
    }
  },
})

// @source arXiv:2203.02155
const forms: {
  readonly [form in 'auto' | 'raw' | 'turns']: (prompt: PromptText, answer: PromptText) => [PromptText, PromptText]
} = {
  auto: (prompt, answer) => [prompt, answer],
  raw: (prompt, answer) => [plainText(prompt), plainText(answer)],
  turns: (prompt, answer) => [turnsOf(prompt, 'user'), turnsOf(answer, 'assistant')],
}

export const rewardModel = defineReward({
  type: 'reward-model',
  source: 'arXiv:2203.02155',
  summary: 'The score of a reward model, on its own scale.',
  config: z.strictObject({
    ...judgeFields,
    texts: z
      .enum(['auto', 'raw', 'turns'])
      .optional()
      .describe(
        'what the model reads: raw text, turns through its own chat template, or auto, as the prompts are (default: as in fine-tuning)',
      ),
    template: z.string().optional().describe('chat template of the reward model (default: its own)'),
    scale: z
      .boolean()
      .default(true)
      .describe('scale scores as in the files of the model: 0 is the mean of good answers, 1 their standard deviation'),
  }),
  cached: true,
  limits: { concurrency: 1, timeoutSeconds: 3600 },
  async open({ texts, template, scale, maxLength, batchTokens, ...choice }, context) {
    const judge = await loadJudge(choice, ['reward'], 'reward-model', context)
    const fineTuned = judge.task?.task === tasks.reward.type ? judge.task : undefined
    const known = fineTuned?.settings ?? {}
    const config = taskConfig(tasks.reward, { template, tooLong: 'truncate' }, undefined, known)
    const form = forms[texts ?? config.texts]
    const recordOf = (sample: RewardSample, index: number): RewardRecord => {
      const { file, line } = sample.record
      const { prompt, answer } = promptAndAnswer(sample)
      const [question, completion] = form(prompt, answer)
      return { id: String(index), file, line, prompt: question, answers: [completion] }
    }
    return {
      identity: judge.identity,
      usesModel: true,
      close: () => judge.close(),
      score: (samples, { signal }) =>
        judge.use(async (model) => {
          const settings = { batchTokens, signal, maxLength: maxLength ?? fineTuned?.maxLength }
          const { predictions } = await predictTask(
            model,
            judge.tokenizer,
            tasks.reward,
            samples.map(recordOf),
            config,
            settings,
          )
          // An answer that the encoder drops is NaN, which is a failure and no reward.
          return predictions.map(({ rewards, logits = rewards }) => (scale ? rewards : logits)[0])
        }),
    }
  },
})
