// Sweeps: the list, and one with its trials.
import { z } from 'zod'
import { ApiError } from '../../http/errors.ts'
import { defineStudioEndpoint } from '../endpoint.ts'
import { findSweeps, sweepDetails, sweepRow } from '../sweeps/sweep-pages.ts'
import type { SweepDetails, SweepList } from '../types/sweep-types.ts'

export const sweepList = defineStudioEndpoint({
  method: 'get',
  path: '/api/sweeps',
  summary: 'List the sweeps that runs are in',
  async answer({ studio: { runs } }): Promise<SweepList> {
    await runs.refresh({ scan: true })
    const found = await findSweeps(runs.rows)
    return { sweeps: await Promise.all(found.map((sweep) => sweepRow(sweep, runs.recipes))) }
  },
})

export const sweepOf = defineStudioEndpoint({
  method: 'get',
  path: '/api/sweep',
  summary: 'Describe a sweep: its trials with their settings, scores and states',
  query: z.strictObject({ id: z.string().min(1).describe('id of the sweep') }),
  async answer({ studio: { runs }, query: { id } }): Promise<SweepDetails> {
    await runs.refresh()
    const found = (await findSweeps(runs.rows)).find((sweep) => sweep.id === id)
    if (found === undefined)
      throw new ApiError(404, `There is no sweep ${id.slice(0, 200)}. It may have been deleted.`, {
        code: 'sweep_not_found',
      })
    return sweepDetails(found, runs.recipes)
  },
})
