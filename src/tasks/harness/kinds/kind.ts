// What a kind of benchmark is: the part of its task file that others do not have, and how its rows are scored.
import { z } from 'zod'
import type { ProcessGroup } from '../../../distributed/index.ts'
import type { Model } from '../../../models/index.ts'
import type { Tokenizer } from '../../../tokenizers/index.ts'
import type { MetricDirection } from '../../../tracking/index.ts'
import type { Scores } from '../../metrics/scored-units.ts'
import type { TemplateRow } from '../template.ts'

/** A template as written in a task file. */
export const templateField = z.string()
/** A list as written in a task file: one template for each item, or one that writes JSON. */
export const listField = z.union([z.string(), z.array(z.string()).min(1)])

/** A metric of a kind. */
export interface HarnessMetric {
  name: string
  direction: MetricDirection
  unit: string
  summary: string
  /** Turns the mean over examples into the score (default: the mean is the score). */
  ofMean?(mean: number): number
}

/** A row with its prompts: one, or one for each choice. */
export interface PromptedRow {
  row: TemplateRow
  prompts: readonly string[]
}

/** What an example gave. */
export interface ExampleOutcome {
  /** Sums by metric; metrics that the example has no value for are left out. */
  scores: Scores
  /** How many values each sum has (default: 1). */
  weights?: Scores
  /** For the file of results: log-likelihoods, answers … */
  detail: { [field: string]: unknown }
}

/** What kinds use to score and to generate. */
export interface HarnessEngine {
  model: Model
  tokenizer: Tokenizer
  /** Tokens of context and answer together. */
  maxLength: number | undefined
  batchTokens: number
  signal?: AbortSignal | undefined
  /** The processes that divide the work; all get all outcomes. */
  group?: ProcessGroup | undefined
  /** Called with the number of examples that are done. */
  onProgress?(examples: number): void
}

/** Outcomes in the order of the rows. */
interface KindOutcome {
  outcomes: ExampleOutcome[]
  /** Examples whose prompt was truncated at the beginning. */
  truncated: number
  /** What could not be scored, by its name. */
  unchecked?: { [name: string]: number }
}

/** The question and the right answer of a row, as a few-shot example has them. */
interface QuestionAnswer {
  /** The prompts that are scored: one, or one for each choice. */
  prompts: string[]
  /** The prompt of the right answer. */
  prompt: string
  answer: string
}

/** A task file of a kind, with its templates parsed. */
export interface CompiledKind {
  metrics: HarnessMetric[]
  /** Prompt and answer of a row. */
  question(row: TemplateRow): QuestionAnswer
  run(rows: readonly PromptedRow[], engine: HarnessEngine): Promise<KindOutcome>
}

/** A kind of benchmark. */
export interface HarnessKind<Fields extends z.ZodObject = z.ZodObject> {
  readonly type: string
  /** Fields of the task file beside those of every kind. */
  readonly fields: Fields
  /** Parses the templates. `delimiter` is between prompt and answer. @throws ConfigError for a template that cannot be parsed */
  compile(fields: z.output<Fields>, delimiter: string): CompiledKind
}

/** Declares a kind of benchmark; the type of its own fields stays inside. */
export const defineHarnessKind = <const Type extends string, Fields extends z.ZodObject>(
  kind: HarnessKind<Fields> & { readonly type: Type },
): HarnessKind<Fields> & { readonly type: Type } => kind
