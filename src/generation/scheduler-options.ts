// Settings of the scheduler of generation, and how it computes rows with different adapters, which src/adapters implements.
import type { Model } from '../models/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import type { SpeculationOptions } from './speculation.ts'

/** Settings of a scheduler. */
export interface SchedulerOptions {
  /** For prompts and results as text. */
  tokenizer?: Tokenizer
  /** Maximum number of texts that are computed together (default: 16). It is halved when memory does not suffice. */
  maxRows?: number
  /** Maximum number of prompt tokens that are computed between two steps of the other texts (default: 256). */
  prefillTokens?: number
  /** The same for steps without other texts (default: 2048); a process that must answer meanwhile sets less. */
  idlePrefillTokens?: number
  /**
   * Maximum bytes of keys and values of earlier prompts and texts, which are used again where a prompt begins the same
   * (default: 0, none).
   */
  prefixCacheBytes?: number
  /** Adapters that requests can choose by name. */
  adapters?: AdapterRouting
  /**
   * A value that changes whenever weights change, such as the number of the training step: nothing that was computed
   * with other weights is used again.
   */
  version?: () => number | string
  /** Waited for before each step, so that requests and other work of the process have their turn (default: one turn of the event loop). */
  turn?: () => Promise<unknown>
  /**
   * On other devices than the CPU: record steps that grow each text by one token and replay them in one call, as CUDA graphs
   * (default: true). It changes no text.
   */
  graphs?: boolean
  /** Proposes the next tokens of texts, which the model then computes at once (default: none are proposed). */
  speculation?: SpeculationOptions
}

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
