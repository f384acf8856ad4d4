// What a task must say of itself to join `evaluate`. Knows no task.
import type { z } from 'zod'
import type { SpecialistTask } from '../../runs/index.ts'
import type { CommandContext } from '../command.ts'
import type { ModelChoice } from '../parts/open-model.ts'

export interface EvaluationInput extends ModelChoice {
  data: readonly string[]
  /** How the model was taught this task, where it is a specialist in it. */
  taught?: Pick<SpecialistTask, 'settings' | 'maxLength'>
}

export interface EvaluationTask<Options extends z.ZodObject = z.ZodObject, Result = unknown> {
  type: string
  /** Its flags beside those of every evaluation; a name that two tasks share means the same in both. */
  options: Options
  run(input: EvaluationInput, options: z.output<Options>, context: CommandContext): Promise<Result>
  /** The result for people. */
  render(result: Result): string
}

export const defineEvaluation = <Options extends z.ZodObject, Result>(
  task: EvaluationTask<Options, Result>,
): EvaluationTask<Options, Result> => task
