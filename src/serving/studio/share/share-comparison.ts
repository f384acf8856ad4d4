// A comparison of runs as one HTML file: the page "Compare" with its curves, scores, predictions and matrices, and the page of each run.
import { comparisonPath, encodeIds, matrixPathOf, pairFilters, predictionsPath } from '../compare-paths.ts'
import type { MatrixState, RunComparisonAnswer } from '../types/compare-types.ts'
import { answersOf, type SharedStudio, sharePages } from './share.ts'

/** Runs of one task whose predictions are in the file pair by pair: the best ones. */
const maxPaired = 4

/** Buckets of curves and steps with samples of each run, of which a file has many. */
const content = { buckets: 600, samples: 20 }

/** Pairs of runs that were scored on the same records, in both orders. */
const pairsOf = (runs: RunComparisonAnswer['runs']): [string, string][] => {
  const groups = new Map<string, string[]>()
  for (const { id, group } of runs) groups.set(group, [...(groups.get(group) ?? []), id])
  return [...groups.values()].flatMap((ids) => {
    const best = ids.slice(0, maxPaired)
    return best.flatMap((a) => best.filter((b) => b !== a).map((b): [string, string] => [a, b]))
  })
}

/**
 * A comparison of runs of a studio as the text of an HTML file.
 * @param ids at most `maxCompared`
 * @throws ConfigError for an unknown run
 */
export const shareComparison = async (from: SharedStudio, ids: readonly string[]): Promise<string> => {
  const path = comparisonPath(ids)
  const answers = await answersOf(from.ask, { [path]: path })
  const { runs } = answers[path] as RunComparisonAnswer
  const paths = [
    ...runs.map(({ id }) => `/api/runs/${encodeURIComponent(id)}/evaluation`),
    ...pairsOf(runs).flatMap(([a, b]) => pairFilters.map((filter) => predictionsPath(a, b, { filter }))),
  ]
  // Some runs have no predictions: the page says why, as it does in the studio.
  const views = await answersOf(from.ask, Object.fromEntries(paths.map((each) => [each, each])), { keepErrors: true })
  // Every specialist on every task, if it was computed: its models cannot run in a file.
  const scored = [...new Set(runs.map(({ id }) => id))]
  const matrixAt = matrixPathOf(scored)
  const matrix = scored.length === 0 ? {} : await answersOf(from.ask, { [matrixAt]: matrixAt })
  const isDone = (matrix[matrixAt] as MatrixState | undefined)?.state === 'done'
  return sharePages(
    from,
    ids,
    {
      title: `Comparison of ${ids.length} runs`,
      home: `#/compare?runs=${encodeURIComponent(encodeIds(ids))}`,
      pages: ['runs', 'compare'],
      content,
    },
    { ...answers, ...views, ...(isDone ? matrix : {}) },
  )
}
