// What a kind of benchmark is: the part of its task file that others do not have, and how its rows are scored. Answers to prompts are
// generated here for all kinds.

import { z } from 'zod'
import { ConfigError } from '../../../core/index.ts'
import { shareItems } from '../../../distributed/index.ts'
import { generateMany } from '../../../generation/index.ts'
import type { Model } from '../../../models/index.ts'
import type { Tokenizer } from '../../../tokenizers/index.ts'
import type { MetricDirection } from '../../../tracking/index.ts'
import { expectCausal, requestLength } from '../../language-modelling/score-requests.ts'
import type { Scores } from '../../metrics/scored-units.ts'
import type { WorkHooks } from '../../task.ts'
import type { TemplateRow } from '../template.ts'

/** A template as written in a task file. */
export const templateField = z.string()
/** A list as written in a task file: one template for each item, or one that writes JSON. */
export const listField = z.union([z.string(), z.array(z.string()).min(1)])

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

export interface ExampleOutcome {
  /** Sums by metric; metrics that the example has no value for are left out. */
  scores: Scores
  /** How many values each sum has (default: 1). */
  weights?: Scores
  /** For the file of results: log-likelihoods, answers … */
  detail: { [field: string]: unknown }
}

/** What kinds use to score and to generate. */
interface HarnessEngine extends WorkHooks {
  model: Model
  tokenizer: Tokenizer
  /** Tokens of context and answer together. */
  maxLength: number | undefined
  batchTokens: number
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
  prompt: string
  answer: string
}

/** A task file of a kind, with its templates parsed. */
export interface CompiledKind {
  metrics: HarnessMetric[]
  question(row: TemplateRow): QuestionAnswer
  run(rows: readonly PromptedRow[], engine: HarnessEngine): Promise<KindOutcome>
}

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

// @source lm-eval 0.4.13, `generate_until`
interface AnswerLimits {
  stop: readonly string[]
  maxNewTokens: number
}

/** Answers in the order of the prompts, without what follows a stop string. */
export const generateAnswers = async (
  prompts: readonly string[],
  { stop, maxNewTokens }: AnswerLimits,
  { model, tokenizer, maxLength, batchTokens, signal, group, onProgress }: HarnessEngine,
): Promise<{ answers: string[]; truncated: number }> => {
  expectCausal(model, 'generate answers')
  const space = requestLength(model, tokenizer, maxLength) - maxNewTokens
  if (space < 1)
    throw new ConfigError(
      `The task needs ${maxNewTokens} tokens for an answer and at least one for its prompt, and the model takes ${space + maxNewTokens}. Lower \`maxNewTokens\` in a task file of your own.`,
    )
  let truncated = 0
  const ids = prompts.map((prompt) => {
    const all = Array.from(tokenizer.encode(prompt).ids)
    truncated += Number(all.length > space)
    return all.slice(Math.max(0, all.length - space))
  })
  const longest = Math.max(...ids.map(({ length }) => length)) + maxNewTokens
  const wasTraining = model.training
  model.eval()
  try {
    const answers = await shareItems(group, ids, async (own) => {
      const results = await generateMany(
        model,
        tokenizer,
        own,
        { maxNewTokens, ...(stop.length > 0 ? { stop: [...stop] } : {}) },
        {
          // Every row has space for the longest prompt and its answer.
          batchSize: Math.max(1, Math.floor((2 * batchTokens) / longest)),
          signal,
          onBatch: (_, { prompts: done }) => onProgress?.(done),
        },
      )
      signal?.throwIfAborted()
      return results.map(({ text = '' }) => stop.reduce((cut, word) => cut.split(word)[0], text))
    })
    return { answers, truncated }
  } finally {
    if (wasTraining) model.train()
  }
}
