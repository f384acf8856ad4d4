// How a scheduler computes rows with different adapters. Implemented by src/adapters; independent of adapters here.
import type { Model } from '../models/index.ts'

/** Consecutive tokens of a packed row with one adapter. */
export interface AdapterSegment {
  /** Name of the adapter; null for the base without adapters. */
  adapter: string | null
  tokens: number
}

/** The adapters that requests can choose. */
export interface AdapterRouting {
  /** @throws ConfigError for an unknown name, with the nearest one */
  check(adapter: string | null): void
  /** Changes when the name stands for another adapter; without a name, when others are active in the model. */
  version(adapter: string | null | undefined): number | string
  /** Adapters with the same key can be computed in one forward pass. */
  batchKey(adapter: string | null): string
  /** Runs `forward` so that each segment of its packed row uses its adapter. All segments have one `batchKey`. */
  run<Result>(segments: readonly AdapterSegment[], forward: (model: Model) => Result): Result
}
