// Runs of alignment: their rollouts answer by answer, and the margins of their preferences.
import { join } from 'node:path'
import { z } from 'zod'
import { rolloutFiles } from '../../../alignment/index.ts'
import { exists } from '../../../core/index.ts'
import { alignObjectives } from '../../../runs/index.ts'
import { modelFiles, runFiles } from '../../../tracking/index.ts'
import { ApiError } from '../../http/errors.ts'
import { rolloutPath } from '../analysis/alignment-pages.ts'
import { defineStudioEndpoint, wholeNumber } from '../endpoint.ts'
import type { RunEntry } from '../runs/run-entry.ts'
import type {
  AlignmentFacts,
  PreferenceOrder,
  PreferencePage,
  RolloutAnswer,
  RolloutPage,
} from '../types/alignment-types.ts'

/** Numbers of rollouts that are sent. */
const maxRollouts = 20_000

const numberOf = (path: string): number => Number.parseInt(path.slice(path.lastIndexOf('-') + 1), 10)

export const alignmentFacts = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs/:run/alignment',
  summary: 'Describe a run of alignment: its objective and its rollouts',
  async answer({ run }): Promise<AlignmentFacts> {
    const { id, folder, recipe } = await run()
    const objective = String(recipe?.objective)
    const found = alignObjectives().find(({ type }) => type === objective)
    if (recipe?.command !== 'align' || found === undefined)
      throw new ApiError(404, `The run ${id} is no run of alignment, or its run.json is damaged.`, {
        code: 'alignment_not_found',
      })
    const files = await rolloutFiles(join(folder, runFiles.rollouts))
    return {
      objective,
      kind: found.data === 'prompts' ? 'rollouts' : 'preferences',
      rollouts: files.slice(-maxRollouts).map(numberOf),
      scored: await exists(join(folder, runFiles.model, modelFiles.evaluation)),
    }
  },
})

const expectRollout = async ({ folder }: RunEntry, text: string): Promise<number> => {
  const rollout = wholeNumber.safeParse(text)
  if (rollout.success && (await exists(rolloutPath(folder, rollout.data)))) return rollout.data
  throw new ApiError(404, `There is no file of rollout ${text.slice(0, 40)}. It may have been deleted.`, {
    code: 'rollout_not_found',
  })
}

const range = {
  from: wholeNumber.default(0).describe('first row'),
  count: wholeNumber.min(1).max(200).default(50).describe('number of rows'),
}

export const rollout = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs/:run/rollouts/:rollout',
  summary: 'Read answers of a rollout, and its groups without variance',
  query: z.strictObject(range),
  async answer({ studio, run, param, query }): Promise<RolloutPage> {
    const entry = await run()
    const number = await expectRollout(entry, param('rollout'))
    return studio.analyses.ask('rolloutPage', { folder: entry.folder, rollout: number, ...query })
  },
})

export const answerOfRollout = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs/:run/rollouts/:rollout/answers/:row',
  summary: 'Read one answer of a rollout token by token',
  async answer({ studio, run, param }): Promise<RolloutAnswer> {
    const entry = await run()
    const number = await expectRollout(entry, param('rollout'))
    const row = wholeNumber.safeParse(param('row'))
    if (!row.success) throw new ApiError(404, `There is no row ${param('row').slice(0, 40)}.`)
    return studio.analyses.ask('rolloutAnswer', { folder: entry.folder, rollout: number, row: row.data })
  },
})

const orders = ['displaced', 'smallest', 'largest', 'data'] as const satisfies PreferenceOrder[]

export const preferences = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs/:run/preferences',
  summary: 'Read the validation records of a run that learned from preferences, with their margins',
  query: z.strictObject({ order: z.enum(orders).default('displaced').describe('which records come first'), ...range }),
  async answer({ studio, run, query }): Promise<PreferencePage> {
    const { folder } = await run()
    return studio.analyses.ask('preferencePage', { folder, ...query })
  },
})
