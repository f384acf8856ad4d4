// What a head must say of itself to join `predict`. Knows no head.
import type { z } from 'zod'
import type { ReadyModel } from '../open-model.ts'

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
