// The table of runs with its changes and filters, and one run: what it is, its curves in buckets, and its events as they happen.

import { join } from 'node:path'
import { z } from 'zod'
import {
  type DamagedLine,
  EventTail,
  type RunPrediction,
  runFiles,
  type TrainingEvent,
} from '../../../tracking/index.ts'
import { ApiError } from '../../http/errors.ts'
import { defineStudioEndpoint, pause, studioStream, wholeNumber } from '../endpoint.ts'
import type { RunEntry } from '../runs/run-entry.ts'
import type { Curves, FilterAnswer, FilterFields, RunDetails, RunEventMessage, RunList } from '../types/api-types.ts'

/** The prediction of a run; undefined without one. Both files are the program's own: a value that is missing is shown as such. */
export const predictionOf = async (entry: RunEntry): Promise<RunPrediction | undefined> => {
  const plan = await entry.readJson(runFiles.plan)
  return (plan ?? (await entry.readJson(runFiles.card))?.prediction) as RunPrediction | undefined
}

export const runList = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs',
  summary: 'List the runs, newest first',
  async answer({ studio: { runs } }): Promise<RunList> {
    await runs.refresh({ scan: true })
    return { runs: runs.rows, total: runs.total, roots: [...runs.roots] }
  },
})

export const runChanges = defineStudioEndpoint({
  method: 'get',
  path: '/api/changes',
  summary: 'Follow the rows of the table: all of them, then those that change',
  answer: (request) =>
    studioStream(request, async (send, signal) => {
      const { runs } = request.studio
      const stop = runs.follow(send)
      try {
        // A page that reconnects may have missed any number of changes. What is known comes first, what is read meanwhile follows.
        if (runs.total > 0) send({ runs: runs.rows, removed: [], total: runs.total })
        await runs.refresh({ scan: true })
        send({ runs: [], removed: [], total: runs.total, all: runs.rows.map(({ id }) => id) })
        while (!signal.aborted) await pause(60_000, signal)
      } finally {
        stop()
      }
    }),
})

export const filterRuns = defineStudioEndpoint({
  method: 'get',
  path: '/api/filter',
  summary: 'Find the runs that fulfil a condition in SQL',
  query: z.strictObject({ where: z.string().min(1).describe("condition, such as state = 'running' and loss < 2") }),
  async answer({ studio, query: { where } }): Promise<FilterAnswer> {
    return { ids: await studio.filter.find(where) }
  },
})

export const filterFields = defineStudioEndpoint({
  method: 'get',
  path: '/api/filter/fields',
  summary: 'List the fields that conditions may use',
  answer: ({ studio }): Promise<FilterFields> => studio.filter.fields(),
})

/** Events that are sent with `details`; later ones come by the stream. */
const maxMarks = 2000

export const runDetails = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs/:run',
  summary: 'Describe a run: its recipe, its card, its curves and what happened',
  async answer({ runWithColumns }): Promise<RunDetails> {
    const {
      entry,
      columns: { names },
    } = await runWithColumns()
    const { marks, evaluations, samples, damage } = entry.outline
    const under = (prefix: string) => names.filter((name) => name.startsWith(`${prefix}/`))
    return {
      row: entry.row,
      recipe: entry.recipe ?? null,
      card: (await entry.readJson(runFiles.card)) ?? null,
      columns: {
        training: names.filter((name) => !name.includes('/') || name.startsWith('term/')),
        measured: under('metric'),
        layers: under('layer'),
        rollouts: under('rollout'),
        evaluations: under('evaluation'),
      },
      predictedBytes: (await predictionOf(entry))?.rssBytes ?? null,
      marks: marks.slice(-maxMarks),
      evaluations: evaluations.slice(-maxMarks),
      samples: samples.length,
      damage: damage.slice(0, 100),
      offset: entry.offset,
    }
  },
})

/** Curves of one answer: those of every layer of a large model. */
export const maxCurves = 256

export const runCurves = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs/:run/curves',
  summary: 'Curves of a run in buckets of steps, with the exact extremes of each bucket',
  query: z.strictObject({
    names: z
      .string()
      .min(1)
      .describe('names of columns, separated by commas')
      .transform((names) => names.split(',').slice(0, maxCurves)),
    from: wholeNumber.optional().describe('first step'),
    to: wholeNumber.optional().describe('last step'),
    buckets: wholeNumber.min(1).max(10_000).default(1000).describe('maximum number of buckets'),
  }),
  async answer({ runWithColumns, query: { names, ...range } }): Promise<Curves> {
    const { entry, columns } = await runWithColumns()
    const loss = columns.bucketed('loss', range)
    return {
      curves: names.map((name) => columns.bucketed(name, range)),
      lastStep: entry.row.step,
      axis: {
        steps: loss.steps,
        tokens: loss.steps.map((step) => columns.valueAt('tokens', step) ?? 0),
        seconds: loss.steps.map((step) => columns.valueAt('elapsed', step) ?? 0),
      },
    }
  },
})

/** A `last-event-id` that is no offset begins anew. */
const offset = wholeNumber.catch(0)

/** Milliseconds between two looks at a file that a page follows. */
const tailInterval = 250

export const runEvents = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs/:run/events',
  summary: 'Follow the events of a run from a byte offset',
  query: z.strictObject({ from: wholeNumber.default(0).describe('bytes of events.jsonl that the page has') }),
  async answer(request) {
    const after = offset.parse(request.lastEventId ?? request.query.from)
    const entry = await request.run().catch((error: unknown) => {
      // A page that has read of the run comes back after it was deleted: an error would make it try for ever.
      if (after > 0 && error instanceof ApiError && error.status === 404) return undefined
      throw error
    })
    return studioStream(request, async (send, signal) => {
      const message = (value: RunEventMessage, id?: number) => send(value, id)
      if (entry === undefined) return message({ removed: true })
      const listener = {
        onEvent: (event: TrainingEvent, end: number) => message({ event }, end),
        onDamage: (damage: DamagedLine) => message({ damage }),
        onRestart: () => message({ restart: true }),
      }
      const tail = new EventTail(join(entry.folder, runFiles.events), listener, after)
      while (!signal.aborted) {
        // A run that was just started has no events yet.
        if ((await tail.read()) === 'missing' && (await entry.refresh()) === 'missing')
          return message({ removed: true })
        await pause(tailInterval, signal)
      }
    })
  },
})
