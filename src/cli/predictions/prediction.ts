// What a head must say of itself to join `predict`, and what entries that ask a task share. Knows no head.
import type { z } from 'zod'
import { readTask, type SpecialistTask } from '../../runs/index.ts'
import { evaluateTaskSchema } from '../../tasks/index.ts'
import type { ReadyModel } from '../parts/open-model.ts'

export interface Prediction<Options extends z.ZodObject = z.ZodObject, Result = unknown> {
  /** Its flags beside those of every prediction. */
  options: Options
  predict(ready: ReadyModel, text: string, options: z.output<Options>): Result | Promise<Result>
  /** One result for people. */
  render(result: Result): string
}

export const definePrediction = <Options extends z.ZodObject, Result>(
  prediction: Prediction<Options, Result>,
): Prediction<Options, Result> => prediction

/** Flags of every entry that asks a task. */
export const askingOptions = {
  maxLength: evaluateTaskSchema.shape.maxLength.describe(
    'most tokens of a text; as many as a specialist was taught with, else what the model takes, up to 512 or what the task says, unless given',
  ),
}

/** What a specialist was taught, by its own files. */
export const taughtOf = async ({ folder }: Pick<ReadyModel, 'folder'>): Promise<SpecialistTask | undefined> =>
  folder === undefined ? undefined : readTask(folder)
