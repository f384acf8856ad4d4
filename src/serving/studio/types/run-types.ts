// What the page of one run gets beside `RunDetails`. Only types, and independent of Node, since the page imports them.
export type { BatchPart, BatchRow, BatchRows } from '../../../runs/index.ts'

/** Texts that the model wrote after a step. */
export interface RunSamples {
  /** Steps with samples, ascending. */
  steps: number[]
  /** The samples of the steps that were asked for. */
  samples: { step: number; texts: { prompt: string | null; text: string }[] }[]
}

/** A checkpoint on disk. */
export interface CheckpointRow {
  step: number
  /** Relative to the run's folder. */
  path: string
  bytes: number
  /** ISO time. */
  written: string
  /** Largest files, with their sizes. */
  files: { name: string; bytes: number }[]
}

/** Answer of `GET /api/runs/:run/files`. */
export interface RunFilesAnswer {
  checkpoints: CheckpointRow[]
  /** Bytes of the finished model; null without one. */
  modelBytes: number | null
  /** What the plan of the run predicted and what it took; measurements of a run that still trains are those so far. */
  costs: { name: string; predicted: string; measured: string; difference: string }[]
  /** Reports of steps that were not finite. */
  incidents: { step: number; report: string }[]
}
