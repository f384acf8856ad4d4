// The contract of a document filter.

import type { z } from 'zod'
import { parseConfig } from '../../core/index.ts'

/** JSON metadata of a document from its source (url, title, date, language …). */
type DocumentMetadata = Readonly<Record<string, unknown>>

/** A document as the input of a filter. */
interface FilterDocument {
  readonly id: string
  readonly text: string
  readonly metadata: DocumentMetadata
}

/** Keeps a document; `text` is present only when the filter rewrote it, `metadata` has fields to add or replace. */
export interface KeepDecision {
  readonly keep: true
  readonly text?: string
  readonly metadata?: DocumentMetadata
}

/** Drops a document; `reason` is one of the filter's `reasons`, `detail` the value that exceeded a threshold. */
export interface DropDecision {
  readonly keep: false
  readonly reason: string
  readonly detail?: string
}

export type FilterDecision = KeepDecision | DropDecision

/** A filter with its options: a pure function of the document, so that workers can run it in any order. */
export interface Filter {
  apply(document: FilterDocument): FilterDecision
}

export interface FilterDefinition<Schema extends z.ZodType = z.ZodType> {
  /** Name in recipes and reports, in kebab case, equal to the file's name. */
  readonly type: string
  readonly config: Schema
  /** Paper or reference implementation of the default thresholds. */
  readonly source: string
  /** One sentence for help and reports. */
  readonly summary: string
  /** All reasons that `apply` can return, so that reports can show zeros. */
  readonly reasons: readonly string[]
  create(config: z.output<Schema>): Filter | Promise<Filter>
}

/** Declares a filter. */
export const defineFilter = <Schema extends z.ZodType>(
  definition: FilterDefinition<Schema>,
): FilterDefinition<Schema> => definition

/** The decision to keep a document unchanged; shared, so that it needs no allocation. */
export const keep: KeepDecision = Object.freeze({ keep: true })

/** The decision to drop a document, with a short detail, since reports store samples of it. */
export const drop = (reason: string, detail?: string | number): DropDecision => {
  if (detail === undefined) return { keep: false, reason }
  return { keep: false, reason, detail: typeof detail === 'number' ? formatFigure(detail) : detail.slice(0, 200) }
}

const formatFigure = (value: number): string =>
  Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)))

/** A filter with its options checked. @throws ConfigError that names `where` */
export const createFilter = async (definition: FilterDefinition, value: unknown, where: string): Promise<Filter> =>
  await definition.create(parseConfig(definition.config, value ?? {}, where))
