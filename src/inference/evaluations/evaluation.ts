// What an entry of `evaluate` declares.
import type { z } from 'zod'
import type { ProcessGroup } from '../../distributed/index.ts'
import type { SpecialistTask } from '../../runs/index.ts'
import type { LoadHooks, ModelChoice } from '../load.ts'

/** What is evaluated: a model on data. */
interface EvaluationInput extends ModelChoice {
  data: readonly string[]
  /** How the model was fine-tuned on this task, when it is a specialist in it. */
  recorded?: Pick<SpecialistTask, 'settings' | 'maxLength'> | undefined
}

/** Called while a model is evaluated. */
export interface EvaluateHooks extends LoadHooks {
  /** Called after each batch; `label` and `unit` name what is counted. */
  onProgress?(done: { label: string; unit: string; done: number; of?: number }): void
  signal?: AbortSignal | undefined
  /** The processes that divide the work: all get the same result, and the first one writes files. */
  group?: ProcessGroup | undefined
}

/** One kind of evaluation. */
export interface EvaluationEntry<Options extends z.ZodObject = z.ZodObject, Result = unknown> {
  type: string
  /** An option that only this entry has: where it is given, `task` need not be. */
  impliedBy?: string
  /** Whether it measures what the model was trained for, as its folder says: then `task` need not be given. */
  measures?(model: string): Promise<boolean>
  /** Options beside those of every evaluation; a name that two entries share means the same in both. */
  options: Options
  run(input: EvaluationInput, options: z.output<Options>, hooks: EvaluateHooks): Promise<Result>
  /** The result as text for a terminal. */
  render(result: Result): string
}

/** Declares a kind of evaluation; the type of the entry's own options stays inside the entry. */
export const defineEvaluation = <Options extends z.ZodObject, Result>(
  entry: EvaluationEntry<Options, Result>,
): EvaluationEntry => entry as EvaluationEntry
