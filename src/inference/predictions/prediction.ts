// What an entry of `predict` declares for the head it serves, and what the entries that use a task share.
import type { z } from 'zod'
import { readTask, type SpecialistTask } from '../../runs/index.ts'
import { evaluateTaskSchema } from '../../tasks/index.ts'
import type { InferenceModel } from '../load.ts'

/** How `predict` serves the models with one kind of head. */
export interface PredictionEntry<Options extends z.ZodObject = z.ZodObject, Result = unknown> {
  /** Options beside those of every prediction. */
  options: Options
  predict(loaded: InferenceModel, text: string, options: z.output<Options>): Result | Promise<Result>
  /** One result as text for a terminal. */
  render(result: Result): string
}

/** Declares how `predict` serves a head; the type of the entry's own options stays inside the entry. */
export const definePrediction = <Options extends z.ZodObject, Result>(
  entry: PredictionEntry<Options, Result>,
): PredictionEntry => entry as PredictionEntry

/** Options of every entry that uses a task. */
export const taskPredictionOptions = {
  maxLength: evaluateTaskSchema.shape.maxLength.describe(
    "maximum tokens per text (default: as in fine-tuning, else the model's limit, up to 512 or the task's own limit)",
  ),
}

/** The task that a specialist was fine-tuned on, as recorded in its folder. */
export const recordedTask = async (loaded: Pick<InferenceModel, 'folder'>): Promise<SpecialistTask | undefined> => {
  if (loaded.folder === undefined) return undefined
  // Read once for a model in memory, whose files may be replaced by those of another one later.
  const task = recordedTasks.get(loaded) ?? readTask(loaded.folder)
  recordedTasks.set(loaded, task)
  return task
}

const recordedTasks = new WeakMap<object, Promise<SpecialistTask | undefined>>()
