// Settings of the scheduler of generation.
import type { Tokenizer } from '../tokenizers/index.ts'
import type { AdapterRouting } from './adapter-routing.ts'
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
