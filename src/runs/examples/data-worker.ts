// A worker thread that reads the records of a run, so that the main thread stays free.
import { serveTasks } from '../../core/index.ts'
import { type EncodingRequest, type ExamplesRequest, encodeData } from './encode-data.ts'
import { type RecordsRequest, surveyRecords } from './survey-records.ts'

/** What the thread can do, by the name of the work. */
export type DataWork = { survey: RecordsRequest } | { encode: ExamplesRequest & EncodingRequest }

serveTasks(
  (work: DataWork): Promise<unknown> => ('survey' in work ? surveyRecords(work.survey) : encodeData(work.encode)),
)
