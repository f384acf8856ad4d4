// Reward models: a score for each answer to a prompt, learned from answers that people compared or rated.
// @source Stiennon et al. 2020, arXiv:2009.01325; Ouyang et al. 2022, arXiv:2203.02155
import { z } from 'zod'
import { ConfigError, show } from '../core/index.ts'
import { turnsFrom } from './generative/messages.ts'
import { splitLastAnswer } from './generative/turns.ts'
import { rounded } from './learning/probabilities.ts'
import { createRewardCriterion, type RewardExample, splitScores } from './learning/reward-criterion.ts'
import { RewardScores, rewardScoreNames } from './metrics/reward-scores.ts'
import { GrowingList } from './metrics/scored-units.ts'
import { createRewardEncoder, joinSequences } from './preferences/completion-encoder.ts'
import { type RewardAnswers, rewardAnswersIn, rewardForms, unlabelledAnswersIn } from './preferences/reward-forms.ts'
import { alignmentFields, comparisonFields, ratingFields } from './preferences/settings.ts'
import { readSifted, withoutContradictions } from './preferences/sift.ts'
import { contentOf, dialogueTurns, isDialogue, type PromptText, turnsOf } from './preferences/texts.ts'
import { preferenceDatasets } from './records/known-datasets.ts'
import { recordsAlone } from './records/statistics.ts'
import { defineTask, type TaskPrediction, type TaskRecord } from './task.ts'

const config = z.strictObject({
  ...alignmentFields,
  ...comparisonFields,
  ...ratingFields,
  form: z
    .enum(['auto', ...rewardForms])
    .default('auto')
    .describe(
      'form of a row: pairs (chosen and rejected), dialogues (whole ones, as in hh-rlhf), scores (a list of answers), a message tree, ratings (an answer with a label), or steps (each with a label); auto: by the columns',
    ),
  stepLabels: z.string().default('labels').describe('column with a label for each step, true or false'),
  separator: z.string().default('\n').describe('text between the steps of an answer'),
  category: z.string().optional().describe('column with a category, whose accuracy is reported on its own'),
  template: z
    .string()
    .optional()
    .describe('chat template of decoders: a preset or Jinja source (default: that of the tokenizer, else plain)'),
  system: z.string().optional().describe('system prompt of conversations without one'),
  tooLong: z
    .enum(['truncate', 'drop', 'error'])
    .default('truncate')
    .describe(
      'prompts and answers longer than maxLength: truncate the start of prompts and the end of answers, drop and count them, or stop with an error',
    ),
  maxPromptLength: z.int().positive().optional().describe('maximum tokens of a prompt (default: maxLength)'),
  centering: z
    .number()
    .nonnegative()
    .default(0)
    .describe('weight of the squared sum of both scores of a pair, which keeps scores around 0; 0.01 is usual'),
})
type Config = z.output<typeof config>

/** Answers to a prompt, compared, rated, or to be scored. */
export interface RewardRecord extends TaskRecord, RewardAnswers {
  category?: string
}

/** One reward for each answer of the record, in their order. */
export interface RewardPrediction extends TaskPrediction {
  /** On the scale of the model, if it has one: 0 is the mean of good answers, 1 their standard deviation. NaN for a dropped answer. */
  rewards: readonly number[]
  /** As the head gives them. */
  logits?: readonly number[]
}

/** Pairs of answers of which the first has the higher score. */
const pairsOf = (scores: readonly number[] | undefined): [number, number][] =>
  (scores ?? []).flatMap((score, i) =>
    (scores ?? []).flatMap((other, j): [number, number][] => (score > other ? [[i, j]] : [])),
  )

/** The answers of a record that were compared. */
const comparedIn = ({ prompt, answers, scores }: RewardAnswers) =>
  scores && { prompt, answers: answers.map((completion, i) => ({ completion, score: scores[i] })) }

/** The best answers: those of the highest score, or those that were rated good. */
const areGood = ({ answers, scores, good }: RewardAnswers): readonly boolean[] => {
  if (good !== undefined) return good
  const best = Math.max(...(scores ?? []))
  return answers.map((_, i) => scores?.[i] === best)
}

const isFinitePrediction = ({ rewards, logits = rewards }: RewardPrediction, { answers }: RewardAnswers): boolean =>
  rewards.length === answers.length && [...rewards, ...logits].every(Number.isFinite)

const onScale = (logits: readonly number[], scale: { mean: number; deviation: number } | undefined): number[] =>
  // Predictions that were written as JSON have null for NaN, the reward of an answer that is too long.
  logits.map((logit) =>
    scale === undefined || logit === null ? logit : rounded((logit - scale.mean) / scale.deviation),
  )

/**
 * Prompt and answer of an input: `prompt` and `completion`, `messages` that end with the answer or that `completion` follows, or the
 * answer alone as `text`, which may be a whole dialogue with "Human:" and "Assistant:".
 */
const answerFromInput = (
  { text, prompt = '', completion, messages }: { [name: string]: unknown },
  { texts }: Pick<Config, 'texts'>,
): { prompt: PromptText; answer: PromptText } => {
  const list = messages ?? (isDialogue(text) ? dialogueTurns(text) : undefined)
  if (list !== undefined) {
    const turns = turnsFrom(list, 'messages')
    if ('fault' in turns) throw new ConfigError(turns.fault.message)
    const last = completion === undefined ? [] : turnsOf(String(completion), 'assistant')
    const split = splitLastAnswer([...turns.value, ...last])
    if ('fault' in split) throw new ConfigError(split.fault.message)
    return { prompt: split.value.turns, answer: [split.value.answer] }
  }
  const answer = completion ?? text
  const name = completion === undefined ? 'text' : 'completion'
  if (typeof answer !== 'string' || answer.trim() === '')
    throw new ConfigError(`Expected a text for \`${name}\`, got ${show(answer)}.`)
  if (typeof prompt !== 'string') throw new ConfigError(`Expected a text for \`prompt\`, got ${show(prompt)}.`)
  if (texts !== 'turns' || prompt.trim() === '') return { prompt, answer }
  return { prompt: turnsOf(prompt, 'user'), answer: turnsOf(answer, 'assistant') }
}

export const reward = defineTask<Config, RewardRecord, RewardExample, RewardPrediction, 'reward'>({
  type: 'reward',
  source: 'arXiv:2203.02155 (InstructGPT)',
  summary: 'a score for each answer to a prompt, learned from preferences or ratings',
  config,
  head: 'reward',
  maxLength: 1024,
  datasets: preferenceDatasets,
  dataSettings: [
    ...Object.keys({ ...alignmentFields, ...comparisonFields, ...ratingFields }),
    'form',
    'stepLabels',
    'separator',
    'category',
  ],
  mainMetric: () => 'accuracy',
  metricNames: () => [...rewardScoreNames],
  async read(path, settings, { labelled = true, signal } = {}) {
    const { category, maxSkipped } = settings
    const data = await readSifted<RewardAnswers, Pick<RewardRecord, 'category'>>(
      path,
      settings,
      {
        columns: { category },
        sifted: (row) => (labelled ? rewardAnswersIn : unlabelledAnswersIn)(row, settings),
        more({ values }) {
          const named = category === undefined ? undefined : values[category]
          return named === undefined || named === null ? {} : { category: String(named) }
        },
      },
      signal,
    )
    return withoutContradictions(data, comparedIn, maxSkipped, path)
  },
  answerFields: ['scores', 'good'],
  statistics: recordsAlone,
  recordFromInput(fields, id, settings) {
    const { prompt, answer } = answerFromInput(fields, settings)
    return { id, file: 'input', line: undefined, prompt, answers: [answer] }
  },
  headOptions: () => ({ labels: ['reward'] }),
  prepare(tokenizer, settings, { maxLength = 1024, headOptions, facts }) {
    const { template, system, tooLong, maxPromptLength = maxLength, centering, maxSkipped } = settings
    const limits = { maxLength, maxPromptLength: Math.min(maxPromptLength, maxLength), tooLong }
    const encoder = createRewardEncoder(tokenizer, facts, { template, system, ...limits }, headOptions)
    const encodeAnswer = (prompt: PromptText, answer: PromptText, record: TaskRecord) =>
      encoder.completion(prompt, answer, { file: record.file, line: record.line })
    return {
      criterion: createRewardCriterion({ padId: tokenizer.special.pad?.id ?? 0, centering }),
      rows: {
        kind: 'choice',
        outputs: 1,
        pairs: ({ pairs }) => pairs,
        targets: ({ good, pairs, starts }) => {
          const wins = new Set(pairs.map(([better]) => better))
          const losses = new Set(pairs.map(([, worse]) => worse))
          // An answer between others is neither right nor wrong.
          return starts.map((_, i) => {
            if (good !== undefined) return Number(good[i])
            return wins.has(i) === losses.has(i) ? Number.NaN : Number(wins.has(i))
          })
        },
      },
      maxSkipped,
      get skipped() {
        return encoder.skipped
      },
      get notes() {
        return encoder.notes
      },
      encode(record) {
        const { prompt, answers, scores, good, margin = 0 } = record
        const sequences = answers.map((answer) => encodeAnswer(prompt, answer, record))
        const kept = sequences.flatMap((one, i) => (one === undefined ? [] : [i]))
        const pairs = pairsOf(scores && kept.map((i) => scores[i]))
        if (kept.length === 0 || (scores !== undefined && pairs.length === 0)) return []
        return [
          {
            ...joinSequences(sequences.filter((one) => one !== undefined)),
            pairs,
            margin,
            good: good && kept.map((i) => good[i]),
            kept,
          },
        ]
      },
      split: splitScores,
      decode({ id, answers }, [output]) {
        const logits = answers.map(() => Number.NaN)
        output?.example.kept.forEach((answer, i) => {
          logits[answer] = rounded(output.logits[i])
        })
        return { id, rewards: onScale(logits, headOptions.rewardScale), logits }
      },
    }
  },
  afterTraining() {
    const good = new GrowingList()
    return {
      add(record, prediction) {
        if (!isFinitePrediction(prediction, record)) return
        const best = areGood(record)
        for (const [answer, logit] of (prediction.logits ?? []).entries()) if (best[answer]) good.push(logit)
      },
      finish() {
        const logits = good.values()
        const mean = logits.reduce((sum, logit) => sum + logit, 0) / logits.length
        const variance = logits.reduce((sum, logit) => sum + (logit - mean) ** 2, 0) / (logits.length - 1)
        // Fewer than two answers, or equal ones, have no scale.
        if (!(variance > 0)) return { headOptions: {} }
        const rewardScale = { mean: rounded(mean), deviation: rounded(Math.sqrt(variance)) }
        return {
          headOptions: { rewardScale },
          predict: (one) => ({ ...one, rewards: onScale(one.logits ?? [], rewardScale) }),
        }
      },
    }
  },
  parsePrediction(fields, { id, answers }) {
    const numbers = (value: unknown): number[] | undefined => {
      const list: unknown[] = Array.isArray(value) ? value : [value]
      const found = list.map((one) => (typeof one === 'number' ? one : Number.NaN))
      return found.length === answers.length && found.every(Number.isFinite) ? found : undefined
    }
    const given = fields.rewards ?? fields.reward ?? fields.scores ?? fields.score ?? fields.prediction
    const rewards = numbers(given)
    if (rewards === undefined)
      throw new ConfigError(
        `Expected ${answers.length} numbers for \`rewards\`, one for each answer, got ${show(given)}.`,
      )
    const logits = numbers(fields.logits)
    return { id, rewards, ...(logits === undefined ? {} : { logits }) }
  },
  baselines: (_, __, random) => [
    {
      name: 'longer answer',
      predict: ({ id, answers }) => ({ id, rewards: answers.map((one) => contentOf(one).length) }),
    },
    {
      name: 'random reward',
      predict: ({ id, answers }) => ({ id, rewards: answers.map(() => random.float() - 0.5) }),
    },
  ],
  scorer() {
    const scores = new RewardScores()
    return {
      add(record, prediction) {
        if (!isFinitePrediction(prediction, record)) return
        const { answers, scores: given, good, category } = record
        const { rewards, logits } = prediction
        const lengths = answers.map((one) => contentOf(one).length)
        scores.add({ rewards, logits, lengths, pairs: pairsOf(given), good, category })
      },
      units: () => scores,
    }
  },
})
