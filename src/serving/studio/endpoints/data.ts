// The data of the runs: corpora, shards, records and pairs. Sources are named by ids of the catalogue; no endpoint takes a path.
import { z } from 'zod'
import type { SplitName } from '../../../data/index.ts'
import { ApiError, badRequest } from '../../http/errors.ts'
import type { CatalogEntry } from '../data/catalog.ts'
import { corpusDocuments, corpusOverview, corpusTexts } from '../data/corpus-pages.ts'
import { rowPage, rowTexts, wholeRow } from '../data/row-pages.ts'
import { packedRows, shardDocuments, shardOverview, shardTexts } from '../data/shard-pages.ts'
import { type SearchedText, searchTexts } from '../data/text-search.ts'
import { defineStudioEndpoint, pause, type StudioRequest, studioStream, wholeNumber } from '../endpoint.ts'
import type {
  CorpusOverview,
  DataKind,
  DataSource,
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

type SourceRequest = Pick<StudioRequest<unknown, unknown>, 'studio' | 'param'>

const entryOf = ({ studio, param }: SourceRequest): Promise<CatalogEntry> => studio.data.catalog.get(param('source'))

/** The source that the path names. @throws ApiError for one of another kind */
const sourceOf = async (request: SourceRequest, wanted: DataKind): Promise<DataSource> => {
  const { source } = await entryOf(request)
  if (source.kind !== wanted) throw badRequest(`Expected the id of ${wanted} data, got that of ${source.kind}.`)
  return source
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
  answer: async (request): Promise<CorpusOverview> => corpusOverview(await sourceOf(request, 'corpus')),
})

const dataShards = defineStudioEndpoint({
  method: 'get',
  path: '/api/data/:source/shards',
  summary: 'Describe token shards, and the runs that read them',
  answer: async (request): Promise<ShardOverview> => shardOverview(request.studio, await sourceOf(request, 'shards')),
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
  async answer(request): Promise<DocumentPage> {
    const { studio, query, signal } = request
    const { source } = await entryOf(request)
    if (source.kind === 'corpus') return corpusDocuments(source, { ...query, signal })
    return shardDocuments(studio, await sourceOf(request, 'shards'), query)
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
  answer: async (request): Promise<PackedRows> =>
    packedRows(request.studio, await sourceOf(request, 'shards'), request.query),
})

const dataRows = defineStudioEndpoint({
  method: 'get',
  path: '/api/data/:source/rows',
  summary: 'Rows of records from an index on, with their texts cut',
  query: z.strictObject({
    offset: wholeNumber.default(0).describe('index of the first row'),
    limit: wholeNumber.min(1).max(200).default(100).describe('number of rows'),
  }),
  async answer(request): Promise<RowPage> {
    const { store } = await request.studio.data.rows(await entryOf(request))
    return rowPage(store, { ...request.query, signal: request.signal })
  },
})

const dataRow = defineStudioEndpoint({
  method: 'get',
  path: '/api/data/:source/rows/:index',
  summary: 'One row of records with its texts',
  async answer(request): Promise<RowDetails> {
    const { studio, param, signal } = request
    const { store } = await studio.data.rows(await entryOf(request))
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
    const { job, leave } = await request.studio.data.inspect(await entryOf(request))
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
const textsOf = async (request: SourceRequest, split: SplitName): Promise<AsyncIterable<SearchedText[]>> => {
  const { studio } = request
  const entry = await entryOf(request)
  if (entry.reading !== undefined) return rowTexts((await studio.data.rows(entry)).store)
  return entry.source.kind === 'corpus' ? corpusTexts(entry.source) : shardTexts(studio, entry.source, split)
}

const dataSearch = defineStudioEndpoint({
  method: 'get',
  path: '/api/data/:source/search',
  summary: 'Search all texts of a source; results are sent as they are found',
  query: z.strictObject({ q: z.string().min(1).max(500).describe('text to find, in any case'), split }),
  async answer(request) {
    const { q, split } = request.query
    const texts = await textsOf(request, split)
    return studioStream(request, (send, signal) =>
      searchTexts(texts, q, (message: SearchMessage) => send(message), signal),
    )
  },
})

/** All endpoints of the page. */
export const dataEndpoints = [
  ...[dataList, dataCorpus, dataShards, dataDocuments, dataPacked, dataRows, dataRow],
  ...[dataInspection, dataSearch],
]
