// Plans against short real runs: the peak of tensors, the memory of the process and the time, predicted before the first step and measured
// after the last. Each run has a process of its own.
// Options: --set first,second,rollouts --only TEXT --calibrate (learn rates and margins from the runs of `first`) --out FILE.jsonl
// --measure STEPS: runs of so many steps, whose time is predicted from some measured ones; on a quiet machine only.
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { calibratePlans, planRun, runInSubprocess } from '../src/runs/index.ts'
import { readRunCard } from '../src/tracking/index.ts'
import type { BenchOptions } from './main.ts'
import { plannerCases } from './planner/cases.ts'
import { makePlannerData } from './planner/data.ts'
import { printTable } from './side-by-side.ts'

interface Outcome {
  name: string
  set: string
  /** Predicted and measured, in bytes and seconds. */
  peak: [number, number]
  rss: [number, number]
  seconds: [number | undefined, number]
  planSeconds: number
}

const megabytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)
const percent = ([predicted, measured]: [number, number]): string =>
  `${measured >= predicted ? '+' : '−'}${Math.abs(100 * (measured / predicted - 1)).toFixed(1)} %`

const rowOf = ({ name, set, peak, rss, seconds: [predicted, measured] }: Outcome): string[] => [
  name,
  set,
  ...peak.map(megabytes),
  percent(peak),
  ...rss.map(megabytes),
  percent(rss),
  predicted === undefined
    ? '–'
    : `${predicted.toFixed(2)} / ${measured.toFixed(2)} (${percent([predicted, measured])})`,
]

/** How many outcomes are within a share of their prediction. */
const within = (pairs: readonly (readonly [number, number])[], share: number): string => {
  const count = pairs.filter(([predicted, measured]) => Math.abs(measured / predicted - 1) <= share).length
  return `${count} of ${pairs.length} within ${100 * share} %`
}

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: {
      set: { type: 'string', default: 'first,second' },
      only: { type: 'string', default: '' },
      out: { type: 'string' },
      calibrate: { type: 'boolean', default: false },
      measure: { type: 'string' },
    },
  })
  const measuredSteps = values.measure === undefined ? undefined : Number(values.measure)
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-planner-'))
  // What the user's runs have taught stays out of it.
  process.env.XDG_CACHE_HOME = join(folder, 'cache')
  const outcomes: Outcome[] = []
  const unplanned: string[] = []
  try {
    const data = await makePlannerData(folder)
    const folders = new Map<string, string>()
    const runOf = (name: string): string => folders.get(name) ?? join(folder, 'missing')
    const sets = values.set.split(',')
    for (const [name, { set, recipe }] of Object.entries(plannerCases)) {
      if (smoke && outcomes.length === 2) break
      const out = join(folder, `run-${folders.size}`)
      folders.set(name, out)
      const shown = sets.includes(set) && name.includes(values.only)
      // Runs that others start from are always made.
      if (!shown && !isBase(name)) continue
      const made = recipe(data, runOf)
      const isTimed = shown && measuredSteps !== undefined
      const whole = { ...made, ...(isTimed ? { budget: { steps: measuredSteps } } : {}), out }
      const timed = isTimed ? await planRun(whole, { measure: true, story: false }) : undefined
      await runInSubprocess(whole)
      const card = await readRunCard(out)
      if (!shown) continue
      if (card?.prediction === undefined || card.measured === undefined) {
        unplanned.push(name)
        continue
      }
      const { prediction, measured } = card
      const outcome: Outcome = {
        name,
        set,
        peak: [prediction.peakBytes, measured.peakBytes],
        rss: [prediction.rssBytes, measured.rssBytes],
        seconds: [timed?.rows[0].costs?.seconds ?? prediction.seconds, measured.seconds],
        planSeconds: prediction.planSeconds,
      }
      outcomes.push(outcome)
      if (values.calibrate && set === 'first') await calibratePlans([out])
      console.error(rowOf(outcome).join(' | '))
      if (values.out !== undefined) appendFileSync(values.out, `${JSON.stringify(outcome)}\n`)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  const head = ['run', 'set', 'tensors, MiB', 'measured', 'difference', 'process, MiB', 'measured', 'difference']
  printTable([[...head, 'time, s'], ...outcomes.map(rowOf)])
  if (unplanned.length > 0) console.log(`without a plan: ${unplanned.join(', ')}`)
  console.log(
    `tensors: ${within(
      outcomes.map(({ peak }) => peak),
      0.01,
    )}`,
  )
  console.log(
    `process: ${within(
      outcomes.map(({ rss }) => rss),
      0.1,
    )}`,
  )
  const times = outcomes.flatMap(({ seconds: [predicted, measured] }): [number, number][] =>
    predicted === undefined ? [] : [[predicted, measured]],
  )
  if (times.length > 0) console.log(`time: ${within(times, 0.15)}`)
}

/** Whether a later run starts from the model of this one. */
const isBase = (name: string): boolean => {
  const asked = new Set<string>()
  const files = new Proxy({}, { get: () => ({ bpe: {}, wordpiece: {} }) }) as never
  for (const { recipe } of Object.values(plannerCases))
    recipe(files, (base) => {
      asked.add(base)
      return ''
    })
  return asked.has(name)
}
