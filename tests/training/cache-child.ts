// A process that encodes into the cache, to be killed on the way.
import { type ExamplesRequest, encodeData } from '../../src/runs/examples/encode-data.ts'
import { surveyRecords } from '../../src/runs/examples/survey-records.ts'

process.on('message', async (request: Omit<ExamplesRequest, 'survey'>) => {
  const { key } = await surveyRecords(request)
  await encodeData({ ...request, survey: key })
  process.exit(0)
})
