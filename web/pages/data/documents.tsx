// Documents of a corpus or of shards: a table of all, and one of them as it is.
import type { DataDocument, DocumentPage } from '../../../src/serving/studio/types/data-types.ts'
import { getJson } from '../../api.ts'
import { formatCount } from '../../format.ts'
import { Show, useJson } from '../../parts/loading.tsx'
import { SafeText } from '../../parts/safe-text.tsx'
import { Scroll } from '../../parts/scroll.tsx'
import type { TableColumn } from '../../parts/virtual-table.tsx'
import { openRow, PagedRows, showRow } from './paged-rows.tsx'
import { Search } from './search.tsx'
import { sourcePath } from './source-head.tsx'

interface DocumentsProps {
  id: string
  /** Split of shards. */
  split?: string
  columns: readonly TableColumn<DataDocument>[]
}

/** The columns of any document. */
export const textColumn: TableColumn<DataDocument> = {
  key: 'text',
  title: 'Text',
  cell: ({ text }) => text && <SafeText {...text} />,
}

const damageOf = ({ damage }: DataDocument) =>
  damage === undefined ? undefined : <span class="damage">Damaged: {damage}</span>

const WholeDocument = ({ path, index }: { path: string; index: number }) => {
  const page = useJson<DocumentPage>(`${path}&offset=${index}&limit=1`)
  return (
    <section class="panel" aria-label={`Document ${index + 1}`}>
      <div class="row spread">
        <h2>Document {index + 1}</h2>
        <button type="button" onClick={() => showRow(undefined)}>
          Close
        </button>
      </div>
      <Show of={page.value}>
        {({ documents: [document] }) =>
          document === undefined ? (
            <p class="muted">There is no such document.</p>
          ) : (
            <>
              {damageOf(document)}
              {document.origin !== undefined && <p class="muted path">{document.origin}</p>}
              {document.tokens !== undefined && <p class="muted">{formatCount(document.tokens)} tokens</p>}
              {Object.entries(document.metadata ?? {}).map(([name, value]) => (
                <p class="muted" key={name}>
                  {name}: <SafeText {...value} />
                </p>
              ))}
              <Scroll label="Text" kind="whole-text">
                {document.text && <SafeText {...document.text} />}
              </Scroll>
            </>
          )
        }
      </Show>
    </section>
  )
}

export const Documents = ({ id, split, columns }: DocumentsProps) => {
  const fields: Record<string, string> = split === undefined ? {} : { split }
  const path = sourcePath(id, `/documents?${new URLSearchParams(fields)}`)
  const open = openRow()
  return (
    <>
      <Search
        path={sourcePath(id, '/search')}
        fields={fields}
        noun="documents"
        onOpen={({ number }) => showRow(number)}
      />
      {open !== undefined && <WholeDocument key={open} path={path} index={open} />}
      <PagedRows<DataDocument>
        label="Documents"
        noun="documents"
        source={path}
        load={async (offset, limit, signal) => {
          const { total, documents } = await getJson<DocumentPage>(`${path}&offset=${offset}&limit=${limit}`, signal)
          return { total, complete: true, rows: documents }
        }}
        columns={columns}
        wide={damageOf}
      />
    </>
  )
}
