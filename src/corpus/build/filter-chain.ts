// Runs a list of filters over documents and counts what each passes, rewrites and drops.

import { parseConfig } from '../../core/index.ts'
import { type CorpusDocument, textBytes } from '../document.ts'
import { createFilter, type Filter, type FilterDefinition } from '../filters/filter.ts'
import { filters } from '../filters/index.ts'
import { coerceOptions, type FilterSpec, lookUp } from './component-spec.ts'
import { countDrop, emptyCounts, type StageCounts } from './stage-counts.ts'

/** A filter of a build: its stage name in reports, and its options with every default filled in. */
export interface FilterStage {
  stage: string
  type: string
  /** Kinds of source that it applies to; documents of others skip it and are not counted. */
  kinds?: string[]
  options: Record<string, unknown>
}

const registeredFilters: Readonly<Record<string, FilterDefinition>> = filters

/** Checks filter specs against the registry. @throws ConfigError that names the position in the list */
export const resolveFilters = (specs: readonly FilterSpec[], registry = registeredFilters): FilterStage[] => {
  const seen = new Map<string, number>()
  return specs.map((spec, index) => {
    const where = `filter[${index}]`
    const definition = lookUp(registry, spec.type, where)
    const options = parseConfig(
      definition.config,
      coerceOptions(definition.config, spec.options),
      `${where}.${spec.type}`,
    )
    const name = spec.kinds === undefined ? spec.type : `${spec.type}@${spec.kinds.join('+')}`
    const count = (seen.get(name) ?? 0) + 1
    seen.set(name, count)
    return {
      stage: count === 1 ? name : `${name}-${count}`,
      type: spec.type,
      ...(spec.kinds === undefined ? {} : { kinds: spec.kinds }),
      options: options as Record<string, unknown>,
    }
  })
}

export type ChainResult =
  | { document: CorpusDocument }
  | { stage: string; reason: string; detail?: string; bytes: number; document: CorpusDocument }

/** The reason of a document on which a filter threw; the fault is reported instead of stopping the build. */
export const filterFailed = 'filter-failed'

interface ReadyStage {
  stage: string
  kinds?: readonly string[]
  filter: Filter
  reasons: readonly string[]
}

export class FilterChain {
  readonly #stages: readonly ReadyStage[]
  #counts: StageCounts[] = []

  private constructor(stages: readonly ReadyStage[]) {
    this.#stages = stages
    this.#reset()
  }

  static async create(stages: readonly FilterStage[], registry = registeredFilters): Promise<FilterChain> {
    const ready: ReadyStage[] = []
    for (const { stage, type, kinds, options } of stages) {
      const definition = lookUp(registry, type, 'filter')
      const filter = await createFilter(definition, options, `filter.${stage}`)
      ready.push({ stage, kinds, filter, reasons: definition.reasons })
    }
    return new FilterChain(ready)
  }

  /** Applies the filters to one document in order, until one drops it. */
  apply(document: CorpusDocument): ChainResult {
    let current = document
    let bytes = textBytes(current.text)
    for (let index = 0; index < this.#stages.length; index++) {
      const { stage, kinds, filter } = this.#stages[index]!
      if (kinds !== undefined && !kinds.includes(document.source.kind)) continue
      const counts = this.#counts[index]!
      counts.documentsIn += 1
      counts.bytesIn += bytes
      let decision: ReturnType<Filter['apply']>
      try {
        decision = filter.apply(current)
      } catch (error) {
        decision = { keep: false, reason: filterFailed, detail: (error as Error).message.slice(0, 200) }
      }
      if (!decision.keep) {
        countDrop(counts, decision.reason)
        const { reason, detail } = decision
        return { stage, reason, ...(detail === undefined ? {} : { detail }), bytes, document: current }
      }
      if (decision.text !== undefined && decision.text !== current.text) {
        current = { ...current, text: decision.text }
        bytes = textBytes(current.text)
        counts.changed += 1
      }
      if (decision.metadata !== undefined) {
        current = { ...current, metadata: { ...current.metadata, ...decision.metadata } }
      }
      counts.documentsOut += 1
      counts.bytesOut += bytes
    }
    return { document: current }
  }

  /** Counts since the last call, one per stage in order. */
  takeCounts(): StageCounts[] {
    const counts = this.#counts
    this.#reset()
    return counts
  }

  #reset(): void {
    this.#counts = this.#stages.map(({ stage, reasons }) => emptyCounts(stage, reasons))
  }
}
