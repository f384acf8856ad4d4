// Runs a list of filters over documents, counting what each lets through, rewrites and drops.
// Knows no filter by name, and nothing of where documents come from or go to.

import { parseConfig } from '../core/index.ts'
import { type ComponentSpec, coerceOptions, lookUp } from './component-spec.ts'
import { type CorpusDocument, textBytes } from './document.ts'
import { createFilter, type Filter, type FilterDefinition } from './filters/filter.ts'
import { filters } from './filters/index.ts'
import { countDrop, emptyCounts, type StageCounts } from './stage-counts.ts'

/** A filter of a build: its stage name in reports, and its options with every default filled in. */
export interface FilterStage {
  stage: string
  type: string
  options: Record<string, unknown>
}

/** Checks filter specs against the registry; ConfigError names the place in the list. */
export function resolveFilters(specs: readonly ComponentSpec[], registry = registeredFilters()): FilterStage[] {
  const seen = new Map<string, number>()
  return specs.map((spec, index) => {
    const where = `filter[${index}]`
    const definition = lookUp(registry, spec.type, where)
    const options = parseConfig(
      definition.config,
      coerceOptions(definition.config, spec.options),
      `${where}.${spec.type}`,
    )
    const count = (seen.get(spec.type) ?? 0) + 1
    seen.set(spec.type, count)
    return {
      stage: count === 1 ? spec.type : `${spec.type}-${count}`,
      type: spec.type,
      options: options as Record<string, unknown>,
    }
  })
}

export function registeredFilters(): Readonly<Record<string, FilterDefinition>> {
  return filters as unknown as Record<string, FilterDefinition>
}

export type ChainResult =
  | { document: CorpusDocument }
  | { stage: string; reason: string; detail?: string; bytes: number; document: CorpusDocument }

/** The reason of a document on which a filter threw: a fault of the filter, told in the report, never a lost build. */
export const filterFailed = 'filter-failed'

export class FilterChain {
  private counts: StageCounts[] = []

  private constructor(
    private readonly stages: readonly { stage: string; filter: Filter; reasons: readonly string[] }[],
  ) {
    this.reset()
  }

  static async create(stages: readonly FilterStage[], registry = registeredFilters()): Promise<FilterChain> {
    const ready = []
    for (const { stage, type, options } of stages) {
      const definition = lookUp(registry, type, 'filter')
      const filter = await createFilter(definition, options, `filter.${stage}`)
      ready.push({ stage, filter, reasons: definition.reasons })
    }
    return new FilterChain(ready)
  }

  /** Passes one document through the filters in order, until one drops it. */
  apply(document: CorpusDocument): ChainResult {
    let current = document
    let bytes = textBytes(current.text)
    for (let index = 0; index < this.stages.length; index++) {
      const { stage, filter } = this.stages[index]!
      const counts = this.counts[index]!
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

  /** The counts since the last call, one for each stage in order. */
  takeCounts(): StageCounts[] {
    const counts = this.counts
    this.reset()
    return counts
  }

  private reset(): void {
    this.counts = this.stages.map(({ stage, reasons }) => emptyCounts(stage, reasons))
  }
}
