// The results of a sweep for a terminal: settings with their scores, the trials of a search, and learning curves.
import { byCodeUnits, formatDuration, programCall, shellWord } from '../../core/index.ts'
import { type SearchTrial, type SweepResult, type SweepSetting, unrankedReason } from '../../runs/index.ts'
import { isLowerBetter, renderCurves, type Series } from '../../tracking/index.ts'
import { renderTable } from './table.ts'

const width = 80
const chartHeight = 10
/** The axis of a learning curve. */
const shareAxis = 'share'

const shown = (value: number | undefined) => (value === undefined || Number.isNaN(value) ? '–' : value.toFixed(4))
const interval = ({ low, high }: { low: number; high: number }) => `${shown(low)} to ${shown(high)}`
const probability = (value: number) => (value < 0.001 ? '< 0.001' : value.toFixed(3))

const axesOf = (settings: readonly SweepSetting[]): string[] => Object.keys(settings[0]?.over ?? {})

const settingRows = (settings: readonly SweepSetting[], metric: string): string => {
  const axes = axesOf(settings)
  const several = settings.some(({ runs }) => runs.length > 1)
  const hasInterval = settings.some((setting) => setting.interval !== undefined)
  const hasTest = settings.some(({ difference }) => difference !== undefined)
  const head = [
    ...axes,
    metric,
    ...(several ? ['spread'] : []),
    ...(hasInterval ? ['95 % interval'] : []),
    ...(hasTest ? ['behind the best', 'p'] : []),
    'runs',
    'time',
  ]
  const rows = settings.map(({ over, mean, spread, runs, seconds, difference, failed, of, ...setting }) => [
    ...axes.map((axis) => String(over[axis])),
    shown(mean),
    ...(several ? [runs.length > 1 ? `± ${shown(spread)}` : ''] : []),
    ...(hasInterval ? [setting.interval === undefined ? '' : interval(setting.interval)] : []),
    ...(hasTest
      ? [shown(difference && Math.abs(difference.value)), difference ? probability(difference.probability) : '']
      : []),
    failed === undefined ? String(runs.length) : `${runs.length} (${failed} of ${of} failed)`,
    formatDuration(seconds * 1000),
  ])
  return renderTable(
    head.length > 0 && axes.length === 0 ? ['setting', ...head] : head,
    axes.length === 0 ? rows.map((row) => ['all runs', ...row]) : rows,
    width,
  )
}

/** Score against the share of the training records, a curve for each combination of the other keys. */
const learningCurve = (settings: readonly SweepSetting[], metric: string): string[] => {
  const points = settings.filter(({ over }) => typeof over[shareAxis] === 'number')
  const curves = new Map<string, SweepSetting[]>()
  for (const setting of points) {
    const { [shareAxis]: _, ...others } = setting.over
    const name = Object.entries(others)
      .map(([axis, value]) => `${axis} ${String(value)}`)
      .join(', ')
    curves.set(name, [...(curves.get(name) ?? []), setting])
  }
  const series = [...curves].map(([name, own]): Series => {
    const sorted = own.sort((a, b) => Number(a.over[shareAxis]) - Number(b.over[shareAxis]))
    return { name, x: sorted.map(({ over }) => Number(over[shareAxis])), y: sorted.map(({ mean }) => mean) }
  })
  if (series.every(({ x }) => x.length < 2)) return []
  const title = `${metric} against the share of the training records`
  return [renderCurves(series, { width, height: chartHeight, title, xLabel: shareAxis })]
}

/** By share where shares vary, which shows the curve; else the best first. */
const inOrder = (settings: readonly SweepSetting[]): SweepSetting[] => {
  const nameOf = ({ over: { [shareAxis]: _, ...others } }: SweepSetting) => JSON.stringify(others)
  const shares = new Set(settings.map(({ over }) => over[shareAxis]))
  if (shares.size < 2) return [...settings]
  return [...settings].sort(
    (a, b) => byCodeUnits(nameOf(a), nameOf(b)) || Number(a.over[shareAxis]) - Number(b.over[shareAxis]),
  )
}

/** The trials of a search: those that were trained to their end first, and of these the best. */
const trialTable = (trials: readonly SearchTrial[], metric: string): string[] => {
  if (trials.length === 0) return []
  const sign = isLowerBetter(metric) ? 1 : -1
  const rank = ({ value, status }: SearchTrial) =>
    status === 'finished' ? 0 : value === undefined || Number.isNaN(value) ? 2 : 1
  const worth = ({ value = Number.NaN }: SearchTrial) => (Number.isNaN(value) ? Number.POSITIVE_INFINITY : sign * value)
  const depth = ({ steps = Number.POSITIVE_INFINITY }: SearchTrial) => steps
  const sorted = [...trials].sort(
    (a, b) =>
      rank(a) - rank(b) || descending(depth(a), depth(b)) || ascending(worth(a), worth(b)) || a.number - b.number,
  )
  const axes = Object.keys(trials[0].over)
  const rows = sorted.map(({ number, over, value, status, steps }) => [
    String(number),
    ...axes.map((axis) => String(over[axis])),
    shown(value),
    steps === undefined ? status : `${status} at ${steps}`,
  ])
  const finished = trials.filter(({ value, status }) => value !== undefined && status === 'finished')
  let best = Number.NaN
  const bests = finished.map(({ value = Number.NaN }) => {
    if (Number.isNaN(best) || sign * value < sign * best) best = value
    return best
  })
  const series = { name: metric, x: finished.map(({ number }) => number), y: bests }
  const title = `best ${metric} so far, by trial`
  return [
    ...(finished.length < 3 ? [] : [renderCurves([series], { width, height: chartHeight, title, xLabel: 'trial' })]),
    renderTable(['trial', ...axes, metric, 'status'], rows, width),
  ]
}

/** Infinity minus Infinity is no number. */
const ascending = (a: number, b: number): number => (a === b ? 0 : a < b ? -1 : 1)
const descending = (a: number, b: number): number => ascending(b, a)

const bestLines = ({ settings, clear }: SweepResult): string[] => {
  const axes = axesOf(settings)
  if (axes.length === 0) return []
  return [
    `Best: ${axes.map((axis) => `${axis} ${String(settings[0].over[axis])}`).join(', ')}`,
    ...(clear === false
      ? [`No clear difference from the next: ${whyUnclear(settings[1])}. More seeds or validation records may tell.`]
      : []),
    ...(clear === undefined ? unknownLines(settings) : []),
  ]
}

const whyUnclear = ({ difference }: SweepSetting): string => {
  if (difference === undefined) return 'their confidence intervals overlap'
  const p = `p = ${probability(difference.probability)}`
  return 'splits' in difference
    ? `${p} over ${difference.splits} splits, by the corrected resampled t-test`
    : `${p} over ${difference.seeds} seeds, by Welch's t-test`
}

/** Why it is not known whether the best setting stands out, where more runs would tell. */
const unknownLines = ([best, next]: readonly SweepSetting[]): string[] => {
  if (next === undefined) return []
  const start = 'Whether it differs from the next is not known'
  if (best.failed !== undefined || next.failed !== undefined) return [`${start}: runs of them failed.`]
  if (best.runs.length !== next.runs.length) return [`${start}: they have different numbers of runs.`]
  return best.runs.length === 2 ? [`${start}: a test takes three seeds of each.`] : []
}

/** A sweep as text. */
export const renderSweep = (result: SweepResult): string => {
  const { out, reason, metric = 'score', settings, runs, trials, unranked = [] } = result
  const failed = runs.filter(({ status }) => status === 'failed')
  const left = runs.filter(({ status }) => status === 'waiting' || status === 'interrupted')
  const repeated = settings.some((setting) => setting.runs.length > 1)
  return [
    ...learningCurve(settings, metric),
    ...(trials === undefined ? [] : trialTable(trials, metric)),
    ...(settings.length > 0 && (trials === undefined || repeated) ? [settingRows(inOrder(settings), metric)] : []),
    ...failed.map(({ name, message }) => `${name} failed: ${message}`),
    ...unranked.map((run) => `${run.name} is not ranked: ${unrankedReason(run, metric)}.`),
    ...bestLines(result),
    ...(reason === 'interrupted'
      ? [
          trials === undefined
            ? `Stopped with ${left.length} of ${runs.length} runs left. Run the same command again to continue.`
            : `Stopped in trial ${trials.length}. Run the same command again to continue.`,
        ]
      : []),
    // `compare` takes finished runs alone.
    `Details: ${out}/summary.json${runs.every(({ status }) => status === 'finished') ? `, and ${programCall('compare')} ${shellWord(out)}/*/` : ''}`,
  ].join('\n')
}
