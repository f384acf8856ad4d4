// What every run's folder holds whatever the run does, and what is said to whoever watches. Knows no kind of run.
import { mkdir } from 'node:fs/promises'
import { arch } from 'node:os'
import { join } from 'node:path'
import { exists, writeFileAtomic } from '../../core/index.ts'
import { buildFacts } from '../../tensor/index.ts'
import type { PreFlight, TrainingEvent } from '../../training/index.ts'
import type { CommonRecipe } from './run-kind.ts'

export const RUN_FILE = 'run.json'
export const MODEL_FOLDER = 'model'

export interface RunListener {
  /** Before the first step, which waits for it; `fresh` is false where a run goes on. */
  onPreFlight?(facts: PreFlight, start: { fresh: boolean; step: number }): void | Promise<void>
  onEvent?(event: TrainingEvent): void
  onNote?(line: string): void
  signal?: AbortSignal
}

export interface RunResult {
  out: string
  /** The folder that transformers opens; undefined when interrupted before the end. */
  model?: string
  reason: 'finished' | 'interrupted'
  steps: number
  tokens: number
  /** Wall time of all sessions. */
  seconds: number
  loss: number
  /** Of the model that is left where it was judged for that, else of the last evaluation while training. */
  metrics: Record<string, number>
}

/** Whether the run in a folder came to its end. */
export const isFinished = (folder: string): Promise<boolean> => exists(join(folder, MODEL_FOLDER))

export const writeRecipe = async (recipe: CommonRecipe): Promise<void> => {
  await mkdir(recipe.out, { recursive: true })
  await writeFileAtomic(join(recipe.out, RUN_FILE), `${JSON.stringify(recipe, null, 2)}\n`)
}

export const versions = async (): Promise<Record<string, string>> => ({
  node: process.version,
  libtorch: buildFacts().torchVersion,
  platform: `${process.platform} ${arch()}`,
})
