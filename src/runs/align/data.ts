// The kinds of data that objectives learn from: how each is read, encoded and scored. Independent of objectives.
import type { z } from 'zod'
import {
  type CompletionTokens,
  type PreferenceDefinition,
  type PreferencePair,
  pairOf,
  type RatedCompletion,
} from '../../alignment/index.ts'
import { parseConfig } from '../../core/index.ts'
import {
  type CompletionEncoder,
  type PreferenceRecord,
  type PromptText,
  preferenceSchema,
  type RatingRecord,
  ratingSchema,
  readPreferences,
  readRatings,
  type TaskData,
  type TaskExample,
  type TaskRecord,
  taskSettingFields,
} from '../../tasks/index.ts'
import { type AlignmentScores, pairScores, ratingScores } from './scores.ts'

/** A kind of data: records, their examples, and the scores of a model on them. */
export interface AlignmentData<Record extends TaskRecord = TaskRecord, Example extends TaskExample = TaskExample> {
  /** One noun for messages. */
  noun: string
  /** Settings of reading it. */
  columns: z.ZodObject
  /** The metric of the criterion that checkpoints are chosen by. */
  mainMetric: string
  /** @throws ConfigError for columns that it does not have */
  checkColumns(columns: object): void
  /** @throws DataError with file and line */
  read(path: string, columns: object): Promise<TaskData<Record>>
  promptOf(record: Record): PromptText
  /** The best answer to the prompt that the record has. */
  bestAnswer(record: Record): PromptText
  /** Undefined for a record that is dropped as too long, which the encoder counts. */
  encode(encoder: CompletionEncoder, record: Record): Example | undefined
  /** The completions of an example, in the order in which `scores` takes them. */
  completions(example: Example): readonly CompletionTokens[]
  scores: AlignmentScores<Record>
}

const pairs: AlignmentData<PreferenceRecord, PreferencePair> = {
  noun: 'pair',
  columns: preferenceSchema,
  mainMetric: 'accuracy',
  checkColumns: (columns) => void parseConfig(preferenceSchema, columns, 'columns'),
  read: (path, columns) => readPreferences(path, parseConfig(preferenceSchema, columns, 'columns')),
  promptOf: ({ prompt }) => prompt,
  bestAnswer: ({ chosen }) => chosen,
  encode(encoder, { prompt, chosen, rejected, file, line }) {
    const better = encoder.completion(prompt, chosen, { file, line })
    const worse = encoder.completion(prompt, rejected, { file, line })
    return better === undefined || worse === undefined ? undefined : pairOf(better, worse)
  },
  completions: ({ chosen, rejected }) => [chosen, rejected],
  scores: pairScores,
}

const ratings: AlignmentData<RatingRecord, RatedCompletion> = {
  noun: 'rating',
  columns: ratingSchema,
  mainMetric: 'loss',
  checkColumns: (columns) => void parseConfig(ratingSchema, columns, 'columns'),
  read: (path, columns) => readRatings(path, parseConfig(ratingSchema, columns, 'columns')),
  promptOf: ({ prompt }) => prompt,
  bestAnswer: ({ completion }) => completion,
  encode(encoder, { prompt, completion, good, file, line }) {
    const example = encoder.completion(prompt, completion, { file, line })
    return example === undefined ? undefined : { ...example, good }
  },
  completions: (example) => [example],
  scores: ratingScores,
}

const kinds: Record<PreferenceDefinition['data'], AlignmentData> = {
  pairs: pairs as unknown as AlignmentData,
  ratings: ratings as unknown as AlignmentData,
}

/** The kind of data that an objective learns from. */
export const dataOf = ({ data }: { data: PreferenceDefinition['data'] }): AlignmentData => kinds[data]

/** Settings of reading any kind of data, optional and without defaults. */
export const columnFields = (): Record<string, z.ZodType> =>
  taskSettingFields(Object.values(kinds).map(({ columns }) => ({ config: columns })))
