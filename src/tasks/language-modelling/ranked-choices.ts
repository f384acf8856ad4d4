// Which of several texts a causal model finds likeliest after another one, as the lm-evaluation-harness asks: no head is trained, the model
// is used as it is. Records are those of multiple-choice. @source Brown et al. 2020, arXiv:2005.14165, section 2.4; lm-eval 0.4.13
import { setImmediate } from 'node:timers/promises'
import { z } from 'zod'
import { ConfigError, DataError, parseConfig } from '../../core/index.ts'
import { contextLength, type Model } from '../../models/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { type ScoreIntervals, scoreIntervals } from '../metrics/resampling.ts'
import type { ScoredUnits } from '../metrics/scored-units.ts'
import { trimmedEnd } from '../metrics/white-space.ts'
import type { ChoiceRecord } from '../multiple-choice.ts'
import { type PromptContinuations, scoreContinuations } from './continuations.ts'
import type { PieceScore, ScoredModel } from './scoring.ts'

const place = '{text}'

export const rankedChoicesSchema = z.strictObject({
  prompt: z
    .string()
    .default(place)
    .describe('what stands before the choices; {text} stands for the text of the record'),
  delimiter: z.string().default(' ').describe('between prompt and choice'),
  maxLength: z
    .int()
    .positive()
    .optional()
    .describe(
      'tokens that the model sees at most; longer prompts lose their beginning; what it was trained with unless given',
    ),
  batchTokens: z.int().positive().default(4096).describe('tokens in a batch, padding included'),
  seed: z.union([z.int(), z.string()]).default(0).describe('of the intervals'),
  resamples: z.int().positive().default(1000).describe('draws of the bootstrap behind the intervals'),
  confidence: z.number().gt(0).lt(1).default(0.95).describe('of the intervals'),
})
export type RankedChoicesSettings = z.input<typeof rankedChoicesSchema>

export interface RankedPrediction {
  id: string
  /** By the sum of log probabilities, and by it divided by the choice's characters, bytes and tokens. */
  choice: number
  choicePerCharacter: number
  choicePerByte: number
  choicePerToken: number
  /** In nats. */
  logProbabilities: number[]
  tokens: number[]
  /** Whether the model would have written the choice itself, by the likeliest token each time. */
  greedy: boolean[]
}

export interface RankedChoicesResult {
  metrics: ScoreIntervals
  predictions: RankedPrediction[]
  /** Prompts that lost their beginning. */
  truncatedRecords: number
  seconds: number
}

export interface RankedChoicesHooks {
  onProgress?(done: { records: number; of: number }): void
  signal?: AbortSignal
}

/** A prompt and a choice as tokens: cut where the prompt alone ends, with spaces between them on the choice's side. */
const encodePair = (tokenizer: Tokenizer, prompt: string, choice: string): { prompt: number[]; choice: number[] } => {
  const before = trimmedEnd(prompt)
  const text = prompt.slice(before.length) + choice
  if (before === '') {
    const start = tokenizer.special.bos ?? tokenizer.special.eos
    if (start === undefined)
      throw new ConfigError('Expected a start or end token of the tokenizer for an empty prompt, got neither.')
    return { prompt: [start.id], choice: Array.from(tokenizer.encode(text, { addSpecialTokens: false }).ids) }
  }
  const alone = Array.from(tokenizer.encode(before).ids)
  return { prompt: alone, choice: Array.from(tokenizer.encode(before + text).ids).slice(alone.length) }
}

interface Group extends PromptContinuations {
  record: number
  /** Which choices its continuations are. */
  choices: number[]
}

/** The choices of a record by the prompt that is left for them, which for all but long ones is the same. */
const groupsOf = (
  tokenizer: Tokenizer,
  { text, choices, file, line }: ChoiceRecord,
  record: number,
  { prompt: form, delimiter, maxLength }: { prompt: string; delimiter: string; maxLength: number },
): { groups: Group[]; truncated: boolean } => {
  const groups: (Group & { prompt: number[]; continuations: number[][] })[] = []
  let truncated = false
  choices.forEach((choice, i) => {
    const pair = encodePair(
      tokenizer,
      form.replaceAll(place, () => text),
      delimiter + choice,
    )
    if (pair.choice.length === 0 || pair.choice.length > maxLength)
      throw new DataError(
        `Expected choices of 1 to ${maxLength} tokens, got ${pair.choice.length} for choice ${i}.`,
        file,
        line,
      )
    // The model reads all but the last token of prompt and choice.
    const excess = Math.max(0, pair.prompt.length + pair.choice.length - (maxLength + 1))
    truncated ||= excess > 0
    const prompt = pair.prompt.slice(excess)
    const same = groups.find(
      (group) => group.prompt.length === prompt.length && prompt.every((id, k) => id === group.prompt[k]),
    )
    if (same === undefined) groups.push({ record, prompt, continuations: [pair.choice], choices: [i] })
    else {
      same.continuations.push(pair.choice)
      same.choices.push(i)
    }
  })
  return { groups, truncated }
}

/** Places of a row in a batch of groups, padding included, and rows. */
const shapeOf = (groups: readonly PromptContinuations[]): { rows: number; length: number } => {
  const continuations = groups.flatMap((group) => group.continuations)
  const prompt = Math.max(...groups.map((group) => group.prompt.length))
  return { rows: continuations.length, length: prompt + Math.max(...continuations.map(({ length }) => length)) - 1 }
}

/** Groups that go together: within the tokens of a batch, and padded within the model's positions. */
function* batchesOf(
  groups: readonly Group[],
  batchTokens: number,
  maxPositions = Number.POSITIVE_INFINITY,
): Generator<readonly Group[]> {
  for (let from = 0, to = 0; from < groups.length; from = to) {
    for (to = from + 1; to < groups.length; to++) {
      const { rows, length } = shapeOf(groups.slice(from, to + 1))
      if (rows * length > batchTokens || length > maxPositions) break
    }
    yield groups.slice(from, to)
  }
}

const likeliest = (values: readonly number[]): number => values.indexOf(Math.max(...values))

const predictionOf = (record: ChoiceRecord, found: readonly PieceScore[], tokens: number[]): RankedPrediction => {
  const sums = found.map(({ logProbability }) => logProbability)
  const per = (sizeOfChoice: (choice: string, i: number) => number) =>
    likeliest(sums.map((sum, i) => sum / sizeOfChoice(record.choices[i], i)))
  return {
    id: record.id,
    choice: likeliest(sums),
    // A character is a code point, as in the harness.
    choicePerCharacter: per((choice) => [...choice].length),
    choicePerByte: per((choice) => Buffer.byteLength(choice)),
    choicePerToken: per((_, i) => tokens[i]),
    logProbabilities: sums.map((sum) => Math.round(sum * 1e5) / 1e5),
    tokens,
    greedy: found.map(({ correct }, i) => correct === tokens[i]),
  }
}

const choiceFields = {
  accuracy: 'choice',
  accuracyPerCharacter: 'choicePerCharacter',
  accuracyPerByte: 'choicePerByte',
  accuracyPerToken: 'choicePerToken',
} as const

/**
 * Shares of right choices: by sum (the harness's acc), by character (acc_norm), by byte (acc_bytes), by token.
 * @throws DataError for a record without an answer
 */
export const scoreRankedChoices = (
  records: readonly ChoiceRecord[],
  predictions: readonly RankedPrediction[],
): ScoredUnits => {
  const rights = Object.entries(choiceFields).map(([metric, field]) => {
    const right = records.map(({ answer, file, line }, i) => {
      if (answer === undefined) throw new DataError('Expected records with an answer, got one without.', file, line)
      return Number(predictions[i][field] === answer)
    })
    return [metric, right] as const
  })
  return {
    units: records.length,
    scores(counts) {
      const all = counts === undefined ? records.length : Array.from(counts).reduce((sum, count) => sum + count, 0)
      return Object.fromEntries(
        rights.map(([metric, right]) => [
          metric,
          right.reduce((sum, one, i) => sum + one * (counts === undefined ? 1 : counts[i]), 0) / all,
        ]),
      )
    },
    details: () => ({}),
  }
}

/** @throws ConfigError for a model that is not causal, DataError for a choice without tokens */
export const evaluateRankedChoices = async (
  model: Model,
  tokenizer: Tokenizer,
  records: readonly ChoiceRecord[],
  settings: RankedChoicesSettings = {},
  { onProgress, signal }: RankedChoicesHooks = {},
): Promise<RankedChoicesResult> => {
  const {
    maxLength: asked,
    batchTokens,
    prompt,
    delimiter,
    ...intervals
  } = parseConfig(rankedChoicesSchema, settings, 'settings')
  if (!model.facts.causal || model.headType !== 'causal-lm')
    throw new ConfigError(
      `Expected a causal language model to rank choices, got ${model.definition.type} with the head ${model.headType}. Use the task multiple-choice for others.`,
    )
  if (!prompt.includes(place)) throw new ConfigError(`Expected ${place} in \`prompt\`, got ${JSON.stringify(prompt)}.`)
  const most = model.facts.maxPositions
  if (asked !== undefined && most !== undefined && asked > most)
    throw new ConfigError(`Expected at most ${most} for \`maxLength\`, all that the model has, got ${asked}.`)
  const maxLength = asked ?? contextLength(model) ?? tokenizer.maxLength ?? 2048
  const started = performance.now()
  const found = records.map(({ choices }) => choices.map((): PieceScore => ({ logProbability: 0, correct: 0 })))
  const tokens = records.map(({ choices }) => choices.map(() => 0))
  const groups: Group[] = []
  let truncatedRecords = 0
  for (const [i, record] of records.entries()) {
    if (i % 64 === 0) await setImmediate()
    signal?.throwIfAborted()
    const made = groupsOf(tokenizer, record, i, { prompt, delimiter, maxLength })
    groups.push(...made.groups)
    truncatedRecords += Number(made.truncated)
  }
  groups.sort((a, b) => b.prompt.length - a.prompt.length)
  const wasTraining = model.training
  model.eval()
  let done = 0
  try {
    for (const batch of batchesOf(groups, batchTokens, most)) {
      await setImmediate()
      signal?.throwIfAborted()
      scoreContinuations(model as unknown as ScoredModel, batch).forEach((scores, k) => {
        const { record, choices, continuations } = batch[k]
        choices.forEach((choice, c) => {
          found[record][choice] = scores[c]
          tokens[record][choice] = continuations[c].length
        })
      })
      done += batch.length
      onProgress?.({ records: Math.floor((done / groups.length) * records.length), of: records.length })
    }
  } finally {
    if (wasTraining) model.train()
  }
  const predictions = records.map((record, i) => predictionOf(record, found[i], tokens[i]))
  return {
    metrics: scoreIntervals(scoreRankedChoices(records, predictions), intervals),
    predictions,
    truncatedRecords,
    seconds: (performance.now() - started) / 1000,
  }
}
