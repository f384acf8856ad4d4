// Multiple choice by likelihood: the choice with the highest log-probability after the prompt under a causal model, as in the
// lm-evaluation-harness, without a trained head. Records are those of multiple-choice. @source Brown et al. 2020, arXiv:2005.14165, section 2.4; lm-eval 0.4.13
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
import type { PieceScore } from './scoring.ts'

const place = '{text}'

/** Settings of `evaluateRankedChoices`. */
export const rankedChoicesSchema = z.strictObject({
  prompt: z.string().default(place).describe('prompt before the choices; {text} is replaced by the text of the record'),
  delimiter: z.string().default(' ').describe('text between prompt and choice'),
  maxLength: z
    .int()
    .positive()
    .optional()
    .describe(
      'maximum tokens of context; longer prompts are truncated at the beginning (default: the context length of the model)',
    ),
  batchTokens: z.int().positive().default(4096).describe('tokens per batch, padding included'),
  seed: z.union([z.int(), z.string()]).default(0).describe('seed of the bootstrap'),
  resamples: z.int().positive().default(1000).describe('bootstrap resamples'),
  confidence: z.number().gt(0).lt(1).default(0.95).describe('confidence level of the intervals'),
})
/** Settings of `evaluateRankedChoices`, as given. */
export type RankedChoicesSettings = z.input<typeof rankedChoicesSchema>

/** The choices of a record, ranked. */
export interface RankedPrediction {
  id: string
  /** The choice with the highest log-probability: in total, and per character, byte and token. */
  choice: number
  choicePerCharacter: number
  choicePerByte: number
  choicePerToken: number
  /** In nats. */
  logProbabilities: number[]
  tokens: number[]
  /** Whether greedy decoding would give the choice. */
  greedy: boolean[]
}

/** Ranked choices with their scores. */
export interface RankedChoicesResult {
  metrics: ScoreIntervals
  predictions: RankedPrediction[]
  /** Prompts that were truncated at the beginning. */
  truncatedRecords: number
  seconds: number
}

/** Progress and cancellation. */
export interface RankedChoicesHooks {
  onProgress?(done: { records: number; of: number }): void
  signal?: AbortSignal
}

/** A prompt and a choice as tokens, split where the prompt ends; white space between them belongs to the choice. */
const encodePair = (tokenizer: Tokenizer, prompt: string, choice: string): { prompt: number[]; choice: number[] } => {
  const before = trimmedEnd(prompt)
  const text = prompt.slice(before.length) + choice
  if (before === '') {
    const start = tokenizer.special.bos ?? tokenizer.special.eos
    if (start === undefined)
      throw new ConfigError('An empty prompt needs a start or end token: use a tokenizer with one, or set `prompt`.')
    return { prompt: [start.id], choice: Array.from(tokenizer.encode(text, { addSpecialTokens: false }).ids) }
  }
  const alone = Array.from(tokenizer.encode(before).ids)
  return { prompt: alone, choice: Array.from(tokenizer.encode(before + text).ids).slice(alone.length) }
}

interface Group extends PromptContinuations {
  record: number
  /** Indices of the choices of its continuations. */
  choices: number[]
}

/** The choices of a record grouped by prompt; long prompts are truncated differently for each choice. */
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
    // The last token of the choice is no input of the model.
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

/** Shape of a batch of groups, padding included. */
const shapeOf = (groups: readonly PromptContinuations[]): { rows: number; length: number } => {
  const continuations = groups.flatMap((group) => group.continuations)
  const prompt = Math.max(...groups.map((group) => group.prompt.length))
  return { rows: continuations.length, length: prompt + Math.max(...continuations.map(({ length }) => length)) - 1 }
}

/** Batches of groups within the token limit and the model's positions. */
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

const argmaxOf = (values: readonly number[]): number => values.indexOf(Math.max(...values))

const predictionOf = (record: ChoiceRecord, found: readonly PieceScore[], tokens: number[]): RankedPrediction => {
  const sums = found.map(({ logProbability }) => logProbability)
  const per = (sizeOfChoice: (choice: string, i: number) => number) =>
    argmaxOf(sums.map((sum, i) => sum / sizeOfChoice(record.choices[i], i)))
  return {
    id: record.id,
    choice: argmaxOf(sums),
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
 * Accuracies of the choice by total log-probability (the harness's acc), per character (acc_norm), per byte (acc_bytes) and per token.
 * @throws DataError for a record without an answer
 */
export const scoreRankedChoices = (
  records: readonly ChoiceRecord[],
  predictions: readonly RankedPrediction[],
): ScoredUnits => {
  const rights = Object.entries(choiceFields).map(([metric, field]) => {
    const right = records.map(({ answer, file, line }, i) => {
      if (answer === undefined) throw new DataError('Expected a record with an answer, got one without.', file, line)
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

/** Ranks the choices of records. @throws ConfigError for a model that is not causal, DataError for a choice without tokens */
export const evaluateRankedChoices = async (
  model: Model,
  tokenizer: Tokenizer,
  records: readonly ChoiceRecord[],
  settings: RankedChoicesSettings = {},
  { onProgress, signal }: RankedChoicesHooks = {},
): Promise<RankedChoicesResult> => {
  const {
    maxLength: given,
    batchTokens,
    prompt,
    delimiter,
    ...intervals
  } = parseConfig(rankedChoicesSchema, settings, 'settings')
  if (!model.facts.causal || model.headType !== 'causal-lm')
    throw new ConfigError(
      `Expected a causal language model to rank choices, got ${model.definition.type} with the head ${model.headType}. Use the task multiple-choice for other models.`,
    )
  if (!prompt.includes(place)) throw new ConfigError(`Expected ${place} in \`prompt\`, got ${JSON.stringify(prompt)}.`)
  const most = model.facts.maxPositions
  if (given !== undefined && most !== undefined && given > most)
    throw new ConfigError(
      `Expected at most ${most} for \`maxLength\`, the positions of the model, got ${given}. Lower it.`,
    )
  const maxLength = given ?? contextLength(model) ?? tokenizer.maxLength ?? 2048
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
      scoreContinuations(model, batch).forEach((scores, k) => {
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
