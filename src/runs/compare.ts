// Fine-tuned runs side by side: what each can do and what each cost. Reads what runs left behind; knows no task and no variant.
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DataError } from '../core/index.ts'
import { EVENTS_FILE, readEvents, readRunCard } from '../tracking/index.ts'
import { EVALUATION_FILE } from './evaluation-files.ts'
import { MODEL_FOLDER, readRecipe } from './execute.ts'
import type { FinetuneRecipe } from './finetune-recipe.ts'

export interface ComparedRun {
  run: string
  base: string
  task: string
  variant: string
  /** Started from random weights. */
  fresh: boolean
  metric: string
  value: number
  low: number
  high: number
  trainedParameters: number
  /** Wall time of training and evaluation. */
  seconds: number
  /** Largest memory of the process. */
  peakBytes: number
  /** Of the files that the run leaves: the whole model, or the adapter alone. */
  fileBytes: number
  /** Trained tokens a second. */
  tokensPerSecond: number
}

interface Evaluation {
  mainMetric: string
  metrics: Record<string, { value: number; low: number; high: number }>
}

const sizeOf = async (folder: string): Promise<number> => {
  let bytes = 0
  for (const name of await readdir(folder))
    if (name.endsWith('.safetensors')) bytes += (await stat(join(folder, name))).size
  return bytes
}

const readRun = async (folder: string): Promise<ComparedRun> => {
  const recipe = (await readRecipe(folder)) as FinetuneRecipe
  const path = join(folder, MODEL_FOLDER, EVALUATION_FILE)
  const text = await readFile(path, 'utf8').catch(() => {
    throw new DataError(
      `${folder}: Expected a finished fine-tuning run, found no ${MODEL_FOLDER}/${EVALUATION_FILE}. Go on with it: \`tunesmith resume ${folder}\`.`,
    )
  })
  const { mainMetric, metrics } = JSON.parse(text) as Evaluation
  const card = await readRunCard(folder)
  let [peakBytes, tokens, seconds] = [0, 0, 0]
  for await (const event of readEvents(join(folder, EVENTS_FILE)))
    if (event.type === 'step') {
      peakBytes = Math.max(peakBytes, event.memoryBytes)
      tokens = event.tokens
      seconds += event.seconds
    }
  return {
    run: folder,
    base: recipe.base,
    task: recipe.task,
    variant: recipe.variant,
    fresh: recipe.fresh,
    metric: mainMetric,
    ...metrics[mainMetric],
    trainedParameters: card?.parameters ?? 0,
    seconds: card?.wallSeconds ?? seconds,
    peakBytes,
    fileBytes: await sizeOf(join(folder, MODEL_FOLDER)),
    tokensPerSecond: seconds > 0 ? tokens / seconds : 0,
  }
}

/** Best first. @throws DataError for folders without a finished fine-tuning run */
export const compareRuns = async (folders: readonly string[]): Promise<ComparedRun[]> => {
  const rows = await Promise.all(folders.map(readRun))
  return rows.sort((a, b) => a.task.localeCompare(b.task) || b.value - a.value)
}
