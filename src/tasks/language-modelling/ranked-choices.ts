// Multiple choice by likelihood: the choice with the highest log-probability after the prompt under a causal model, as in the
// lm-evaluation-harness, without a trained head. Records are those of multiple-choice. @source Brown et al. 2020, arXiv:2005.14165, section 2.4; lm-eval 0.4.13

import { z } from 'zod'
import { ConfigError, DataError, parseConfig } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { bootstrapFields } from '../metrics/bootstrap.ts'
import { type ScoreIntervals, scoreIntervals } from '../metrics/resampling.ts'
import type { ScoredUnits } from '../metrics/scored-units.ts'
import type { ChoiceRecord } from '../multiple-choice.ts'
import type { WorkHooks } from '../task.ts'
import { type ContinuationScore, scoreRequests } from './score-requests.ts'

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
  ...bootstrapFields,
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
export interface RankedChoicesHooks extends WorkHooks {
  onProgress?(done: { records: number; of: number }): void
}

const argmaxOf = (values: readonly number[]): number => values.indexOf(Math.max(...values))

const predictionOf = (record: ChoiceRecord, found: readonly ContinuationScore[]): RankedPrediction => {
  const sums = found.map(({ logProbability }) => logProbability)
  const per = (sizeOfChoice: (choice: string, i: number) => number) =>
    argmaxOf(sums.map((sum, i) => sum / sizeOfChoice(record.choices[i], i)))
  return {
    id: record.id,
    choice: argmaxOf(sums),
    // A character is a code point, as in the harness.
    choicePerCharacter: per((choice) => [...choice].length),
    choicePerByte: per((choice) => Buffer.byteLength(choice)),
    choicePerToken: per((_, i) => found[i].tokens),
    logProbabilities: sums.map((sum) => Math.round(sum * 1e5) / 1e5),
    tokens: found.map(({ tokens }) => tokens),
    greedy: found.map(({ greedy }) => greedy),
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
  { onProgress, signal, group }: RankedChoicesHooks = {},
): Promise<RankedChoicesResult> => {
  const { maxLength, batchTokens, prompt, delimiter, ...intervals } = parseConfig(
    rankedChoicesSchema,
    settings,
    'settings',
  )
  if (!prompt.includes(place)) throw new ConfigError(`Expected ${place} in \`prompt\`, got ${JSON.stringify(prompt)}.`)
  const started = performance.now()
  const requests = records.map(({ text, choices, file, line }) => {
    const context = prompt.replaceAll(place, () => text)
    return choices.map((choice) => ({ context, continuation: delimiter + choice, file, line }))
  })
  const { scores, truncated } = await scoreRequests(
    model,
    tokenizer,
    requests,
    { maxLength, batchTokens },
    {
      signal,
      group,
      onProgress: (done) => onProgress?.({ records: done, of: records.length }),
    },
  )
  const predictions = records.map((record, i) => predictionOf(record, scores[i]))
  return {
    metrics: scoreIntervals(scoreRankedChoices(records, predictions), intervals),
    predictions,
    truncatedRecords: truncated,
    seconds: (performance.now() - started) / 1000,
  }
}
