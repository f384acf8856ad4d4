// The space of a search: a range or a list of choices for each key of the recipe that varies.
import { ConfigError, type Random, show } from '../../../core/index.ts'

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
