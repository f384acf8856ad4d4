// The process of the filter, which `run-filter.ts` starts: a condition that takes too long ends with it.
import { packError } from '../../../core/index.ts'
import { FilterTables } from './filter-tables.ts'
import type { FilterReply, FilterRequest } from './run-filter.ts'

process.on('disconnect', () => process.exit(0))
// Ctrl-C in the terminal of the studio reaches this process too: the studio ends it.
process.on('SIGINT', () => {})

const opened = FilterTables.open()

const answer = async ({ runs, where }: FilterRequest): Promise<FilterReply> => {
  try {
    const tables = await opened
    if (runs !== undefined) await tables.load(runs)
    return where === undefined ? { fields: tables.fields } : { ids: await tables.find(where) }
  } catch (error) {
    return { error: packError(error) }
  }
}

process.on('message', async (request: FilterRequest) => {
  process.send?.(await answer(request))
})
