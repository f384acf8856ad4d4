// Records of any kind: all rows in a table, one row as it is, and what a look at all of them found.
import { useSignal } from '@preact/signals'
import { useMemo } from 'preact/hooks'
import type { CutText, DataRow, DataSource, RowDetails, RowPage } from '../../../src/serving/studio/types/data-types.ts'
import { getJson } from '../../api.ts'
import { formatBytes } from '../../format.ts'
import { Show, useJson } from '../../parts/loading.tsx'
import { namedCharacters, SafeText } from '../../parts/safe-text.tsx'
import { Scroll } from '../../parts/scroll.tsx'
import type { TableColumn } from '../../parts/virtual-table.tsx'
import { Inspection, type InspectionState, Report, useInspection } from './inspection.tsx'
import { openRow, PagedRows, showRow } from './paged-rows.tsx'
import { Search } from './search.tsx'
import { SourceHead, sourcePath } from './source-head.tsx'
import { SourceTabs } from './tabs.tsx'
import { type DiffPart, diffWords } from './word-diff.ts'

const noText: CutText = { text: '' }

const damageOf = ({ damage }: DataRow) =>
  damage === undefined ? undefined : (
    <span class="damage">
      {damage.message} <SafeText {...damage.text} />
    </span>
  )

const Marked = ({ parts }: { parts: readonly DiffPart[] }) => (
  <bdi>
    {parts.map(({ text, differs }, i) =>
      differs ? <mark key={i}>{namedCharacters(text)}</mark> : namedCharacters(text),
    )}
  </bdi>
)

/** Two answers side by side, with their differences marked. */
const Pair = ({ cells }: { cells: Record<string, CutText> }) => {
  const { prompt = noText, chosen = noText, rejected = noText, ...others } = cells
  const [better, worse] = useMemo(() => diffWords(chosen.text, rejected.text), [chosen.text, rejected.text])
  const answers = [
    { name: 'chosen', title: 'Chosen', parts: better, text: chosen },
    { name: 'rejected', title: 'Rejected', parts: worse, text: rejected },
  ]
  return (
    <>
      <h3>Prompt</h3>
      <Scroll label="Prompt" kind="whole-text">
        <SafeText {...prompt} />
      </Scroll>
      <div class="pair">
        {answers.map(({ name, title, parts, text: { text, length } }) => (
          <div class={name} key={name}>
            <h3>{title}</h3>
            <Scroll label={title} kind="whole-text">
              <Marked parts={parts} />
              {length !== undefined && <SafeText text="" length={length} />}
              {text === '' && <span class="muted">empty</span>}
            </Scroll>
          </div>
        ))}
      </div>
      <Cells cells={others} />
    </>
  )
}

const Cells = ({ cells }: { cells: Record<string, CutText> }) => (
  <>
    {Object.entries(cells)
      .filter(([, { text }]) => text !== '' && text !== '{}')
      .map(([column, text]) => (
        <div key={column}>
          <h3>{column}</h3>
          <Scroll label={column} kind="whole-text">
            <SafeText {...text} />
          </Scroll>
        </div>
      ))}
  </>
)

const WholeRow = ({ source, index }: { source: DataSource; index: number }) => {
  const details = useJson<RowDetails>(sourcePath(source.id, `/rows/${index}`))
  return (
    <section class="panel" aria-label={`Row ${index + 1}`}>
      <div class="row spread">
        <h2>Row {index + 1}</h2>
        <span class="row">
          <button type="button" disabled={index === 0} onClick={() => showRow(index - 1)}>
            Earlier
          </button>
          <button type="button" onClick={() => showRow(index + 1)}>
            Later
          </button>
          <button type="button" onClick={() => showRow(undefined)}>
            Close
          </button>
        </span>
      </div>
      <Show of={details.value}>
        {({ row }) => (
          <>
            <p class="muted">
              {row.place}
              {row.bytes > 0 && `, ${formatBytes(row.bytes)}`}
            </p>
            {damageOf(row)}
            {row.cells !== undefined &&
              (source.kind === 'pairs' ? <Pair cells={row.cells} /> : <Cells cells={row.cells} />)}
          </>
        )}
      </Show>
    </section>
  )
}

/** Columns that no setting reads, once an inspection has told them. */
const unreadOf = ({ message }: InspectionState): readonly string[] => {
  if (message === undefined) return []
  const report =
    'inspection' in message ? message.inspection.train.report : 'report' in message ? message.report : undefined
  return report?.unreadColumns ?? []
}

const Rows = ({ source, inspection }: { source: DataSource; inspection: InspectionState }) => {
  const names = useSignal<readonly string[]>([])
  const unread = unreadOf(inspection)
  const open = openRow()
  const columns = names.value.map(
    (name): TableColumn<DataRow> => ({
      key: `column ${name}`,
      title: unread.includes(name) ? `${name} (not read)` : name,
      cell: ({ cells }) => cells?.[name] && <SafeText {...cells[name]} />,
    }),
  )
  return (
    <>
      <Search path={sourcePath(source.id, '/search')} noun="rows" onOpen={({ number }) => showRow(number)} />
      {open !== undefined && <WholeRow key={open} source={source} index={open} />}
      <PagedRows<DataRow>
        label="Rows"
        noun="rows"
        source={source.id}
        load={async (offset, limit, signal) => {
          const page = await getJson<RowPage>(sourcePath(source.id, `/rows?offset=${offset}&limit=${limit}`), signal)
          const more = page.columns.filter((name) => !names.value.includes(name))
          if (more.length > 0) names.value = [...names.value, ...more]
          if (page.problem !== null && page.total === 0) throw new Error(page.problem)
          return page
        }}
        columns={columns.length > 0 ? columns : [{ key: 'row', title: 'Row', cell: () => '' }]}
        wide={damageOf}
      />
    </>
  )
}

export const RecordsPage = ({ source }: { source: DataSource }) =>
  source.state === 'missing' ? <SourceHead source={source} /> : <PresentRecords source={source} />

const PresentRecords = ({ source }: { source: DataSource }) => {
  const inspection = useInspection(source.id)
  const found = {
    key: 'found',
    title: source.kind === 'records' ? 'Labels and doubtful records' : 'What was read',
    content: () =>
      source.kind === 'records' ? <Inspection state={inspection.value} /> : <Report state={inspection.value} />,
  }
  const rows = {
    key: 'rows',
    title: source.kind === 'pairs' ? 'Pairs' : 'Rows',
    content: () => <Rows source={source} inspection={inspection.value} />,
  }
  return (
    <>
      <SourceHead source={source} />
      <SourceTabs tabs={[rows, found]} />
    </>
  )
}
