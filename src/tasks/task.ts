// What a task is: the way from files to records, from records to examples that a model learns from, and from its logits back to
// predictions and scores. Knows no task, no architecture and no training loop.
import type { z } from 'zod'
import { ConfigError, type Random } from '../core/index.ts'
import type { GenerationOptions } from '../generation/index.ts'
import type { BodyFacts, HeadOptions, HeadType, Model } from '../models/index.ts'
import type { Batch, Criterion, Sequences } from '../objectives/index.ts'
import type { Tensor } from '../tensor/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import type { RowTargets } from './learning/row-targets.ts'
import type { ScoredUnits } from './metrics/scored-units.ts'
import type { ReadReport, Skipped } from './records/read-report.ts'

/** One thing that is asked, with what is right; each task adds its own fields. */
export interface TaskRecord {
  /** From the data where it has ids; else the number of the record, from 0. */
  id: string
  file: string
  /** 1-based, where the format has lines. */
  line: number | undefined
}

export interface TaskData<Record extends TaskRecord = TaskRecord> {
  records: Record[]
  /** What was read and what was passed over, by reason. */
  report: ReadReport
}

/** A record, or a window of a long one, as the model takes it; each task adds its labels. */
export interface TaskExample extends Sequences {
  /** Tokens of the text that were cut off and that no other example of the record has. */
  truncatedTokens: number
}

/** What is said of a record, as a line of JSON: `id` first, then the task's own fields, always in the same order. */
export interface TaskPrediction {
  id: string
}

/** The logits of one example: as many rows as the head gives for it. */
export interface ExampleOutput<Example extends TaskExample = TaskExample> {
  example: Example
  /** Row after row. */
  logits: Float32Array
}

export interface ReadOptions {
  /** False: what is right is not in the data and not needed, as when a model is to predict it. */
  labelled?: boolean
  signal?: AbortSignal
}

export interface PrepareOptions {
  /** Most tokens of an example; what the tokenizer's folder says, up to 512, unless given. */
  maxLength?: number
  /** As the model has them, or as `headOptions` gave them. */
  headOptions: Partial<HeadOptions>
  /** Of the body that answers, where a task depends on it. */
  facts?: Pick<BodyFacts, 'causal' | 'maxPositions' | 'decoderStartTokenId'>
  /** What is trained on, where the config asks for weights that balance its classes. */
  trainedOn?: readonly TaskRecord[]
}

/** Every way of answering has these. */
interface PreparedBase<Record extends TaskRecord, Example extends TaskExample> {
  /**
   * One example, or several windows of a long record; none for one that is passed over. A pure function of the record, but for the count of
   * those.
   * @throws DataError with file and line for a record that cannot be asked
   */
  encode(record: Record): Example[]
  /** For the training loop. */
  readonly criterion: Criterion<Example>
  /** Records that `encode` passed over, by reason. */
  readonly skipped?: { readonly [reason: string]: Skipped }
  /** What is unusual about the task with this tokenizer, in sentences. */
  readonly notes?: readonly string[]
}

/** A task bound to a tokenizer and to a head's labels, that answers by reading logits. */
export interface DiscriminativeTask<
  Record extends TaskRecord = TaskRecord,
  Example extends TaskExample = TaskExample,
  Prediction extends TaskPrediction = TaskPrediction,
> extends PreparedBase<Record, Example> {
  readonly generation?: undefined
  /** For learners of features; without it the task cannot be learnt so. */
  readonly rows?: RowTargets<Example>
  /** The logits of a batch that `learner.collate` made, cut up by example. */
  split(logits: Tensor, batch: Batch): Float32Array[]
  /** What the model says of a record, from the outputs of all its examples, in their order. */
  decode(record: Record, outputs: readonly ExampleOutput<Example>[]): Prediction
}

/** What a model wrote. */
export interface GeneratedAnswer {
  text: string
  /** Whether it stopped by itself, and not because there was no more room. */
  endedByItself: boolean
  newTokens: number
}

/** What right answers cost: cross entropy in nats, summed over their tokens. */
export interface AnswerLoss {
  nats: number
  tokens: number
}

export interface TextGenerationPlan<
  Record extends TaskRecord = TaskRecord,
  Prediction extends TaskPrediction = TaskPrediction,
> {
  /** What the model goes on from, and how many tokens of the question did not fit. @throws DataError with file and line */
  prompt(record: Record): { ids: number[]; cut: number }
  readonly generation: GenerationOptions
  /** Of each example of a batch that `learner.collate` made. */
  losses(model: Model, batch: Batch): AnswerLoss[]
  /** `written` is undefined where no answer was asked for, `loss` where what is right is not known. */
  decode(record: Record, written: GeneratedAnswer | undefined, loss: AnswerLoss | undefined): Prediction
  /** Chat template that the tokenizer must have to be asked in the same way, where there is one. */
  readonly template?: string
}

/** A task that answers by writing text. */
export interface GenerativeTask<
  Record extends TaskRecord = TaskRecord,
  Example extends TaskExample = TaskExample,
  Prediction extends TaskPrediction = TaskPrediction,
> extends PreparedBase<Record, Example> {
  readonly generation: TextGenerationPlan<Record, Prediction>
}

/** @throws ConfigError for a task that answers by writing */
export const expectDiscriminative = <
  Record extends TaskRecord,
  Example extends TaskExample,
  Prediction extends TaskPrediction,
>(
  prepared: PreparedTask<Record, Example, Prediction>,
): DiscriminativeTask<Record, Example, Prediction> => {
  if (prepared.generation === undefined) return prepared
  throw new ConfigError('Expected a task that reads its answers off logits, got one that writes them.')
}

export type PreparedTask<
  Record extends TaskRecord = TaskRecord,
  Example extends TaskExample = TaskExample,
  Prediction extends TaskPrediction = TaskPrediction,
> = DiscriminativeTask<Record, Example, Prediction> | GenerativeTask<Record, Example, Prediction>

/** Answers that take no model. */
export interface Baseline<Prediction extends TaskPrediction = TaskPrediction> {
  /** `majority class`, `no answer` … */
  name: string
  /** In the order of the records. */
  predictions: Prediction[]
}

/** A known data set: a path that holds it and these settings are all that is needed. */
export interface DatasetDeclaration<Config = object> {
  /** Where it is published. */
  source: string
  settings: Partial<Config>
}

export interface TaskDefinition<
  Config extends object = object,
  Record extends TaskRecord = TaskRecord,
  Example extends TaskExample = TaskExample,
  Prediction extends TaskPrediction = TaskPrediction,
  Type extends string = string,
> {
  /** The name that recipes and flags use: lower-case words joined by hyphens. */
  type: Type
  /** Where its form or its official metric is published. */
  source: string
  /** One sentence for lists of tasks. */
  summary: string
  /** A strict object: columns, format, and what training and decoding depend on. */
  config: z.ZodType<Config>
  /** Several: the first that the base has. */
  head: HeadType | readonly HeadType[]
  /** Most tokens of an example unless the user says otherwise and where the model takes as many; 512 unless given. */
  maxLength?: number
  /** Known data sets by name. */
  datasets: { [name: string]: DatasetDeclaration<z.input<z.ZodType<Config>>> }
  /** The metric to choose checkpoints by; a higher value is better, but for losses and perplexities. */
  mainMetric(config: Config): string
  /** Names that `score` may give with this config, `mainMetric` among them; each is registered with its direction. */
  metricNames(config: Config): string[]
  /** @throws DataError with file and line, for columns that are not there too */
  read(path: string, config: Config, options?: ReadOptions): Promise<TaskData<Record>>
  /** A record to predict, from what it is asked by: `text`, `question` … @throws ConfigError that says what is missing */
  recordFromInput(fields: { [name: string]: unknown }, id: string, config: Config): Record
  /** The parts of what was asked that a prediction answers one by one, under the name that it is asked by. */
  alignedInputs?(record: Record): { [name: string]: readonly string[] }
  /** What a head for these records needs: labels, kind of problem. @throws DataError when there is nothing to tell apart */
  headOptions(records: readonly Record[], config: Config): Partial<HeadOptions>
  /** @throws ConfigError for a tokenizer or labels that do not fit */
  prepare(tokenizer: Tokenizer, config: Config, options: PrepareOptions): PreparedTask<Record, Example, Prediction>
  /** Reads anybody's prediction of a record. @throws ConfigError that says what is wrong with it, without the place */
  parsePrediction(fields: { [name: string]: unknown }, record: Record, config: Config): Prediction
  /** What scores are held against: the most frequent answer, one drawn at random … Asks no record for what is right. */
  baselines?(
    trained: readonly Record[],
    records: readonly Record[],
    config: Config,
    random: Random,
  ): Baseline<Prediction>[]
  /** The scores of predictions, in the order of the records; each record is a unit that may be counted more or less often. */
  score(
    records: readonly Record[],
    predictions: readonly Prediction[],
    config: Config,
    /** Those of the head that predicted, where there is one: data may have their numbers. */
    headLabels?: readonly string[],
  ): ScoredUnits
}

/** Declares a task; index.ts makes it known. */
export const defineTask = <
  Config extends object,
  Record extends TaskRecord,
  Example extends TaskExample,
  Prediction extends TaskPrediction,
  Type extends string = string,
>(
  definition: TaskDefinition<Config, Record, Example, Prediction, Type>,
): TaskDefinition<Config, Record, Example, Prediction, Type> => definition
