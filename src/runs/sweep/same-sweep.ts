// Whether the folder of a sweep is new, or that of the same sweep, which then continues.
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { ConfigError, DataError, parseConfig } from '../../core/index.ts'
import { SWEEP_FILE } from '../../tracking/index.ts'
import { readMark } from '../engine/marked-folder.ts'
import { startOf } from '../kinds.ts'
import { recipeAt, type SweepAxes } from './points.ts'
import type { Search } from './search/methods.ts'
import { isRange } from './search/space.ts'

/** The content of sweep.json. */
export interface SweepFile {
  recipe: object
  over: SweepAxes
  /** Settings of the search; undefined for a grid. */
  search?: Search['settings']
}

/** What may not change: the recipe, compared at one point with every default filled in, as a recipe may leave defaults out. */
const recipeFaults = (known: SweepFile, { recipe }: SweepFile, out: string): string[] => {
  const first = {
    name: '',
    over: Object.fromEntries(
      Object.entries(known.over).map(([path, axis]) => [path, isRange(axis) ? axis.low : axis[0]]),
    ),
  }
  const [before, now] = [known.recipe, recipe].map((each) => {
    const whole = recipeAt(each, first)
    return parseConfig(startOf(whole.command).schema, { ...whole, out }, 'sweep') as Record<string, unknown>
  })
  return [...new Set([...Object.keys(before), ...Object.keys(now)])]
    .filter((key) => !isDeepStrictEqual(before[key], now[key]))
    .map(
      (key) =>
        `Expected \`${key}\` as the sweep in ${out} was started with (${JSON.stringify(before[key])}), got ${JSON.stringify(now[key])}. Start another sweep in a new folder.`,
    )
}

/** The values of a grid may grow; the space of a search may not, as its trials depend on it. */
const axisFaults = (known: SweepFile, { over }: SweepFile, out: string): string[] =>
  Object.entries(known.over).flatMap(([path, axis]) => {
    const now = over[path]
    if (known.search !== undefined || isRange(axis) || isRange(now))
      return isDeepStrictEqual(axis, now)
        ? []
        : [
            `Expected \`over.${path}\` as the search in ${out} was started with (${JSON.stringify(axis)}), got ${JSON.stringify(now)}. Start another search in a new folder.`,
          ]
    const left = axis.filter((value) => !now.some((other) => isDeepStrictEqual(value, other)))
    if (left.length === 0) return []
    return [
      `Expected the values of \`over.${path}\` that the sweep in ${out} was started with, but ${left.map((value) => JSON.stringify(value)).join(', ')} is missing. Only values may be added.`,
    ]
  })

/** More trials continue a search; other settings would have made other trials. */
const searchFaults = (known: SweepFile, { search }: SweepFile, out: string): string[] => {
  const { trials: before = 0, ...others } = known.search ?? {}
  const { trials: now = 0, ...own } = search ?? {}
  if (!isDeepStrictEqual(others, own))
    return [
      `Expected \`search\` as the sweep in ${out} was started with (${JSON.stringify(known.search ?? { method: 'grid' })}), got ${JSON.stringify(search ?? { method: 'grid' })}. Start another sweep in a new folder.`,
    ]
  return now >= before ? [] : [`Expected at least ${before} for \`search.trials\`, as before, got ${now}.`]
}

/** @throws ConfigError for a folder with another sweep, or with other files */
export const expectSameSweep = async (out: string, now: SweepFile): Promise<void> => {
  const path = join(out, SWEEP_FILE)
  const text = await readMark(out, SWEEP_FILE, 'sweep')
  if (text === undefined) return
  let known: SweepFile
  try {
    known = JSON.parse(text) as SweepFile
  } catch (error) {
    throw new DataError(`Expected the recipe of a sweep, got ${(error as Error).message}. The file is damaged.`, path)
  }
  const axes = Object.keys(known.over)
  const faults = isDeepStrictEqual([...axes].sort(), Object.keys(now.over).sort())
    ? [recipeFaults, axisFaults, searchFaults].flatMap((faultsOf) => faultsOf(known, now, out))
    : [
        `Expected the keys ${axes.join(', ')} for \`over\`, as the sweep in ${out} was started with, got ${Object.keys(now.over).join(', ')}. Only values may be added.`,
      ]
  if (faults.length > 0) throw new ConfigError(faults)
}
