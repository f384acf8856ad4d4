// Preferences with their margins under the finished model: the displaced ones first.
import type {
  AlignmentFacts,
  PreferenceAnswer,
  PreferenceOrder,
  PreferencePage,
  PreferenceRow,
} from '../../../src/serving/studio/types/alignment-types.ts'
import { runPath } from '../../api.ts'
import { formatValue } from '../../format.ts'
import { Histogram } from '../../parts/histogram.tsx'
import { Show, useJson } from '../../parts/loading.tsx'
import { Pager } from '../../parts/pager.tsx'
import { Scroll } from '../../parts/scroll.tsx'
import { queryChoice, queryWhole, setQuery } from '../../router.ts'

const size = 25

const orders: Record<PreferenceOrder, string> = {
  displaced: 'Displaced first',
  smallest: 'Smallest margin first',
  largest: 'Largest margin first',
  data: 'As in the data',
}

const Answer = ({ quality, text, logProb, ratio, tokens }: PreferenceAnswer) => (
  <div class="preference">
    <span class={quality === 'chosen' || quality === 'good' ? 'verdict good' : 'verdict bad'}>{quality}</span>{' '}
    <span class="text">{text}</span>
    <div class="muted">
      log-probability {formatValue(logProb)} over {tokens} tokens
      {ratio !== null &&
        `, ${ratio < 0 ? 'less' : 'more'} likely than under the base by ${formatValue(Math.abs(ratio))}`}
    </div>
  </div>
)

const Pair = ({ row }: { row: PreferenceRow }) => (
  <tr>
    <td class="muted">{row.id}</td>
    <td class="record text">{row.prompt}</td>
    <td>
      {row.answers.map((answer) => (
        <Answer key={answer.quality} {...answer} />
      ))}
    </td>
    <td class="number">{row.margin === null ? '–' : formatValue(row.margin)}</td>
    <td>{row.displaced && <span class="verdict bad">displaced</span>}</td>
  </tr>
)

export const PreferencesView = ({ id, facts }: { id: string; facts: AlignmentFacts }) => {
  const order = queryChoice('order', Object.keys(orders) as PreferenceOrder[])
  const from = queryWhole('from') ?? 0
  const page = useJson<PreferencePage>(
    facts.scored ? runPath(id, `/preferences?order=${order}&from=${from}&count=${size}`) : undefined,
  )
  if (!facts.scored)
    return <p class="panel muted">Margins are measured when the run has finished. Its curves have those of training.</p>
  return (
    <Show of={page.value}>
      {(data) => (
        <>
          <section class="panel">
            <h2>Margins on the validation records</h2>
            <div class="row muted">
              <span>{data.total} records</span>
              {data.margin.mean !== null && <span>mean margin {formatValue(data.margin.mean)} nats</span>}
              {data.margin.mean !== null && <span>{data.wrong} prefer the rejected answer</span>}
              <span>
                {data.displaced === null
                  ? 'The base was not measured: there are no margins, and no answer is known to be displaced.'
                  : `${data.displaced} displaced: the preferred answer became less likely than under the base`}
              </span>
            </div>
            <Histogram label="Histogram of margins" across="margin in nats" bins={data.histogram} signed />
          </section>
          <section class="panel" aria-label="Preferences">
            <div class="row controls">
              <label>
                Order{' '}
                <select
                  value={order}
                  onChange={(event) => setQuery({ order: event.currentTarget.value, from: undefined })}
                >
                  {Object.entries(orders).map(([key, title]) => (
                    <option key={key} value={key}>
                      {title}
                    </option>
                  ))}
                </select>
              </label>
            </div>
            <Scroll label="Records with margins">
              <table class="predictions">
                <thead>
                  <tr>
                    <th scope="col">Id</th>
                    <th scope="col">Prompt</th>
                    <th scope="col">Answers</th>
                    <th scope="col" class="number">
                      Margin
                    </th>
                    <th scope="col">
                      <span class="visually-hidden">Displaced</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {data.rows.map((row) => (
                    <Pair key={row.id} row={row} />
                  ))}
                </tbody>
              </table>
            </Scroll>
            <Pager
              from={data.from}
              shown={data.rows.length}
              total={data.total}
              size={size}
              noun="records"
              onFrom={(next) => setQuery({ from: next === 0 ? undefined : String(next) })}
            />
          </section>
        </>
      )}
    </Show>
  )
}
