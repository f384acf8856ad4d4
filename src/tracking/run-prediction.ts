// What a run was predicted to take before its first step, and what it took: kept side by side in its run card.
import { formatBytes, formatDuration } from '../core/index.ts'

/** What the plan of a run predicts. */
export interface RunPrediction {
  /** Largest memory of tensors in training, in bytes. */
  peakBytes: number
  /** Largest memory of tensors and of freed blocks that the allocator keeps, in bytes. */
  heldBytes: number
  /** Memory of the whole process, with `marginBytes` for what a plan does not see. */
  rssBytes: number
  marginBytes: number
  /** Phase of the step in which the peak occurs. */
  phase: string
  parameters: number
  trainedParameters: number
  /** Undefined for a budget of minutes. */
  steps?: number
  tokensPerStep: number
  flopsPerStep: number
  /** Number of processes that share each batch: FLOPs are those of all, memory and time those of the first (default: 1). */
  processes?: number
  /** Whether the FLOPs are also those of answers that the run writes itself (default: false). */
  writesAnswers?: boolean
  /** FLOPs of the whole run; undefined for a budget of minutes. */
  flops?: number
  /** Time of all training steps; undefined where the machine's speed is not known. */
  seconds?: number
  /** Bounds of the time. */
  range?: [number, number]
  /** Source of the speed, in words. */
  source?: string
  /** Time that planning took, in seconds. */
  planSeconds: number
  /** Sentences about memory that is short. */
  notes: string[]
}

/** What a run took in its training steps. */
export interface RunMeasurement {
  /** Largest memory of tensors on the device of the run, in bytes, in the last session. */
  peakBytes: number
  /** Largest memory of the process on that device after a step. */
  rssBytes: number
  /** Time of all training steps. */
  seconds: number
  /** FLOPs of the steps, by those that the plan counted for each token. */
  flops?: number
  /** Compute threads. */
  threads: number
}

const flopsText = (flops: number): string => flops.toExponential(2)
const secondsText = (seconds: number): string => formatDuration(1000 * seconds)

/** A value that was predicted and measured, as text. */
export interface ComparedCost {
  name: string
  predicted: string
  measured: string
  /** `+3.1 %`: how far the measurement is from the prediction; empty where one of them is missing. */
  difference: string
}

/** Prediction and measurement of a run, side by side. */
export const compareCosts = (
  prediction: RunPrediction | undefined,
  measurement: RunMeasurement | undefined,
): ComparedCost[] => {
  const row = (
    name: string,
    text: (value: number) => string,
    predicted: number | undefined,
    measured: number | undefined,
  ): ComparedCost => {
    const difference = predicted && measured !== undefined ? 100 * (measured / predicted - 1) : undefined
    return {
      name,
      predicted: predicted === undefined ? '–' : text(predicted),
      measured: measured === undefined ? '–' : text(measured),
      difference: difference === undefined ? '' : `${difference < 0 ? '−' : '+'}${Math.abs(difference).toFixed(1)} %`,
    }
  }
  return [
    row('peak of tensors', formatBytes, prediction?.peakBytes, measurement?.peakBytes),
    row('memory of the process', formatBytes, prediction?.rssBytes, measurement?.rssBytes),
    row('FLOPs', flopsText, prediction?.flops, measurement?.flops),
    row('time of the steps', secondsText, prediction?.seconds, measurement?.seconds),
  ]
}

/** The plan of a run in two or three lines, printed before its first step. */
export const describePrediction = (
  { peakBytes, rssBytes, phase, steps, flops, flopsPerStep, seconds, range, source, notes }: RunPrediction,
  memoryBytes: number,
): string[] => {
  const count = steps === undefined ? '' : `${steps.toLocaleString('en')} steps, `
  const work = flops === undefined ? `${flopsText(flopsPerStep)} FLOPs a step` : `${flopsText(flops)} FLOPs`
  const time =
    seconds === undefined
      ? ''
      : `, about ${secondsText(seconds)}${range === undefined ? '' : ` (${range.map(secondsText).join(' to ')})`} by ${source}`
  return [
    `plan: ${count}${work}${time}`,
    `plan: ${formatBytes(peakBytes)} of tensors at the peak (${phase}), about ${formatBytes(rssBytes)} in all, of ${formatBytes(memoryBytes)}`,
    ...notes.map((note) => `plan: ${note}`),
  ]
}
