// `defineRun`: recipes in TypeScript.
import type { RecipeCallback, StopRule } from './engine/user-code.ts'
import type { RecipeLoss, RecipeMetric, RecipeReader } from './finetune/user-task.ts'
import type { AlignInput, FinetuneInput, MultitaskInput, MultitaskTask, PretrainInput } from './recipe-types/index.ts'

/** Functions that any recipe may have. */
export interface RecipeCode {
  /** Called with every event of the run, which waits for each, one after the other. */
  callbacks?: readonly (RecipeCallback | { name: string; onEvent: RecipeCallback })[] | undefined
  /** Ends the run after an evaluation by returning true. */
  stopWhen?: StopRule | undefined
}

/** Functions that a fine-tuning recipe may have, and a task of a run of several. */
export interface TaskCode {
  /** Computes the loss of a batch in place of the task. */
  loss?: RecipeLoss | undefined
  /** Reads `data` and `validation`: rows with the columns that the settings of the task name. */
  read?: RecipeReader | undefined
  /** Score a prediction for a record; the mean is a metric with an interval, for `keep.best` too. */
  metrics?: readonly RecipeMetric[] | undefined
}

/** A fine-tuning recipe with its kind, since run.json and recipe files have one form. */
export type FinetuneDefinition = FinetuneInput & RecipeCode & TaskCode & { command: 'finetune' }

type MultitaskDefinition = MultitaskInput &
  RecipeCode & {
    command: 'multitask'
    tasks: { readonly [name: string]: MultitaskTask & TaskCode } | readonly string[]
  }

/** An alignment recipe with its kind. */
export type AlignDefinition = AlignInput & RecipeCode & { command: 'align' }

interface RecipeDefinitions {
  pretrain: PretrainInput & RecipeCode
  finetune: FinetuneDefinition
  multitask: MultitaskDefinition
  align: AlignDefinition
}

/**
 * Returns the recipe unchanged. The compiler checks it while it is written: a setting that its variant, task, architecture or objective does
 * not have is an error, and hovering a key shows its help. When the recipe is run, it is checked again.
 */
export const defineRun = <Command extends keyof RecipeDefinitions = 'pretrain'>(
  recipe: { command?: Command } & RecipeDefinitions[Command],
): RecipeDefinitions[Command] =>
  // Recipes of all kinds in one union are more than the compiler can represent: the result is not compared with its type.
  recipe as unknown as RecipeDefinitions[Command]
