// The outcome of a comparison in words: which run is best on each set of records, and which ones it beats beyond chance.
import { groupBy } from '../../core/index.ts'
import type { ComparedRun } from './compare.ts'

/** Differences that chance gives as often as this, or more often, decide nothing. */
const significance = 0.05

const together = (names: readonly string[]): string =>
  names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names[names.length - 1]}`

const are = (names: readonly string[], what: string): string =>
  `${together(names)} ${names.length === 1 ? 'is' : 'are'} ${what}`

/** A sentence or two for each group of runs that were scored on the same records; none for a run that is alone. */
export const verdictsOf = (runs: readonly ComparedRun[]): string[] =>
  [...groupBy(runs, ({ task, metric, records }) => JSON.stringify([task, metric, records])).values()].flatMap(
    (group) => {
      const best = group.find(({ value, difference }) => difference === undefined && Number.isFinite(value))
      const others = group.filter(({ difference }) => difference !== undefined)
      if (best === undefined || others.length === 0) return []
      const isWorse = ({ difference }: ComparedRun) => (difference?.probability ?? 1) < significance
      const worse = others.filter(isWorse).map(({ name }) => name)
      const level = others.filter((run) => !isWorse(run)).map(({ name }) => name)
      const first = `${best.name} has the best ${best.metric}, ${best.value.toFixed(4)}.`
      const beaten = worse.length === 0 ? [] : [`${are(worse, 'worse')} by more than chance.`]
      const equal = level.length === 0 ? [] : [`${are(level, 'not worse')} by more than chance.`]
      return [[first, ...beaten, ...equal].join(' ')]
    },
  )
