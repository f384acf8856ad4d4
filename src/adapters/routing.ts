// The adapters of a body for a scheduler of text generation: requests with different adapters in one batch where the
// methods allow it, batch after batch otherwise.
import type { AdapterRouting } from '../generation/index.ts'
import type { Model } from '../models/index.ts'
import { adaptersOf, type BankEntry } from './bank.ts'
import type { RoutedSegment } from './layer-adapter.ts'

const numbers = new WeakMap<BankEntry, number>()
let count = 0

/** A number for each adapter that was ever added: a new one of the same name is another one. */
const numberOf = (entry: BankEntry): number => {
  const number = numbers.get(entry) ?? ++count
  numbers.set(entry, number)
  return number
}

/** For `adapters` of a `GenerationScheduler`: requests name adapters of this model, or null for its base. */
export const adapterRouting = (model: Model): AdapterRouting => {
  const bank = adaptersOf(model)
  const mixes = (adapter: string | null) => adapter === null || bank.canMix(adapter)
  return {
    check: (adapter) => {
      if (adapter !== null) bank.get(adapter)
    },
    version: (adapter) => {
      const names = adapter === undefined ? bank.active : adapter === null ? [] : [adapter]
      return names.map((name) => numberOf(bank.get(name))).join()
    },
    batchKey: (adapter) => (mixes(adapter) ? 'mixed' : `only ${adapter}`),
    run: (segments, forward) => {
      const [{ adapter }] = segments
      // One adapter that is active anyway, or cannot be mixed, needs no routes.
      const active = bank.active.join() === (adapter ?? '')
      if ((active || !mixes(adapter)) && segments.every((segment) => segment.adapter === adapter))
        return bank.using(adapter, forward)
      const routed: RoutedSegment[] = []
      let from = 0
      for (const { adapter: name, tokens } of segments) {
        const last = routed.at(-1)
        if (last?.name === name) last.count += tokens
        else routed.push({ name, from, count: tokens })
        from += tokens
      }
      return bank.routed(routed, forward)
    },
  }
}
