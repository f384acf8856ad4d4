// The paths of the API that the page "Compare" asks for. Independent of Node: the pages import it, and a shared file has its answers by these paths.
import type { PairFilter } from './types/compare-types.ts'

/** Runs that are compared at once. */
export const maxCompared = 32

/** Records on a page of predictions. */
export const predictionRows = 25

/** Which pairs of predictions can be shown, in the order of the page. */
export const pairFilters = [
  'changed',
  'first',
  'second',
  'both-wrong',
  'both-right',
  'all',
] as const satisfies PairFilter[]

/** Ids with commas between them; an id may have commas itself. */
export const encodeIds = (ids: readonly string[]): string => ids.map(encodeURIComponent).join(',')

/** The comparison of some runs. */
export const comparisonPath = (ids: readonly string[]): string =>
  `/api/comparison?runs=${encodeURIComponent(encodeIds(ids))}`

/** Where specialists on all tasks are asked for. */
export const matrixPath = '/api/comparison/matrix'

/** The scores of some runs on all of their tasks. */
export const matrixPathOf = (ids: readonly string[]): string =>
  `${matrixPath}?runs=${encodeURIComponent(encodeIds(ids))}`

/** A page of predictions of two runs. */
export const predictionsPath = (
  first: string,
  second: string,
  { filter, search = '', from = 0 }: { filter: PairFilter; search?: string; from?: number },
): string => {
  const query = { first, second, filter, search, from: String(from), count: String(predictionRows) }
  return `/api/comparison/predictions?${new URLSearchParams(query)}`
}
