// What a run takes, measured beside its prediction: memory, time and operations of its training steps.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { deviceMemory, getThreads, memoryStatistics, resetDevicePeak, resetPeakMemory } from '../../tensor/index.ts'
import { type RunMeasurement, type RunPrediction, runFiles, type StepEvent } from '../../tracking/index.ts'

/** Counts the memory of tensors from now on, without what the process holds already. */
export interface MemoryWatch {
  /** Largest memory of tensors since the watch began, in bytes. */
  peakBytes(): number
}

/** Begins to watch the memory of tensors on the device of a run; on the CPU where libtorch counts none there. */
export const watchMemory = (device: string): MemoryWatch => {
  const before = deviceMemory(device)
  if (before !== undefined) {
    resetDevicePeak(device)
    return { peakBytes: () => (deviceMemory(device)?.peak ?? 0) - before.inUse }
  }
  const { inUse } = memoryStatistics()
  resetPeakMemory()
  return { peakBytes: () => memoryStatistics().peak - inUse }
}

/** What is known of the costs of a run when it begins. */
export interface StartCosts {
  prediction: RunPrediction | undefined
  /** Whether the folder has the prediction already. */
  isPlanned: boolean
  memory: MemoryWatch
}

/** Sums of the steps of a run. */
export class StepCosts {
  #seconds = 0
  #tokens = 0
  #rssBytes = 0

  add({ seconds, tokens, memoryBytes }: StepEvent): void {
    this.#seconds += seconds
    this.#tokens = tokens
    this.#rssBytes = Math.max(this.#rssBytes, memoryBytes)
  }

  measurement({ prediction, memory }: Omit<StartCosts, 'isPlanned'>): RunMeasurement {
    const perToken = prediction === undefined ? undefined : prediction.flopsPerStep / prediction.tokensPerStep
    return {
      peakBytes: memory.peakBytes(),
      rssBytes: this.#rssBytes,
      seconds: this.#seconds,
      ...(perToken === undefined ? {} : { flops: perToken * this.#tokens }),
      threads: getThreads(),
    }
  }
}

/** The prediction in the folder of a run; undefined where there is none, or a damaged one. */
export const readPrediction = async (folder: string): Promise<RunPrediction | undefined> => {
  try {
    return JSON.parse(await readFile(join(folder, runFiles.plan), 'utf8')) as RunPrediction
  } catch {
    return undefined
  }
}

/** Stores the prediction of a run. */
export const writePrediction = (folder: string, prediction: RunPrediction): Promise<void> =>
  writeFile(join(folder, runFiles.plan), `${JSON.stringify(prediction, null, 2)}\n`)
