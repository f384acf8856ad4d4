// The kinds of data that objectives learn from: how each is read, encoded and scored, the same for every objective, so that runs can be compared.
// Runs no model.
import { type CompletionTokens, type PreferencePair, pairOf, type RatedCompletion } from '../../alignment/index.ts'
import { ConfigError } from '../../core/index.ts'
import {
  type CompletionEncoder,
  type PreferenceRecord,
  type PromptText,
  type RatingRecord,
  readPreferences,
  readRatings,
  type ScoredUnits,
  type TaskData,
  type TaskExample,
  type TaskRecord,
} from '../../tasks/index.ts'
import { type AlignObjective, columnsOf } from './objectives.ts'

export interface ScoredCompletion {
  /** Sum over its tokens, in nats. */
  logProb: number
  /** The same under the base before training; undefined where it was not computed. */
  base?: number
  tokens: number
}

/** A line of predictions.jsonl. */
export interface AlignmentPrediction {
  id: string
  /** In the order of the record: chosen and rejected, or the rated one. */
  completions: ScoredCompletion[]
}

interface AlignmentScores<Record extends TaskRecord> {
  /**
   * The metric that runs are compared by. Without log-probabilities under the base it has another name, as it measures something else.
   */
  mainMetric(hasBase: boolean): string
  score(records: readonly Record[], predictions: readonly AlignmentPrediction[]): ScoredUnits
}

const meanOf = (values: readonly number[], counts?: ArrayLike<number>): number => {
  let [sum, count] = [0, 0]
  for (const [i, value] of values.entries()) {
    const times = counts?.[i] ?? 1
    if (times === 0 || Number.isNaN(value)) continue
    sum += times * value
    count += times
  }
  return count === 0 ? Number.NaN : sum / count
}

/** Means of columns over units; a column without any value is left out. */
const meansOf = (columns: { [metric: string]: readonly number[] }, units: number): ScoredUnits => {
  const kept = Object.entries(columns).filter(([, values]) => values.some((value) => !Number.isNaN(value)))
  return {
    units,
    scores: (counts) => Object.fromEntries(kept.map(([name, values]) => [name, meanOf(values, counts)])),
    details: () => ({}),
  }
}

/** A tie is half right. */
const half = (difference: number) =>
  Number.isNaN(difference) ? Number.NaN : difference > 0 ? 1 : difference < 0 ? 0 : 0.5
const ratioOf = ({ logProb, base = Number.NaN }: ScoredCompletion) => logProb - base
const perToken = ({ logProb, tokens }: ScoredCompletion) => logProb / tokens

const pairScores: AlignmentScores<PreferenceRecord> = {
  mainMetric: (hasBase) => (hasBase ? 'accuracy' : 'likelihoodAccuracy'),
  score(records, predictions) {
    const sides = predictions.map(({ completions: [chosen, rejected] }) => ({ chosen, rejected }))
    const each = (of: (pair: (typeof sides)[number]) => number) => sides.map(of)
    const margin = ({ chosen, rejected }: (typeof sides)[number]) => ratioOf(chosen) - ratioOf(rejected)
    return meansOf(
      {
        accuracy: each((pair) => half(margin(pair))),
        margin: each(margin),
        likelihoodAccuracy: each(({ chosen, rejected }) => half(perToken(chosen) - perToken(rejected))),
        chosenRatio: each(({ chosen }) => ratioOf(chosen)),
        rejectedRatio: each(({ rejected }) => ratioOf(rejected)),
        displaced: each(({ chosen }) => (Number.isNaN(ratioOf(chosen)) ? Number.NaN : ratioOf(chosen) < 0 ? 1 : 0)),
      },
      records.length,
    )
  },
}

/** Means of good and of bad answers, and how well the implicit reward tells them apart. */
const ratingScores: AlignmentScores<RatingRecord> = {
  mainMetric: (hasBase) => (hasBase ? 'auc' : 'likelihoodAuc'),
  score(records, predictions) {
    const ratios = predictions.map(({ completions: [one] }) => ratioOf(one))
    const likelihoods = predictions.map(({ completions: [one] }) => perToken(one))
    const hasBase = ratios.some((ratio) => !Number.isNaN(ratio))
    const of = (good: boolean) => ratios.map((ratio, i) => (records[i].good === good ? ratio : Number.NaN))
    const means = meansOf({ goodRatio: of(true), badRatio: of(false) }, records.length)
    return {
      ...means,
      scores: (counts) => {
        const found = means.scores(counts)
        const margin = found.goodRatio - found.badRatio
        return {
          ...found,
          ...(hasBase ? { auc: areaUnderCurve(ratios, records, counts) } : {}),
          likelihoodAuc: areaUnderCurve(likelihoods, records, counts),
          ...(Number.isNaN(margin) ? {} : { margin }),
        }
      },
    }
  },
}

/** Share of pairs of a good and a bad answer of which the good one has the larger value. @source Mann and Whitney 1947 */
const areaUnderCurve = (
  values: readonly number[],
  records: readonly RatingRecord[],
  counts?: ArrayLike<number>,
): number => {
  const order = values
    .map((value, i) => ({ value, good: records[i].good, count: counts?.[i] ?? 1 }))
    .filter(({ value, count }) => count > 0 && !Number.isNaN(value))
    .sort((a, b) => a.value - b.value)
  let [below, wins, goods, bads] = [0, 0, 0, 0]
  for (let from = 0; from < order.length; ) {
    let to = from
    let [tiedGood, tiedBad] = [0, 0]
    while (to < order.length && order[to].value === order[from].value) {
      if (order[to].good) tiedGood += order[to].count
      else tiedBad += order[to].count
      to++
    }
    wins += tiedGood * (below + tiedBad / 2)
    below += tiedBad
    goods += tiedGood
    bads += tiedBad
    from = to
  }
  return goods === 0 || bads === 0 ? Number.NaN : wins / (goods * bads)
}

/** Parses a line of predictions.jsonl. @throws ConfigError that says what is wrong */
export const parsePrediction = (fields: { [name: string]: unknown }, { id }: TaskRecord): AlignmentPrediction => {
  const { completions } = fields
  const isScored = (one: unknown): one is ScoredCompletion =>
    typeof (one as ScoredCompletion)?.logProb === 'number' && typeof (one as ScoredCompletion).tokens === 'number'
  if (!Array.isArray(completions) || !completions.every(isScored))
    throw new ConfigError(`Expected log-probabilities for \`completions\` of record ${id}, got something else.`)
  return { id, completions }
}

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
