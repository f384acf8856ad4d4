// The process of the filter, which `run-filter.ts` starts: a condition that takes too long ends with it.
import { packError } from '../../../core/index.ts'
import { answerMessages } from '../process/answering-process.ts'
import { FilterTables } from './filter-tables.ts'
import type { FilterReply, FilterRequest } from './run-filter.ts'

const opened = FilterTables.open()

answerMessages(async ({ runs, where }: FilterRequest): Promise<FilterReply> => {
  try {
    const tables = await opened
    if (runs !== undefined) await tables.load(runs)
    return where === undefined ? { fields: tables.fields } : { ids: await tables.find(where) }
  } catch (error) {
    return { error: packError(error) }
  }
})
