// The kinds of data that objectives learn from: how each is read, encoded and scored. Independent of objectives.
import { type CompletionTokens, type PreferencePair, pairOf, type RatedCompletion } from '../../alignment/index.ts'
import { ConfigError } from '../../core/index.ts'
import {
  type CompletionEncoder,
  type PreferenceRecord,
  type PromptText,
  type RatingRecord,
  readPreferences,
  readRatings,
  type TaskData,
  type TaskExample,
  type TaskRecord,
} from '../../tasks/index.ts'
import { columnsOf } from './columns.ts'
import type { AlignObjective } from './objectives.ts'
import { type AlignmentScores, pairScores, ratingScores } from './scores.ts'

/** What preference data says of an answer. */
export type AnswerQuality = 'chosen' | 'rejected' | 'good' | 'bad'

/** A kind of data: records, their examples, and the scores of a model on them. */
export interface AlignmentData<Record extends TaskRecord = TaskRecord, Example extends TaskExample = TaskExample> {
  /** One noun for messages. */
  noun: string
  /** The metric of the criterion that checkpoints are chosen by. */
  mainMetric: string
  /** @throws DataError with file and line */
  read(path: string, columns: object): Promise<TaskData<Record>>
  promptOf(record: Record): PromptText
  /** The completions of a record, in the order in which `scores` takes them, and what the data says of each. */
  answersOf(record: Record): { quality: AnswerQuality; text: PromptText }[]
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
  mainMetric: 'accuracy',
  read: (path, columns) => readPreferences(path, columnsOf('pairs', columns)),
  promptOf: ({ prompt }) => prompt,
  answersOf: ({ chosen, rejected }) => [
    { quality: 'chosen', text: chosen },
    { quality: 'rejected', text: rejected },
  ],
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
  mainMetric: 'loss',
  read: (path, columns) => readRatings(path, columnsOf('ratings', columns)),
  promptOf: ({ prompt }) => prompt,
  answersOf: ({ completion, good }) => [{ quality: good ? 'good' : 'bad', text: completion }],
  bestAnswer: ({ completion }) => completion,
  encode(encoder, { prompt, completion, good, file, line }) {
    const example = encoder.completion(prompt, completion, { file, line })
    return example === undefined ? undefined : { ...example, good }
  },
  completions: (example) => [example],
  scores: ratingScores,
}

/** The kinds of data that preference objectives learn from. */
export const alignmentData = {
  // Each kind of data keeps its own type of record to itself, so that one list holds both.
  pairs: pairs as unknown as AlignmentData,
  ratings: ratings as unknown as AlignmentData,
}

/** The kind of data that an objective learns from. @throws ConfigError for an objective that learns from rewards */
export const dataOf = ({ type, data }: AlignObjective): AlignmentData => {
  if (data !== 'prompts') return alignmentData[data]
  throw new ConfigError(`Expected an objective that learns from preferences, got ${type}. Choose another objective.`)
}
