// What a document filter is: the contract between the pipeline and each file of this folder.
// It does not know how documents are read, stored, counted or spread over workers.

import type { z } from 'zod'
import { parseConfig } from '../../core/index.ts'

/** The JSON values that travel with a document from its source (url, title, date, language …). */
export type DocumentMetadata = Readonly<Record<string, unknown>>

/** A document as filters see it. */
export interface FilterDocument {
  readonly id: string
  readonly text: string
  readonly metadata: DocumentMetadata
}

/** Kept: `text` is present only when the filter rewrote it; `metadata` holds fields to add or replace. */
export interface KeepDecision {
  readonly keep: true
  readonly text?: string
  readonly metadata?: DocumentMetadata
}

/** Dropped: `reason` is one of the filter's `reasons` (few, countable); `detail` is the figure that decided. */
export interface DropDecision {
  readonly keep: false
  readonly reason: string
  readonly detail?: string
}

export type FilterDecision = KeepDecision | DropDecision

/** A filter ready to work: a pure function of the document, so that any worker may run it in any order. */
export interface Filter {
  apply(document: FilterDocument): FilterDecision
}

export interface FilterDefinition<Schema extends z.ZodType = z.ZodType> {
  /** The name in recipes and reports, kebab-case, equal to the file's name. */
  readonly type: string
  readonly config: Schema
  /** The paper or reference implementation that the default thresholds come from. */
  readonly source: string
  /** One sentence for help and reports. */
  readonly summary: string
  /** Every reason that `apply` can give, so that reports can show a zero. */
  readonly reasons: readonly string[]
  create(config: z.output<Schema>): Filter | Promise<Filter>
}

/** Declares a filter; the registry in index.ts lists what this returns. */
export const defineFilter = <Schema extends z.ZodType>(
  definition: FilterDefinition<Schema>,
): FilterDefinition<Schema> => definition

/** The decision of every filter that has nothing to say; shared, so that keeping costs no allocation. */
export const keep: KeepDecision = Object.freeze({ keep: true })

/** A drop with the figure that decided, kept short because reports store samples of it. */
export const drop = (reason: string, detail?: string | number): DropDecision => {
  if (detail === undefined) return { keep: false, reason }
  return { keep: false, reason, detail: typeof detail === 'number' ? formatFigure(detail) : detail.slice(0, 200) }
}

const formatFigure = (value: number): string =>
  Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)))

/** Checks `value` against the filter's schema and builds it; throws ConfigError naming `where`. */
export const createFilter = async (definition: FilterDefinition, value: unknown, where: string): Promise<Filter> =>
  await definition.create(parseConfig(definition.config, value ?? {}, where))
