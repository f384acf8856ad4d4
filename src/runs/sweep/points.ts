// The points of a sweep: every combination of the values that vary, or points in the space of a search, each with a name made of its values.
import { ConfigError, type Random, sha256, show } from '../../core/index.ts'

/** A range of numbers that a search takes values from. */
export interface SearchRange {
  low: number
  high: number
  /** `log` for values whose order of magnitude matters, such as learning rates (default: linear). */
  scale?: 'linear' | 'log'
  /** Whole numbers only (default: false). */
  integer?: boolean
}

/** What a key may be: values to choose from, or a range of numbers. */
export type SearchAxis = readonly unknown[] | SearchRange

/** Numbers of a range on a straight line, on which a search works. */
export interface Line {
  low: number
  high: number
  /** The interval of the line that stands for a value: one point, or as wide as an integer. */
  cell(value: number): { low: number; high: number }
  value(position: number): number
}

const number = String.raw`[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:e[+-]?\d+)?`
const rangeText = new RegExp(`^(${number})\\.\\.(${number})((?::(?:log|linear|int))*)$`, 'i')

/** The range that a text means, such as `1e-5..1e-2:log` or `4..64:int`; undefined for any other text. */
export const parseRange = (text: string): SearchRange | undefined => {
  const found = rangeText.exec(text.trim())
  if (found === null) return undefined
  const [low, high] = found.slice(1, 3).map((one) => Number(one.replaceAll('_', '')))
  const words = found[3].toLowerCase().split(':')
  return {
    low,
    high,
    ...(words.includes('log') ? { scale: 'log' } : {}),
    ...(words.includes('int') ? { integer: true } : {}),
  }
}

/** Whether an axis is a range of numbers. */
export const isRange = (axis: unknown): axis is SearchRange =>
  typeof axis === 'object' && axis !== null && !Array.isArray(axis)

const known = ['low', 'high', 'scale', 'integer']

/** What is wrong with a range; empty for a sound one. */
export const rangeFaults = (path: string, range: SearchRange): string[] => {
  const { low, high, scale = 'linear', integer = false } = range
  const where = `\`over.${path}\``
  const strange = Object.keys(range).filter((key) => !known.includes(key))
  if (strange.length > 0)
    return [`Expected ${known.join(', ')} for ${where}, got ${strange.map((key) => `\`${key}\``).join(', ')}.`]
  if (!Number.isFinite(low) || !Number.isFinite(high) || low >= high)
    return [`Expected a range from a lower to a higher number for ${where}, got ${show(low)}..${show(high)}.`]
  if (scale !== 'linear' && scale !== 'log')
    return [`Expected linear or log for the scale of ${where}, got ${show(scale)}.`]
  if (typeof integer !== 'boolean') return [`Expected true or false for \`integer\` of ${where}, got ${show(integer)}.`]
  if (scale === 'log' && low <= 0)
    return [`Expected a range above 0 for ${where}, which is logarithmic, got ${low}..${high}.`]
  if (integer && !(Number.isSafeInteger(low) && Number.isSafeInteger(high)))
    return [`Expected whole numbers as ends of ${where}, got ${low}..${high}.`]
  return []
}

/** Digits of a value: more would make no difference to a run, and long folder names. */
const digits = 4

/** A range as a line: its logarithm for a logarithmic scale, with integers in the middle of cells of their own. */
export const lineOf = ({ low, high, scale = 'linear', integer = false }: SearchRange): Line => {
  const [onto, back] = scale === 'log' ? [Math.log, Math.exp] : [(x: number) => x, (x: number) => x]
  const half = integer ? 0.5 : 0
  const inside = (value: number) => Math.min(high, Math.max(low, value))
  return {
    low: onto(low - half),
    high: onto(high + half),
    cell: (value) => ({ low: onto(value - half), high: onto(value + half) }),
    value: (position) => {
      const value = back(position)
      return inside(integer ? Math.round(value) : Number(value.toPrecision(digits)))
    },
  }
}

/** A value for each key, every one equally likely along its line. */
export const randomPoint = (space: Readonly<Record<string, SearchAxis>>, random: Random): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(space).map(([path, axis]) => {
      if (!isRange(axis)) return [path, axis[random.integer(axis.length)]]
      const line = lineOf(axis)
      return [path, line.value(line.low + random.float() * (line.high - line.low))]
    }),
  )

/** The number of different points; Infinity where a range is continuous. */
export const pointCount = (space: Readonly<Record<string, SearchAxis>>): number =>
  Object.values(space).reduce<number>((product, axis) => {
    if (!isRange(axis)) return product * axis.length
    return product * (axis.integer ? axis.high - axis.low + 1 : Number.POSITIVE_INFINITY)
  }, 1)

/** Points at the ends of each axis, the others at their first value: what a recipe must allow. */
export const extremePoints = (space: Readonly<Record<string, SearchAxis>>): Record<string, unknown>[] => {
  const ends = Object.entries(space).map(([path, axis]): [string, readonly unknown[]] => {
    if (!isRange(axis)) return [path, axis]
    const line = lineOf(axis)
    return [path, [axis.low, line.value((line.low + line.high) / 2), axis.high]]
  })
  const first = Object.fromEntries(ends.map(([path, values]) => [path, values[0]]))
  return ends.flatMap(([path, values]) => values.map((value) => ({ ...first, [path]: value })))
}

/** @throws ConfigError for more trials than there are points */
export const expectEnoughPoints = (space: Readonly<Record<string, SearchAxis>>, trials: number): void => {
  const count = pointCount(space)
  if (trials > count)
    throw new ConfigError(
      `Expected at most ${count} for \`search.trials\`, as \`over\` has no more combinations, got ${trials}. Lower it, or use the method grid.`,
    )
}

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
