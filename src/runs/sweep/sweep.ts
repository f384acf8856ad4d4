// A sweep: one recipe at every point of a grid, one run after another. Started again it continues: finished runs are skipped, and a stopped
// one is resumed. Each runs in a subprocess, which returns its memory. Independent of task and variant.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { ConfigError, DataError, parseConfig, writeFileAtomic } from '../../core/index.ts'
import { expectOneProcess } from '../../distributed/index.ts'
import { startOf } from '../kinds.ts'
import { withModules } from '../use-modules.ts'
import { recipeAt, type SweepAxes, type SweepPoint, sweepPoints } from './points.ts'
import { runPoints, type SweepListener, type SweptRun } from './run-points.ts'
import { type SweepSetting, summarize } from './summary.ts'

/** Name of the file in a sweep folder that holds the recipe and the axes. */
export const SWEEP_FILE = 'sweep.json'
const SUMMARY_FILE = 'summary.json'

/** A recipe with the values that vary. */
export interface SweepInput {
  /** The recipe of one run, without `out`; `command` is its kind (default: finetune). */
  recipe: object
  over: SweepAxes
  /** Folder of the sweep, with one folder per run. */
  out: string
}

/** The outcome of a sweep. */
export interface SweepResult {
  out: string
  reason: 'finished' | 'interrupted'
  /** The metric that settings are ordered by. */
  metric: string | undefined
  /** Runs grouped by everything but the seed, the best first. */
  settings: SweepSetting[]
  /** Whether the best setting stands out from the second; undefined where that is not known. */
  clear?: boolean
  runs: SweptRun[]
}

interface SweepFile {
  recipe: unknown
  over: Record<string, unknown[]>
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

/** @throws ConfigError for a folder with another sweep, or with other files */
const expectSameSweep = async (out: string, recipe: object, over: SweepAxes): Promise<void> => {
  const path = join(out, SWEEP_FILE)
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) {
    const present: string[] = await readdir(out).catch(() => [])
    if (present.length > 0)
      throw new ConfigError(
        `Expected a new folder or that of a sweep for \`out\`, found ${present.length} other files in ${out}. Name another folder.`,
      )
    return
  }
  let known: SweepFile
  try {
    known = JSON.parse(text) as SweepFile
  } catch (error) {
    throw new DataError(`Expected the recipe of a sweep, got ${(error as Error).message}. The file is damaged.`, path)
  }
  const faults: string[] = []
  const axes = Object.keys(known.over)
  if (!isDeepStrictEqual([...axes].sort(), Object.keys(over).sort()))
    faults.push(
      `Expected the keys ${axes.join(', ')} for \`over\`, as the sweep in ${out} was started with, got ${Object.keys(over).join(', ')}. Only values may be added.`,
    )
  else {
    // Compared at one point with every default filled in, as a recipe may leave defaults out.
    const first = { name: '', over: Object.fromEntries(axes.map((axis) => [axis, known.over[axis][0]])) }
    const [before, now] = [known.recipe as object, recipe].map((each) => {
      const whole = recipeAt(each, first)
      return parseConfig(startOf(whole.command).schema, { ...whole, out }, 'sweep') as Record<string, unknown>
    })
    for (const key of new Set([...Object.keys(before), ...Object.keys(now)]))
      if (!isDeepStrictEqual(before[key], now[key]))
        faults.push(
          `Expected \`${key}\` as the sweep in ${out} was started with (${JSON.stringify(before[key])}), got ${JSON.stringify(now[key])}. Start another sweep in a new folder.`,
        )
    for (const axis of axes) {
      const left = known.over[axis].filter((value) => !over[axis].some((other) => isDeepStrictEqual(value, other)))
      if (left.length > 0)
        faults.push(
          `Expected the values of \`over.${axis}\` that the sweep in ${out} was started with, but ${left.map((value) => JSON.stringify(value)).join(', ')} is missing. Only values may be added.`,
        )
    }
  }
  if (faults.length > 0) throw new ConfigError(faults)
}

/** Checks every point. @throws ConfigError that lists each fault once, with the points that have it */
const checkPoints = (recipe: object, points: readonly SweepPoint[], out: string): void => {
  const faults = new Map<string, string[]>()
  for (const point of points) {
    const whole = recipeAt(recipe, point)
    try {
      startOf(whole.command).check({ ...whole, out: join(out, point.name) })
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      faults.set(error.message, [...(faults.get(error.message) ?? []), point.name])
    }
  }
  if (faults.size === 0) return
  throw new ConfigError(
    [...faults].map(([message, names]) => {
      const which = names.length === points.length ? 'every run' : names.slice(0, 5).join(' and ')
      return `${which}${names.length > 5 && names.length < points.length ? ` and ${names.length - 5} more` : ''}: ${message}`
    }),
  )
}

/**
 * Runs every point that has not finished.
 * @throws ConfigError before the first run for a point that cannot run, and for a folder with another sweep
 */
export const sweep = async (input: SweepInput, listener: SweepListener = {}): Promise<SweepResult> => {
  expectOneProcess('sweep')
  const { out } = input
  const { out: _, ...given } = input.recipe as Record<string, unknown>
  const recipe = await withModules(plain({ command: 'finetune', ...given }) as object)
  const over = plain(input.over) as SweepAxes
  const points = sweepPoints(over)
  const names = new Set(points.map(({ name }) => name))
  if (names.size < points.length)
    throw new ConfigError(
      'Expected values with different names for `over`, got some with the same name. Change one of them.',
    )
  checkPoints(recipe, points, out)
  await expectSameSweep(out, recipe, over)
  await writeFileAtomic(join(out, SWEEP_FILE), `${JSON.stringify({ recipe, over }, null, 2)}\n`)
  const runs: SweptRun[] = points.map((point) => ({ ...point, folder: join(out, point.name), status: 'waiting' }))
  const reason = await runPoints(
    runs,
    (run) => recipeAt(recipe, run),
    listener,
    async () => {
      await writeSummary(out, runs)
    },
  )
  return { out, reason, ...(await writeSummary(out, runs)), runs }
}

const writeSummary = async (out: string, runs: SweptRun[]) => {
  const summary = await summarize(runs)
  await writeFileAtomic(join(out, SUMMARY_FILE), `${JSON.stringify({ ...summary, runs }, null, 2)}\n`)
  return summary
}
