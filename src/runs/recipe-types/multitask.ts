// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

import type { FinetuneSettings } from './finetune.ts'
import type { TaskSettings } from './tasks.ts'
import type { VariantChoice } from './variants.ts'

/** Settings of a task of a run of several, whatever its type. */
export interface MultitaskEntry {
  /**
   * File or folder with training data, or several that are mixed: a.jsonl=0.7 b.csv=0.3 (weights,
   * default: by size), each with settings such as a.jsonl,validation=dev.jsonl,maxExamples=1000.
   */
  data:
    | string
    | readonly (
        | string
        | {
            /** File or folder with training data. */
            path: string
            /** Name in scores, such as accuracy/NAME (default: that of the file). */
            name?: string | undefined
            /** Relative share of the examples (default: by size). */
            weight?: number | undefined
            /** Maximum number of examples, chosen at random by the seed. */
            maxExamples?: number | undefined
            /** Maximum number of epochs over the set in the whole run, after which the others share its part. */
            maxEpochs?: number | undefined
            /** Its validation data (default: a share of it). */
            validation?: string | undefined
            /** Share of it to validate on, if it has no `validation`. */
            validationShare?: number | undefined
            /** Known data set of the task, whose columns need not be named. */
            dataset?: string | undefined
            /** Settings of reading it, such as columns, over those of the task. */
            settings?: { readonly [name: string]: unknown } | undefined
          }
      )[]
  /** Known data set of the task, whose columns need not be named. */
  dataset?: string | undefined
  /** Several data sets: shares by size to the power of 1/temperature: 1 by size, larger values more equal. */
  dataTemperature?: number | undefined
  /** File or folder with validation data (default: a share of `data`). */
  validation?: string | undefined
  /**
   * Approximate share of `data` to validate on, if there is no `validation`: a hash decides on each
   * record. Default: `0.1`.
   */
  validationShare?: number | undefined
  /** Maximum tokens per example (default: that of the run). */
  maxLength?: number | undefined
  /** Relative share of the examples (default: by size). */
  weight?: number | undefined
  /** Maximum number of epochs over the task in the whole run, after which the others share its part. */
  maxEpochs?: number | undefined
  /** Factor of the task's loss in the loss of a step. Default: `1`. */
  scale?: number | undefined
  /** Function of a recipe that computes the loss in place of the task's. */
  loss?: unknown
  /** Function of a recipe that reads `data` and `validation`: rows with the columns of the task. */
  read?: unknown
  /** Functions of a recipe that score a prediction for a record; their mean is a metric. */
  metrics?: readonly unknown[] | undefined
}

/** A task of a run of several, by its type. */
export type MultitaskTask = {
  [Task in keyof TaskSettings]: MultitaskEntry & {
    /** Task to learn. */
    type: Task
    /** Settings of the task: columns, labels …. */
    settings?: TaskSettings[Task] | undefined
  }
}[keyof TaskSettings]

/** Settings of a run of several tasks, whatever its tasks. */
export interface MultitaskSettings
  extends Omit<
    FinetuneSettings,
    | 'dataset'
    | 'data'
    | 'dataTemperature'
    | 'validation'
    | 'validationShare'
    | 'split'
    | 'distillation'
    | 'resample'
    | 'untrainedBaseline'
    | 'loss'
    | 'read'
    | 'metrics'
  > {
  /** Shares of the tasks by size to the power of 1/temperature: 1 by size, larger values more equal. */
  taskTemperature?: number | undefined
}

/** The recipe of a run of several tasks. */
export type MultitaskInput = MultitaskSettings & {
  /**
   * Tasks with a name each: tone=sequence-classification,data=reviews.csv
   * names=token-classification,data=ner.conll, each with fields such as
   * validation=dev.csv,weight=2,scale=0.5,settings.text=review.
   */
  tasks: { readonly [name: string]: MultitaskTask } | readonly string[]
} & (Exclude<VariantChoice, { variant: 'feature-based' }> | { variant?: undefined; adapter?: undefined })
