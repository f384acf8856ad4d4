// Filters of the table of runs: a condition in SQL, and the fields that it may use.
import { z } from 'zod'
import { defineStudioEndpoint } from '../endpoint.ts'
import type { FilterAnswer, FilterFields } from '../types/filter-types.ts'

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
