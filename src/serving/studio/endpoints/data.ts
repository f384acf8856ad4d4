// The data of the runs: corpora, shards, records and pairs. Sources are named by ids of the catalogue; no endpoint takes a path.
import { z } from 'zod'
import { ApiError, badRequest } from '../../http/errors.ts'
import { corpusDocuments, corpusOverview, corpusTexts } from '../data/corpus-pages.ts'
import { rowPage, rowTexts, wholeRow } from '../data/row-pages.ts'
import { packedRows, shardDocuments, shardOverview, shardTexts } from '../data/shard-pages.ts'
import { type SearchedText, searchTexts } from '../data/text-search.ts'
import { defineStudioEndpoint, pause, studioStream, wholeNumber } from '../endpoint.ts'
import type { Studio } from '../studio.ts'
import type {
  CorpusOverview,
  DataKind,
  DataSourceList,
  DocumentPage,
  InspectionMessage,
  PackedRows,
  RowDetails,
  RowPage,
  SearchMessage,
  ShardOverview,
} from '../types/data-types.ts'

const split = z.enum(['train', 'validation']).default('train').describe('split of shards')

const expectKind = (kind: DataKind, wanted: DataKind): void => {
  if (kind !== wanted) throw badRequest(`Expected the id of ${wanted} data, got that of ${kind}.`)
}

const dataList = defineStudioEndpoint({
  method: 'get',
  path: '/api/data',
  summary: 'List the data that runs use, and the corpora and shards under the folders',
  answer: ({ studio }): Promise<DataSourceList> => studio.data.catalog.list(),
})

const dataCorpus = defineStudioEndpoint({
  method: 'get',
  path: '/api/data/:source/corpus',
  summary: 'Describe a corpus: stages, drop reasons with examples, lengths and languages',
  async answer({ studio, param }): Promise<CorpusOverview> {
    const { source } = await studio.data.catalog.get(param('source'))
    expectKind(source.kind, 'corpus')
    return corpusOverview(source)
  },
})

const dataShards = defineStudioEndpoint({
  method: 'get',
  path: '/api/data/:source/shards',
  summary: 'Describe token shards, and the runs that read them',
  async answer({ studio, param }): Promise<ShardOverview> {
    const { source } = await studio.data.catalog.get(param('source'))
    expectKind(source.kind, 'shards')
    return shardOverview(studio, source)
  },
})

const dataDocuments = defineStudioEndpoint({
  method: 'get',
  path: '/api/data/:source/documents',
  summary: 'Documents of a corpus or of shards from a number on; one document alone has a longer text',
  query: z.strictObject({
    offset: wholeNumber.default(0).describe('number of the first document'),
    limit: wholeNumber.min(1).max(100).default(20).describe('number of documents'),
    split,
  }),
  async answer({ studio, param, query, signal }): Promise<DocumentPage> {
    const { source } = await studio.data.catalog.get(param('source'))
    if (source.kind === 'corpus') return corpusDocuments(source, { ...query, signal })
    expectKind(source.kind, 'shards')
    return shardDocuments(studio, source, query)
  },
})

const dataPacked = defineStudioEndpoint({
  method: 'get',
  path: '/api/data/:source/packed',
  summary: 'Rows of shards as a run sees them, from a position on',
  query: z.strictObject({
    run: z.string().describe('id of the run'),
    split,
    position: wholeNumber.max(1e12).default(0).describe('position of the first row, counted over all epochs'),
    count: wholeNumber.min(1).max(16).default(4).describe('number of rows'),
    seed: wholeNumber.optional().describe("random seed of order and masks (default: the run's)"),
  }),
  async answer({ studio, param, query }): Promise<PackedRows> {
    const { source } = await studio.data.catalog.get(param('source'))
    expectKind(source.kind, 'shards')
    return packedRows(studio, source, query)
  },
})

const dataRows = defineStudioEndpoint({
  method: 'get',
  path: '/api/data/:source/rows',
  summary: 'Rows of records from an index on, with their texts cut',
  query: z.strictObject({
    offset: wholeNumber.default(0).describe('index of the first row'),
    limit: wholeNumber.min(1).max(200).default(100).describe('number of rows'),
  }),
  async answer({ studio, param, query, signal }): Promise<RowPage> {
    const { store } = await studio.data.rows(await studio.data.catalog.get(param('source')))
    return rowPage(store, { ...query, signal })
  },
})

const dataRow = defineStudioEndpoint({
  method: 'get',
  path: '/api/data/:source/rows/:index',
  summary: 'One row of records with its texts',
  async answer({ studio, param, signal }): Promise<RowDetails> {
    const { store } = await studio.data.rows(await studio.data.catalog.get(param('source')))
    const index = wholeNumber.safeParse(param('index'))
    const row = index.success ? await wholeRow(store, index.data, signal) : undefined
    if (row === undefined)
      throw new ApiError(404, `There is no row ${param('index').slice(0, 20)}.`, { code: 'no_row' })
    return { row }
  },
})

/** Milliseconds between two messages of progress. */
const progressInterval = 250

export const dataInspection = defineStudioEndpoint({
  method: 'get',
  path: '/api/data/:source/inspection',
  summary: 'Look at all records: labels, lengths, copies, contradictions and overlap; computed once and then kept',
  async answer(request) {
    const { studio, param } = request
    const { job, leave } = await studio.data.inspect(await studio.data.catalog.get(param('source')))
    return studioStream(request, async (send, signal) => {
      const done = job.result.then(
        () => true,
        () => true,
      )
      let sent = ''
      const progress = (value: InspectionMessage) => {
        if (JSON.stringify(value) === sent) return
        sent = JSON.stringify(value)
        send(value)
      }
      try {
        while (!(await Promise.race([done, pause(progressInterval, signal).then(() => false)]))) {
          if (signal.aborted) return
          progress(job.started ? { progress: job.progress } : { waiting: true })
        }
        send((await job.result) satisfies InspectionMessage)
      } finally {
        leave()
      }
    })
  },
})

/** The texts of a source, whatever it holds. */
const textsOf = async (
  studio: Studio,
  id: string,
  split: 'train' | 'validation',
): Promise<AsyncIterable<SearchedText[]>> => {
  const entry = await studio.data.catalog.get(id)
  if (entry.reading !== undefined) return rowTexts((await studio.data.rows(entry)).store)
  return entry.source.kind === 'corpus' ? corpusTexts(entry.source) : shardTexts(studio, entry.source, split)
}

const dataSearch = defineStudioEndpoint({
  method: 'get',
  path: '/api/data/:source/search',
  summary: 'Search all texts of a source; results are sent as they are found',
  query: z.strictObject({ q: z.string().min(1).max(500).describe('text to find, in any case'), split }),
  async answer(request) {
    const { studio, param, query } = request
    const texts = await textsOf(studio, param('source'), query.split)
    return studioStream(request, (send, signal) =>
      searchTexts(texts, query.q, (message: SearchMessage) => send(message), signal),
    )
  },
})

/** All endpoints of the page. */
export const dataEndpoints = [
  ...[dataList, dataCorpus, dataShards, dataDocuments, dataPacked, dataRows, dataRow],
  ...[dataInspection, dataSearch],
]
