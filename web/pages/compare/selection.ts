// The runs that are compared: in the address, so that a link has them.
import { encodeIds, maxCompared } from '../../../src/serving/studio/compare-paths.ts'
import { route, setQuery } from '../../router.ts'

/** Runs that have curves at a time. */
export const maxCurves = 8

const decodeIds = (value: string): string[] =>
  value
    .split(',')
    .filter(Boolean)
    .flatMap((id) => {
      try {
        return [decodeURIComponent(id)]
      } catch {
        return []
      }
    })

/** The chosen runs, in the order in which they were chosen. */
export const chosenIds = (): string[] =>
  [...new Set(decodeIds(route.value.query.get('runs') ?? ''))].slice(0, maxCompared)

export const setChosen = (ids: readonly string[]): void =>
  setQuery({ runs: ids.length === 0 ? undefined : encodeIds(ids) })

export const toggleChosen = (id: string): void => {
  const ids = chosenIds()
  setChosen(ids.includes(id) ? ids.filter((other) => other !== id) : [...ids, id])
}

/** Dashes of curves, so that colours are not all that tells them apart. */
export const dashes: readonly (readonly number[])[] = [[], [7, 4], [2, 3], [10, 3, 2, 3]]

/** The last part of an id that tells it from the others. */
export const shortName = (id: string, ids: readonly string[]): string => {
  const parts = id.split('/')
  for (let count = 1; count <= parts.length; count++) {
    const name = parts.slice(-count).join('/')
    if (!ids.some((other) => other !== id && (other === name || other.endsWith(`/${name}`)))) return name
  }
  return id
}
