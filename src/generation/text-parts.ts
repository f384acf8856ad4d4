// The hidden states of one long text of a decoder, a part at a time through a KV cache: other work of the process runs between the parts.
// Independent of architectures, adapters and of what the hidden states are for.
import { setImmediate } from 'node:timers/promises'
import type { Model } from '../models/index.ts'
import { scope, type Tensor } from '../tensor/index.ts'
import { nextHidden } from './row-decoder.ts'
import { SlotCache } from './slot-cache.ts'

/** How a text is computed in parts. */
export interface TextPartsOptions {
  /** Maximum number of tokens of a part (default: 256). */
  partTokens?: number
  signal?: AbortSignal
  /** Called before each part; other work runs meanwhile (default: a turn of the event loop). */
  turn?(): Promise<unknown>
  /** Runs the computation of a part, such as with the adapters of the text (default: with the model as it is). */
  run?<Result>(compute: (model: Model) => Result): Result
}

/**
 * Calls `use` with the hidden states [n,C] of each part of a text, which are freed afterwards unless they are kept.
 * @throws the reason of the signal, before the next part
 */
export const forEachPart = async (
  model: Model,
  ids: readonly number[] | Uint32Array,
  use: (hidden: Tensor, from: number, model: Model) => void,
  { partTokens = 256, signal, turn = setImmediate, run = (compute) => compute(model) }: TextPartsOptions = {},
): Promise<void> => {
  const cache = new SlotCache(model.facts.numLayers, ids.length)
  cache.resize(1)
  try {
    for (let from = 0; from < ids.length; from += partTokens) {
      await turn()
      signal?.throwIfAborted()
      const piece = { slot: 0, ids: Array.from(ids.slice(from, from + partTokens)) }
      run((active) => scope(() => use(nextHidden(active, cache, [piece]), from, active)))
    }
  } finally {
    cache.free()
  }
}
