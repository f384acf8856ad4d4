// The data of the runs: a table of all sources, or the source that the address names.
import type { DataSource, DataSourceList } from '../../../src/serving/studio/types/data-types.ts'
import { formatBytes } from '../../format.ts'
import { Show, useJson } from '../../parts/loading.tsx'
import { type TableColumn, VirtualTable } from '../../parts/virtual-table.tsx'
import { linkTo, route } from '../../router.ts'
import { CorpusPage } from './corpus.tsx'
import './data.css'
import { RecordsPage } from './records.tsx'
import { ShardsPage } from './shards.tsx'
import { kindTitles, RunLinks } from './source-head.tsx'

const columns: readonly TableColumn<DataSource>[] = [
  {
    key: 'name',
    title: 'Data',
    cell: ({ id, name }) => <a href={linkTo(['data', id])}>{name}</a>,
    sort: ({ name }) => name,
  },
  { key: 'kind', title: 'Kind', cell: ({ kind }) => kindTitles[kind], sort: ({ kind }) => kindTitles[kind] },
  { key: 'task', title: 'Task', cell: ({ task }) => task, sort: ({ task }) => task },
  {
    key: 'bytes',
    title: 'Size',
    number: true,
    cell: ({ bytes, state }) =>
      state === 'missing' ? <span class="damage">missing</span> : bytes !== null && formatBytes(bytes),
    sort: ({ bytes }) => bytes,
  },
  {
    key: 'uses',
    title: 'Used by',
    cell: ({ uses }) => (
      <>
        <RunLinks uses={uses.slice(0, 1)} />
        {uses.length > 1 && <span class="muted"> and {uses.length - 1} more</span>}
      </>
    ),
    sort: ({ uses }) => uses.length,
  },
  { key: 'path', title: 'Path', cell: ({ path }) => <span class="mono">{path}</span>, sort: ({ path }) => path },
]

const views: Record<DataSource['kind'], (props: { id: string; source: DataSource }) => preact.JSX.Element> = {
  corpus: CorpusPage,
  shards: ShardsPage,
  records: RecordsPage,
  pairs: RecordsPage,
  ratings: RecordsPage,
  prompts: RecordsPage,
}

const SourceTable = ({ list }: { list: DataSourceList }) => (
  <>
    <div class="head">
      <h1>Data</h1>
      <span class="muted">{list.sources.length} sources, of the recipes of the runs and of their folders</span>
    </div>
    {list.cut && <p class="muted">There are more folders than are searched: not all data may be listed.</p>}
    {list.sources.length === 0 ? (
      <p>
        No run here names data, and no folder has a corpus or token shards. Open the folder that has them:{' '}
        <code>tunesmith ui FOLDER</code>
      </p>
    ) : (
      <div class="data-table">
        <VirtualTable label="Data" columns={columns} rows={list.sources} rowKey={({ id }) => id} />
      </div>
    )}
  </>
)

export default () => {
  const [, id] = route.value.parts
  const list = useJson<DataSourceList>('/api/data')
  return (
    <Show of={list.value}>
      {(found) => {
        if (id === undefined) return <SourceTable list={found} />
        const source = found.sources.find((one) => one.id === id)
        if (source === undefined)
          return (
            <p class="error" role="alert">
              There is no such data. Its run or its folder may have been deleted.{' '}
              <a href={linkTo(['data'])}>All data</a>
            </p>
          )
        const View = views[source.kind]
        return <View key={id} id={id} source={source} />
      }}
    </Show>
  )
}
