// What a task is: how files become records, records become training examples, and logits or generated text become predictions
// and scores. Independent of single tasks, architectures and the training loop.
import type { z } from 'zod'
import { ConfigError, type Random } from '../core/index.ts'
import type { ProcessGroup } from '../distributed/index.ts'
import type { GenerationOptions } from '../generation/index.ts'
import type { BodyFacts, HeadOptions, HeadType, Model } from '../models/index.ts'
import type { Batch, Criterion, Sequences } from '../objectives/index.ts'
import type { Tensor } from '../tensor/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import type { RowTargets } from './learning/prior.ts'
import type { ScoredUnits } from './metrics/scored-units.ts'
import type { ReadReport, Skipped } from './records/row.ts'
import type { RecordStatistics, StatisticsCounter } from './records/statistics.ts'

/** One record of a data set: the input and, where it is known, the reference answer. Each task adds its own fields. */
export interface TaskRecord {
  /** From the data's id column (default: the number of the record, from 0). */
  id: string
  file: string
  /** 1-based; undefined for formats without lines. */
  line: number | undefined
  /** Records of one group, such as pairs of the answers to one prompt, stay together when data is split. */
  group?: string
}

/** The records of a path. */
export interface TaskData<Record extends TaskRecord = TaskRecord> {
  records: Record[]
  /** Files, records read, and records skipped by reason. */
  report: ReadReport
}

/** How work with a model is stopped and divided. */
export interface WorkHooks {
  signal?: AbortSignal | undefined
  /** The processes that divide the work; all get all results. */
  group?: ProcessGroup | undefined
}

/** A record, or a window of a long one, as token ids; each task adds its labels. */
export interface TaskExample extends Sequences {
  /** Tokens of the text that did not fit and that are in no other example of the record. */
  truncatedTokens: number
}

/** The prediction for a record, as a line of JSON: `id` first, then the task's own fields, always in the same order. */
export interface TaskPrediction {
  id: string
}

/** The logits of one example. */
export interface ExampleOutput<Example extends TaskExample = TaskExample> {
  example: Example
  /** Flattened rows: one per sequence, or one per token, as the head gives them. */
  logits: Float32Array
}

/** How a task reads records. */
export interface ReadOptions<Record extends TaskRecord = TaskRecord> {
  /** False for data without reference answers, as for prediction (default: true). */
  labelled?: boolean
  signal?: AbortSignal | undefined
  /** Takes each record as it is read, in place of the list; reading waits for what it returns. Only for a `read` marked `streaming`. */
  onRecord?(record: Record): void | Promise<void>
}

/** What a task needs to know of the model. */
export interface PrepareOptions {
  /** Maximum tokens per example (default: the tokenizer's limit, up to 512). */
  maxLength?: number
  /** Those of the model, or those that `headOptions` of the task gave. */
  headOptions: Partial<HeadOptions>
  /** Facts of the model's body; generative tasks need them. */
  facts?: Pick<BodyFacts, 'causal' | 'maxPositions' | 'decoderStartTokenId'>
  /** Statistics of the training records, for class weights that balance them. */
  trainedOn?: RecordStatistics
}

/** What discriminative and generative tasks share. */
interface PreparedBase<Record extends TaskRecord, Example extends TaskExample> {
  /**
   * One example, or several windows of a long record; none for a record that is skipped, which `skipped` counts. Otherwise a
   * pure function of the record.
   * @throws DataError with file and line for a record that cannot be encoded
   */
  encode(record: Record): Example[]
  /** Collation and loss, for the training loop. */
  readonly criterion: Criterion<Example>
  /** Records that `encode` skipped, by reason. */
  readonly skipped?: { readonly [reason: string]: Skipped }
  /** Largest share of the training records that `encode` may skip (default: all). */
  readonly maxSkipped?: number
  /** Remarks about the task with this tokenizer, in sentences. */
  readonly notes?: readonly string[]
}

/** A task bound to a tokenizer and to a head's labels whose predictions are computed from logits. */
export interface DiscriminativeTask<
  Record extends TaskRecord = TaskRecord,
  Example extends TaskExample = TaskExample,
  Prediction extends TaskPrediction = TaskPrediction,
> extends PreparedBase<Record, Example> {
  readonly generation?: undefined
  /** Targets for classical learners on features; undefined where the task does not support them. */
  readonly rows?: RowTargets<Example>
  /** Splits the logits of a batch that `criterion.collate` made by example. */
  split(logits: Tensor, batch: Batch): Float32Array[]
  /** The prediction for a record from the outputs of all its examples, in their order. */
  decode(record: Record, outputs: readonly ExampleOutput<Example>[]): Prediction
}

/** A text that the model generated. */
export interface GeneratedAnswer {
  text: string
  /** True if it ended with an end token, false if it reached `maxNewTokens`. */
  endedByItself: boolean
  newTokens: number
}

/** Cross entropy of the reference answer in nats, summed over its tokens. */
export interface AnswerLoss {
  nats: number
  tokens: number
}

/** How a generative task prompts the model and reads its answers. */
export interface TextGenerationPlan<
  Record extends TaskRecord = TaskRecord,
  Prediction extends TaskPrediction = TaskPrediction,
> {
  /** The prompt, and how many tokens of the question were truncated. @throws DataError with file and line */
  prompt(record: Record): { ids: number[]; truncatedTokens: number }
  readonly generation: GenerationOptions
  /** The loss of each example of a batch that `criterion.collate` made. */
  losses(model: Model, batch: Batch): AnswerLoss[]
  /** `generated` is undefined where no answer was generated, `loss` where the reference is not known. */
  decode(record: Record, generated: GeneratedAnswer | undefined, loss: AnswerLoss | undefined): Prediction
  /** Chat template that prompts the model as in training: it is saved with the tokenizer. Undefined without one. */
  readonly template?: string
}

/** A task bound to a tokenizer whose predictions are generated texts. */
export interface GenerativeTask<
  Record extends TaskRecord = TaskRecord,
  Example extends TaskExample = TaskExample,
  Prediction extends TaskPrediction = TaskPrediction,
> extends PreparedBase<Record, Example> {
  readonly generation: TextGenerationPlan<Record, Prediction>
}

/** The task as one that reads logits. @throws ConfigError for a generative task */
export const expectDiscriminative = <
  Record extends TaskRecord,
  Example extends TaskExample,
  Prediction extends TaskPrediction,
>(
  prepared: PreparedTask<Record, Example, Prediction>,
): DiscriminativeTask<Record, Example, Prediction> => {
  if (prepared.generation === undefined) return prepared
  throw new ConfigError('Expected a discriminative task, got one that generates text.')
}

/** A task bound to a tokenizer: discriminative or generative. */
export type PreparedTask<
  Record extends TaskRecord = TaskRecord,
  Example extends TaskExample = TaskExample,
  Prediction extends TaskPrediction = TaskPrediction,
> = DiscriminativeTask<Record, Example, Prediction> | GenerativeTask<Record, Example, Prediction>

/** Predictions that need no model, for comparison. */
export interface Baseline<Record extends TaskRecord = TaskRecord, Prediction extends TaskPrediction = TaskPrediction> {
  /** `majority class`, `no answer` … */
  name: string
  /** The prediction for the next record. It never looks at the record's reference. */
  predict(record: Record): Prediction
}

/** Takes records with their predictions, and keeps the numbers that scores need of them. */
export interface Scorer<Record extends TaskRecord = TaskRecord, Prediction extends TaskPrediction = TaskPrediction> {
  /** In the order of the records. @throws DataError with file and line for a record without a reference answer */
  add(record: Record, prediction: Prediction): void
  /** The scores of all that were added; each record is a unit that the bootstrap resamples. */
  units(): ScoredUnits
  /** Sentences about predictions that show that the model learned nothing: one class for all records, empty answers … */
  warnings?(): string[]
}

/** What is measured on the validation records once a model is trained. */
export interface Measured<Prediction extends TaskPrediction = TaskPrediction> {
  /** Head options that are saved with the model, such as the scale of rewards. */
  headOptions?: Pick<HeadOptions, 'rewardScale'>
  /** Settings that are saved with the model, such as a temperature. */
  settings?: object
  /** How much better predictions are with them. */
  fitted?: object
  /** A prediction with what was measured (default: as it is). */
  predict?(prediction: Prediction): Prediction
}

/** Takes validation records with their predictions, and measures what is saved with the model. */
export interface Measurement<
  Record extends TaskRecord = TaskRecord,
  Prediction extends TaskPrediction = TaskPrediction,
> {
  add(record: Record, prediction: Prediction): void
  finish(): Measured<Prediction>
}

/** A known data set: a path with its files and these settings are enough to read it. */
export interface DatasetDeclaration<Config = object> {
  /** Where it is published. */
  source: string
  settings: Partial<Config>
}

/** A task, as `defineTask` takes it. */
export interface TaskDefinition<
  Config extends object = object,
  Record extends TaskRecord = TaskRecord,
  Example extends TaskExample = TaskExample,
  Prediction extends TaskPrediction = TaskPrediction,
  Type extends string = string,
  Statistics extends RecordStatistics = RecordStatistics,
> {
  /** The name that recipes and flags use: lower-case words joined by hyphens. */
  type: Type
  /** Publication of the task or of its official metric. */
  source: string
  /** One phrase for lists of tasks. */
  summary: string
  /** A strict object schema: columns, format, and settings of encoding and decoding. */
  config: z.ZodType<Config>
  /** Head type; of several, the first that the base supports. */
  head: HeadType | readonly HeadType[]
  /** Default for the maximum tokens per example, where the model takes as many (default: 512). */
  maxLength?: number
  /** Known data sets by name. */
  datasets: { [name: string]: DatasetDeclaration<z.input<z.ZodType<Config>>> }
  /** Settings that say how data is read, such as columns: each data set of a run may have its own (default: none). */
  dataSettings?: readonly string[]
  /** The metric that checkpoints are chosen by. */
  mainMetric(config: Config): string
  /** Names that the scores may have with this config, `mainMetric` among them; each is registered with its direction. */
  metricNames(config: Config): string[]
  /** Reads the records of a path. @throws DataError with file and line, also for missing columns */
  read(path: string, config: Config, options?: ReadOptions<Record>): Promise<TaskData<Record>>
  /** What a record asks, as one text for people and judges; tasks whose answers are not text have none. */
  question?(record: Record, config: Config): string
  /** Fields of a record with its reference answer; the others are its input. */
  answerFields?: readonly string[]
  /** What is counted of the training records, which are not kept: `headOptions`, `prepare`, `baselines` and `labelCounts` use it. */
  statistics: StatisticsCounter<Record, Statistics>
  /** A record to predict, from the fields of an input: `text`, `question` … @throws ConfigError that names what is missing */
  recordFromInput(fields: { [name: string]: unknown }, id: string, config: Config): Record
  /** Input lists that predictions are aligned with, such as the tokens of a sentence, by their input field. */
  alignedInputs?(record: Record): { [name: string]: readonly string[] }
  /** Head options for these records: labels, problem type. @throws DataError for fewer than two classes */
  headOptions(statistics: Statistics, config: Config): Partial<HeadOptions>
  /** Binds the task to a tokenizer and a head. @throws ConfigError for a tokenizer or labels that do not fit */
  prepare(tokenizer: Tokenizer, config: Config, options: PrepareOptions): PreparedTask<Record, Example, Prediction>
  /** Measures what is saved with a trained model, on the validation records; undefined where these settings ask for nothing. */
  afterTraining?(config: Config): Measurement<Record, Prediction> | undefined
  /** Parses a prediction that any program made. @throws ConfigError that says what is wrong, without file and line */
  parsePrediction(fields: { [name: string]: unknown }, record: Record, config: Config): Prediction
  /** How many records, or words of them, have each label; undefined for tasks without labels. */
  labelCounts?(statistics: Statistics): ReadonlyMap<string, number>
  /** Simple baselines: the most frequent answer, a random one … */
  baselines?(trained: Statistics, config: Config, random: Random): Baseline<Record, Prediction>[]
  /** Scores predictions. @param headLabels of the predicting head, where there is one: data may have their numbers instead of names */
  scorer(config: Config, headLabels?: readonly string[]): Scorer<Record, Prediction>
  /** Scores baselines, whose predictions have less than those of a model, such as no probabilities (default: `scorer`). */
  baselineScorer?(config: Config, headLabels?: readonly string[]): Scorer<Record, Prediction>
}

/** Declares a task; `registerTask` makes it known to recipes, flags and evaluations. */
export const defineTask = <
  Config extends object,
  Record extends TaskRecord,
  Example extends TaskExample,
  Prediction extends TaskPrediction,
  Type extends string = string,
  Statistics extends RecordStatistics = RecordStatistics,
>(
  definition: TaskDefinition<Config, Record, Example, Prediction, Type, Statistics>,
): TaskDefinition<Config, Record, Example, Prediction, Type, Statistics> => definition
