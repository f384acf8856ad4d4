// What the quickstart's runs cost, from their run cards: the base beside each specialist.
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DataError, formatBytes, formatCount, formatDuration } from '../../core/index.ts'
import { readRunCard } from '../../tracking/index.ts'

export interface RunCost {
  name: string
  /** Wall time of all sessions, evaluation included. */
  seconds: number
  /** Time of all threads. */
  cpuSeconds: number
  steps: number
  tokens: number
  /** Estimated floating-point operations. */
  flops: number
  trainedParameters: number
  /** Bytes of the weights that the run leaves: the whole model, or the adapter alone. */
  fileBytes: number
}

const weightBytes = async (model: string): Promise<number> => {
  const names = (await readdir(model)).filter((name) => name.endsWith('.safetensors'))
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(model, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** The cost of a finished run, from its card and the weights in its folder `model`. @throws DataError for a run without a card */
export const readCost = async (name: string, run: string, model: string): Promise<RunCost> => {
  const card = await readRunCard(run)
  if (card === undefined) throw new DataError(`Expected the run card of a finished run in ${run}, found none.`)
  return {
    name,
    seconds: card.wallSeconds,
    cpuSeconds: card.cpuSeconds,
    steps: card.steps,
    tokens: card.tokens,
    flops: card.flops ?? 0,
    trainedParameters: card.parameters ?? 0,
    fileBytes: await weightBytes(model),
  }
}

export const costHead = ['run', 'time', 'CPU time', 'steps', 'tokens', 'FLOPs', 'trained', 'file']

export const costRow = (cost: RunCost): string[] => [
  cost.name,
  formatDuration(cost.seconds * 1000),
  formatDuration(cost.cpuSeconds * 1000),
  String(cost.steps),
  formatCount(cost.tokens),
  cost.flops.toExponential(1).replace('e+', 'e'),
  formatCount(cost.trainedParameters),
  formatBytes(cost.fileBytes),
]
