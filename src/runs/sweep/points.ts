// The points of a sweep: every combination of the values that vary, each with a name made of those values.
import { ConfigError, sha256, show } from '../../core/index.ts'
import { extremePoints, isRange, rangeFaults, type SearchAxis } from './search/space.ts'

/** Values, or for a search also ranges, by the path of a recipe's key: `learningRate`, `adapter.rank`. */
export type SweepAxes = Readonly<Record<string, SearchAxis>>

/** Axes with lists of values alone. */
export type GridAxes = Readonly<Record<string, readonly unknown[]>>

export interface SweepPoint {
  /** Name of its folder. */
  name: string
  /** Its value on each axis. */
  over: Record<string, unknown>
}

/** More points than this are taken for a mistake. */
const maxPoints = 10_000

const setAt = (target: Record<string, unknown>, path: readonly string[], value: unknown): Record<string, unknown> => {
  const [key, ...rest] = path
  if (rest.length === 0) return { ...target, [key]: value }
  const inner = target[key]
  const below = typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? inner : {}
  return { ...target, [key]: setAt(below as Record<string, unknown>, rest, value) }
}

/** A recipe with the point's values in place of its own. */
export const recipeAt = (recipe: object, { over }: SweepPoint): Record<string, unknown> =>
  Object.entries(over).reduce<Record<string, unknown>>((made, [path, value]) => setAt(made, path.split('.'), value), {
    ...recipe,
  })

const word = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** A name for a folder, with a hash if the values are too long or have characters that a name cannot have. */
export const nameOf = (over: Record<string, unknown>): string => {
  const paths = Object.keys(over)
  const last = (path: string) => path.split('.').at(-1)!
  const short = (path: string) => (paths.filter((other) => last(other) === last(path)).length > 1 ? path : last(path))
  const whole = paths.map((path) => `${short(path)}=${word(over[path])}`).join(',')
  const safe = whole.replace(/[^\w.,=+-]+/g, '_')
  return safe === whole && safe.length <= 120 ? safe : `${safe.slice(0, 100)}-${sha256(whole).slice(0, 8)}`
}

const axisFaults = (path: string, axis: unknown): string[] => {
  if (path.split('.').some((key) => key === '' || key === '__proto__'))
    return [`Expected a key of the recipe for \`over\`, got ${show(path)}.`]
  if (path === 'out' || path === 'command')
    return [`Expected a key that may vary for \`over\`, got \`${path}\`: each run has its own folder already.`]
  if (isRange(axis)) return rangeFaults(path, axis)
  if (!Array.isArray(axis) || axis.length === 0)
    return [`Expected a list of values or a range for \`over.${path}\`, got ${show(axis)}.`]
  if (new Set(axis.map((value) => JSON.stringify(value))).size < axis.length)
    return [`Expected each value once for \`over.${path}\`, got ${show(axis)}.`]
  return []
}

/** @throws ConfigError for axes that are none, or without values, or with a value twice */
export const expectAxes = (axes: SweepAxes): void => {
  const faults = Object.entries(axes).flatMap(([path, axis]) => axisFaults(path, axis))
  if (Object.keys(axes).length === 0)
    faults.push('A sweep needs values to vary: set `over`, for instance --over.learning-rate 1e-4,5e-4.')
  if (faults.length > 0) throw new ConfigError(faults)
}

/** @throws ConfigError for a range, of which a grid has no values */
function expectLists(axes: SweepAxes): asserts axes is GridAxes {
  const ranges = Object.keys(axes).filter((path) => isRange(axes[path]))
  if (ranges.length > 0)
    throw new ConfigError(
      ranges.map(
        (path) =>
          `\`over.${path}\` is a range, of which a grid has no values: list them, or set \`search.method\` to random, tpe or asha.`,
      ),
    )
}

/** All points; the last axis varies fastest. @throws ConfigError for axes without values, or with a value twice */
export const sweepPoints = (axes: SweepAxes): SweepPoint[] => {
  expectAxes(axes)
  expectLists(axes)
  const count = Object.values(axes).reduce((product, values) => product * values.length, 1)
  if (count > maxPoints)
    throw new ConfigError(`Expected at most ${maxPoints} runs for \`over\`, got ${count}. Vary less at a time.`)
  return combinations(axes).map((over) => ({ name: nameOf(over), over }))
}

/** Points at the ends of each axis of a space: what a recipe must allow. */
export const endPoints = (space: SweepAxes): SweepPoint[] =>
  extremePoints(space).map((over) => ({ name: nameOf(over), over }))

/** Every combination of the values; the last axis varies fastest. */
export const combinations = (axes: GridAxes): Record<string, unknown>[] =>
  Object.entries(axes).reduce<Record<string, unknown>[]>(
    (points, [path, values]) => points.flatMap((point) => values.map((value) => ({ ...point, [path]: value }))),
    [{}],
  )
