// Tools that read runs.
import { z } from 'zod'
import { runFiles } from '../../../tracking/index.ts'
import { defineTool } from '../tool.ts'

const run = z.string().describe('run, as list_runs names it')

/** Events of each kind that are shown. */
const maxEvents = 20

export const listRuns = defineTool({
  name: 'list_runs',
  title: 'List runs',
  description: 'List training runs, newest first: state, progress, loss, best score, time and cost of each.',
  input: z.strictObject({
    state: z.enum(['running', 'finished', 'interrupted', 'failed', 'damaged']).optional().describe('state of the runs'),
    limit: z.int().min(1).max(200).default(50).describe('maximum number of runs'),
  }),
  async run({ state, limit }, { runs }) {
    await runs.refresh({ scan: true })
    const rows = runs.rows.filter((row) => state === undefined || row.state === state)
    return { total: rows.length, runs: rows.slice(0, limit).map(({ spark: _, ...row }) => row) }
  },
})

export const showRun = defineTool({
  name: 'show_run',
  title: 'Show a run',
  description:
    'Show one run: its recipe with every setting, its run card, its last evaluations, events (incidents, checkpoints, notes) and samples, and damaged lines.',
  input: z.strictObject({ run }),
  async run({ run: id }, { runs }) {
    const entry = await runs.get(id)
    const { marks, evaluations, samples, damage } = entry.outline
    const { spark: _, ...row } = entry.row
    return {
      run: row,
      recipe: entry.recipe ?? null,
      card: (await entry.readJson(runFiles.card)) ?? null,
      evaluations: evaluations.slice(-maxEvents),
      events: marks.slice(-maxEvents),
      samples: samples.slice(-maxEvents),
      damage: damage.slice(0, maxEvents),
    }
  },
})
