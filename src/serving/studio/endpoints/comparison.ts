// Runs side by side: scores against costs, predictions where two of them differ, confusion and calibration; and runs as one HTML file.
import { join } from 'node:path'
import { z } from 'zod'
import { readEvaluation } from '../../../runs/index.ts'
import { runFiles } from '../../../tracking/index.ts'
import { ApiError, badRequest } from '../../http/errors.ts'
import { matrixPath, maxCompared, pairFilters } from '../compare-paths.ts'
import { defineStudioEndpoint, wholeNumber } from '../endpoint.ts'
import { shareComparison, shareRun } from '../share/share.ts'
import { intervalOf } from '../shown-values.ts'
import type { Studio } from '../studio.ts'
import type {
  CalibrationBin,
  MatrixState,
  PredictionPage,
  RunComparisonAnswer,
  RunEvaluation,
} from '../types/compare-types.ts'

/** The runs of a comparison in an address. */
const comparedQuery = z.strictObject({
  runs: z.string().min(1).describe('encoded ids of runs, separated by commas'),
})

/** Their ids: each is encoded, as ids may have commas themselves. @throws ApiError for too many, or for another text */
const comparedIds = ({ runs }: z.output<typeof comparedQuery>): string[] => {
  let ids: string[]
  try {
    ids = [...new Set(runs.split(',').filter(Boolean).map(decodeURIComponent))]
  } catch {
    throw badRequest('Expected encoded ids of runs, separated by commas, for `runs`, got something else.', 'runs')
  }
  if (ids.length > maxCompared)
    throw badRequest(`Expected at most ${maxCompared} runs for \`runs\`, got ${ids.length}.`, 'runs')
  return ids
}

export const comparison = defineStudioEndpoint({
  method: 'get',
  path: '/api/comparison',
  summary: 'Compare runs: scores with intervals, costs, and differences on the same records',
  query: comparedQuery,
  async answer({ studio, query }): Promise<RunComparisonAnswer> {
    const ids = comparedIds(query)
    const found = await Promise.allSettled(ids.map((id) => studio.runs.get(id)))
    const runs = found.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    const gone = ids.filter((_, i) => found[i].status === 'rejected')
    const answer = await studio.analyses.ask('compareChosen', {
      runs: runs.map(({ id, folder }) => ({ id, folder })),
    })
    const reason = 'There is no such run. It may have been deleted.'
    return { ...answer, skipped: [...answer.skipped, ...gone.map((id) => ({ id, reason }))] }
  },
})

export const comparedPredictions = defineStudioEndpoint({
  method: 'get',
  path: '/api/comparison/predictions',
  summary: 'Read predictions of two runs for the same records',
  query: z.strictObject({
    first: z.string().min(1).describe('id of a run'),
    second: z.string().min(1).describe('id of another run'),
    filter: z.enum(pairFilters).default('changed').describe('which records'),
    search: z.string().max(1000).default('').describe('text that the record or a prediction contains'),
    from: wholeNumber.default(0).describe('first record'),
    count: wholeNumber.min(1).max(200).default(50).describe('number of records'),
  }),
  async answer({ studio, query: { first, second, ...rest } }): Promise<PredictionPage> {
    const [one, other] = [await studio.runs.get(first), await studio.runs.get(second)]
    return studio.analyses.ask('predictionPage', { ...rest, first: one.folder, second: other.folder })
  },
})

/** Their folders. @throws ApiError for a run that is not there, and for none */
const foldersOf = async (studio: Studio, runs: string): Promise<string[]> => {
  const entries = await Promise.all(comparedIds({ runs }).map((id) => studio.runs.get(id)))
  if (entries.length === 0) throw badRequest('Expected at least one run for `runs`, got none.', 'runs')
  return entries.map(({ folder }) => folder)
}

export const matrixState = defineStudioEndpoint({
  method: 'get',
  path: matrixPath,
  summary: 'Read the scores of specialists on all tasks of some runs, or how far they are',
  query: comparedQuery,
  answer: async ({ studio, query }): Promise<MatrixState> => studio.matrices.state(await foldersOf(studio, query.runs)),
})

export const startMatrix = defineStudioEndpoint({
  method: 'post',
  path: matrixPath,
  summary: 'Run the models of some runs and of their bases on all of their tasks',
  body: comparedQuery.extend({
    limit: z.int().min(1).max(100_000).describe('first validation records of each task'),
  }),
  answer: async ({ studio, body: { runs, limit } }): Promise<MatrixState> =>
    studio.matrices.start({ folders: await foldersOf(studio, runs), limit }),
})

export const stopMatrix = defineStudioEndpoint({
  method: 'delete',
  path: matrixPath,
  summary: 'Stop scoring models',
  body: comparedQuery,
  answer: async ({ studio, body }): Promise<MatrixState> => studio.matrices.stop(await foldersOf(studio, body.runs)),
})

/** Classes of a confusion matrix that are sent: those with the most records. */
const maxClasses = 40

const confusionOf = ({ labels, confusion }: { [name: string]: unknown }): RunEvaluation['confusion'] => {
  if (!Array.isArray(labels) || !Array.isArray(confusion)) return null
  // Rows of equal length, as `details` of the scores writes them.
  const cells = confusion as number[][]
  const records = cells.map((row) => row.reduce((sum, count) => sum + count, 0))
  const kept = labels
    .map((_, i) => i)
    .sort((a, b) => records[b] - records[a])
    .slice(0, maxClasses)
    .sort((a, b) => a - b)
  return {
    labels: kept.map((i) => String(labels[i])),
    cells: kept.map((i) => kept.map((j) => cells[i][j])),
    omitted: labels.length - kept.length,
  }
}

export const runEvaluation = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs/:run/evaluation',
  summary: 'Read the final evaluation of a run: scores, confusion matrix and calibration',
  async answer({ run }): Promise<RunEvaluation> {
    const { id, folder } = await run()
    const evaluation = await readEvaluation(join(folder, runFiles.model))
    if (evaluation === undefined)
      throw new ApiError(404, `The run ${id} has no evaluation yet: it is written when the run has finished.`, {
        code: 'evaluation_not_found',
      })
    const { mainMetric, metrics, details, records } = evaluation
    const bins = details.calibration
    return {
      mainMetric,
      metrics: Object.fromEntries(Object.entries(metrics).map(([name, measured]) => [name, intervalOf(measured)])),
      records: records?.count ?? null,
      confusion: confusionOf(details),
      calibration: Array.isArray(bins) ? (bins as CalibrationBin[]) : null,
    }
  },
})

/** A page to be saved. */
const download = (text: string, name: string): Response =>
  new Response(text, {
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-disposition': `attachment; filename="${name.replace(/[^\w.-]+/g, '-')}.html"`,
      'cache-control': 'no-store',
    },
  })

export const runShare = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs/:run/share',
  summary: 'Download a run as one HTML file that needs no server',
  async answer({ studio, ask, run }): Promise<Response> {
    const { id } = await run()
    return download(await shareRun({ studio, ask }, id), id)
  },
})

export const comparisonShare = defineStudioEndpoint({
  method: 'get',
  path: '/api/comparison/share',
  summary: 'Download a comparison of runs as one HTML file that needs no server',
  query: comparedQuery,
  async answer({ studio, ask, query }): Promise<Response> {
    // An unknown run is an error of the request, with its own message.
    const ids = await Promise.all(comparedIds(query).map(async (id) => (await studio.runs.get(id)).id))
    return download(await shareComparison({ studio, ask }, ids), `comparison-of-${ids.length}-runs`)
  },
})
