// Predictions of two runs for the same records: where one is right and the other wrong.
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { pairFilters, predictionRows, predictionsPath } from '../../../src/serving/studio/compare-paths.ts'
import type {
  PairFilter,
  PredictionPage,
  PredictionRow,
  PredictionText,
  RunComparisonAnswer,
} from '../../../src/serving/studio/types/compare-types.ts'
import { formatValue } from '../../format.ts'
import { Show, useJson } from '../../parts/loading.tsx'
import { Pager } from '../../parts/pager.tsx'
import { Scroll } from '../../parts/scroll.tsx'
import { queryChoice, queryWhole, route, setQuery } from '../../router.ts'
import { sharedFile } from '../../shared-file.ts'
import { groupsOf } from './scores-view.tsx'
import { shortName } from './selection.ts'

const filterTitle = (filter: PairFilter, rightOrWrong: boolean): string | undefined => {
  const titles: Record<PairFilter, string | undefined> = {
    changed: 'Answers differ',
    first: rightOrWrong ? 'A right, B wrong' : 'A better',
    second: rightOrWrong ? 'B right, A wrong' : 'B better',
    'both-wrong': rightOrWrong ? 'Both wrong' : undefined,
    'both-right': rightOrWrong ? 'Both right' : undefined,
    all: 'All records',
  }
  return titles[filter]
}

const Answer = ({
  prediction,
  score,
  page,
}: {
  prediction: PredictionText
  score: number | null
  page: PredictionPage
}) => (
  <td>
    <div class="text">{prediction.text}</div>
    <div
      class={
        score === 1 && page.rightOrWrong
          ? 'verdict good'
          : score === 0 && page.rightOrWrong
            ? 'verdict bad'
            : 'verdict muted'
      }
    >
      {score === null
        ? 'no score'
        : page.rightOrWrong
          ? score === 1
            ? 'right'
            : 'wrong'
          : `${page.metric} ${formatValue(score)}`}
    </div>
    {prediction.probabilities.slice(0, 3).map(([name, probability]) => (
      <div class="share" key={name}>
        <span class="share-bar" style={{ width: `${(100 * probability).toFixed(1)}%` }} />
        {name} {probability.toFixed(3)}
      </div>
    ))}
  </td>
)

const Record = ({ row, page }: { row: PredictionRow; page: PredictionPage }) => (
  <tr>
    <td class="muted">{row.id}</td>
    <td class="record">
      {row.inputs.map(([name, value]) => (
        <div key={name}>
          {row.inputs.length > 1 && <span class="muted">{name}: </span>}
          <span class="text">{value}</span>
        </div>
      ))}
    </td>
    <td>
      <div class="text">{row.answer}</div>
    </td>
    <Answer prediction={row.predictions[0]} score={row.scores[0]} page={page} />
    <Answer prediction={row.predictions[1]} score={row.scores[1]} page={page} />
  </tr>
)

const RunChoice = ({
  title,
  field,
  value,
  ids,
}: {
  title: string
  field: string
  value: string
  ids: readonly string[]
}) => (
  <label>
    {title}{' '}
    <select value={value} onChange={(event) => setQuery({ [field]: event.currentTarget.value, page: undefined })}>
      {ids.map((id) => (
        <option key={id} value={id}>
          {id}
        </option>
      ))}
    </select>
  </label>
)

const Filters = ({ page, filter }: { page: PredictionPage; filter: PairFilter }) => (
  <fieldset class="row plain" aria-label="Which records">
    {pairFilters.map((each) => {
      const title = filterTitle(each, page.rightOrWrong)
      return title === undefined ? null : (
        <button
          type="button"
          key={each}
          class={each === filter ? 'primary' : undefined}
          aria-pressed={each === filter}
          onClick={() => setQuery({ filter: each, page: undefined })}
        >
          {title} ({page.counts[each]})
        </button>
      )
    })}
  </fieldset>
)

export const PredictionsView = ({ answer }: { answer: RunComparisonAnswer }) => {
  const { query } = route.value
  const ids = answer.runs.map(({ id }) => id)
  // Two runs of one task, if there are any, are what can be compared.
  const usual = groupsOf(answer.runs).find(({ length }) => length > 1) ?? answer.runs
  const known = (id: string | null): id is string => id !== null && ids.includes(id)
  const [first, second] = [query.get('a'), query.get('b')].map((id, i) => (known(id) ? id : usual[i]?.id))
  const filter = queryChoice('filter', pairFilters)
  const from = queryWhole('page') ?? 0
  const search = useSignal('')
  const searched = useSignal('')
  useEffect(() => {
    const timer = setTimeout(() => {
      searched.value = search.value
    }, 250)
    return () => clearTimeout(timer)
  }, [search.value])
  const path =
    first === undefined || second === undefined || first === second
      ? undefined
      : predictionsPath(first, second, { filter, search: searched.value, from })
  const page = useJson<PredictionPage>(path)
  if (first === undefined || second === undefined)
    return <p class="muted">Choose two finished runs of one task to see where they differ.</p>
  return (
    <section class="panel" aria-label="Predictions">
      <div class="row controls">
        <RunChoice title="A" field="a" value={first} ids={ids} />
        <RunChoice title="B" field="b" value={second} ids={ids} />
        {sharedFile === undefined && (
          <label>
            Search{' '}
            <input
              type="search"
              value={search.value}
              onInput={(event) => {
                search.value = event.currentTarget.value
                setQuery({ page: undefined })
              }}
            />
          </label>
        )}
      </div>
      {path === undefined ? (
        <p class="muted">A and B are the same run: choose another one.</p>
      ) : (
        <Show of={page.value}>
          {(data) => (
            <>
              <Filters page={data} filter={filter} />
              <Scroll label="Records with both predictions">
                <table class="predictions">
                  <thead>
                    <tr>
                      <th scope="col">Id</th>
                      <th scope="col">Record</th>
                      <th scope="col">Reference</th>
                      <th scope="col">A: {shortName(first, ids)}</th>
                      <th scope="col">B: {shortName(second, ids)}</th>
                    </tr>
                  </thead>
                  <tbody>
                    {data.rows.map((row) => (
                      <Record key={row.id} row={row} page={data} />
                    ))}
                  </tbody>
                </table>
              </Scroll>
              {sharedFile === undefined ? (
                <Pager
                  from={data.from}
                  shown={data.rows.length}
                  total={data.total}
                  size={predictionRows}
                  noun="records"
                  onFrom={(next) => setQuery({ page: next === 0 ? undefined : String(next) })}
                />
              ) : (
                <p class="muted">
                  {data.rows.length} of {data.total} records are in this file.
                </p>
              )}
            </>
          )}
        </Show>
      )}
    </section>
  )
}
