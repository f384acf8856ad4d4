// What a look at all records of a source found: labels, lengths, doubtful records, and overlap with the validation data. It is computed
// in another process while the page is open, and kept for the next time.
import { type Signal, useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type {
  InspectionMessage,
  ShownFinding,
  ShownPart,
  ShownReport,
} from '../../../src/serving/studio/types/data-types.ts'
import { readStream } from '../../api.ts'
import { formatCount } from '../../format.ts'
import { Bars } from '../../parts/bars.tsx'
import { Facts } from '../../parts/facts.tsx'
import { Histogram } from '../../parts/histogram.tsx'
import { SafeText } from '../../parts/safe-text.tsx'
import { Scroll } from '../../parts/scroll.tsx'
import { sourcePath } from './source-head.tsx'

/** The state of an inspection. */
export interface InspectionState {
  message: InspectionMessage | undefined
  error: string | undefined
}

/** Follows the inspection of a source until the page leaves. */
export const useInspection = (id: string): Signal<InspectionState> => {
  const state = useSignal<InspectionState>({ message: undefined, error: undefined })
  useEffect(() => {
    state.value = { message: undefined, error: undefined }
    return readStream<InspectionMessage>(sourcePath(id, '/inspection'), {
      onMessage(message) {
        state.value = { message, error: undefined }
      },
      onEnd(error) {
        if (error !== undefined) state.value = { ...state.value, error }
      },
    })
  }, [id])
  return state
}

const FindingRow = ({ title, finding: { count, examples } }: { title: string; finding: ShownFinding }) =>
  count === 0 ? (
    <p class="muted">{title}: none</p>
  ) : (
    <details>
      <summary>
        {title}: <strong>{formatCount(count)}</strong>
      </summary>
      <Scroll label={`Examples: ${title}`}>
        <table>
          <thead>
            <tr>
              {['First', 'Second', 'Answers', 'Text'].map((head) => (
                <th scope="col" key={head}>
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {examples.map(({ first, second, answers, text }) => (
              <tr key={`${first} ${second}`}>
                <td class="mono">{first.split('/').at(-1)}</td>
                <td class="mono">{second.split('/').at(-1)}</td>
                <td>
                  <SafeText text={answers[0] === answers[1] ? answers[0] : answers.join(' | ')} />
                </td>
                <td>
                  <SafeText text={text} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {count > examples.length && <p class="muted">The first {examples.length} are listed.</p>}
    </details>
  )

const Skipped = ({ skipped }: Pick<ShownReport, 'skipped'>) => (
  <>
    {Object.entries(skipped).map(([reason, { count, first }]) => (
      <p class="damage" key={reason}>
        {formatCount(count)} {reason}
        <span class="muted path">
          {' '}
          · the first: <SafeText text={first} />
        </span>
      </p>
    ))}
  </>
)

const Part = ({ title, part }: { title: string; part: ShownPart }) => {
  const { report, lengths, labels } = part
  const { unit, min, median, mean, p95, p99, max, histogram } = lengths
  return (
    <section class="panel" aria-label={title}>
      <h2>{title}</h2>
      <Facts
        facts={[
          ['Records', formatCount(report.records)],
          [`Median ${unit}`, formatCount(median)],
          [`Mean ${unit}`, mean.toFixed(1)],
          ['Shortest, longest', `${formatCount(min)}, ${formatCount(max)}`],
          ['95 %, 99 % are at most', `${formatCount(p95)}, ${formatCount(p99)}`],
          ['Columns nobody reads', report.unreadColumns?.join(', ') ?? 'none'],
        ]}
      />
      <Histogram
        label={`Lengths of ${title}`}
        across={`${unit} of a record${histogram.length > 1 && histogram[histogram.length - 1].to > p99 + 1 ? '; the last bar has the longest' : ''}`}
        bins={histogram}
        whole
      />
      <Skipped skipped={report.skipped} />
      {labels.length > 0 && (
        <Bars
          label={`Labels of ${title}`}
          head={['Label', 'Count']}
          bars={labels.map(({ label, count }) => ({ name: label, count }))}
        />
      )}
      <FindingRow title="Same text with another answer" finding={part.contradictions} />
      <FindingRow title="Nearly the same text with another answer" finding={part.nearContradictions} />
      <FindingRow title="Copies" finding={part.copies} />
      <FindingRow title="Near copies" finding={part.nearCopies} />
    </section>
  )
}

const Progress = ({ state: { message, error } }: { state: InspectionState }) =>
  error !== undefined ? (
    <p class="error" role="alert">
      {error}
    </p>
  ) : (
    <p class="muted" role="status">
      {message !== undefined && 'progress' in message && message.progress > 0
        ? `Reading: ${formatCount(message.progress)} records so far …`
        : message !== undefined && 'waiting' in message
          ? 'Waiting for other data to be read …'
          : 'Reading all records …'}
    </p>
  )

/** What was found in records, once it is known. */
export const Inspection = ({ state }: { state: InspectionState }) => {
  const { message } = state
  if (message === undefined || !('inspection' in message)) return <Progress state={state} />
  const { train, validation, overlap, nearRecords, similarity } = message.inspection
  const only = [...(overlap?.onlyInTraining ?? []), ...(overlap?.onlyInValidation ?? [])]
  return (
    <>
      <div class="grid">
        <Part title={validation === undefined ? 'Records' : 'Training'} part={train} />
        {validation !== undefined && <Part title="Validation" part={validation} />}
        {overlap !== undefined && (
          <section class="panel" aria-label="Overlap">
            <h2>Overlap of training and validation</h2>
            <FindingRow title="Validation texts that are in training" finding={overlap.texts} />
            <FindingRow title="Validation texts that are nearly in training" finding={overlap.near} />
            <p class={only.length === 0 ? 'muted' : 'damage'}>
              Labels of one part only: {only.length === 0 ? 'none' : only.slice(0, 50).join(', ')}
            </p>
          </section>
        )}
      </div>
      <p class="muted">
        Near copies share {similarity} of their word pairs; the first {formatCount(nearRecords)} records were compared.
      </p>
    </>
  )
}

/** What was left out of alignment data, by reason. */
export const Report = ({ state }: { state: InspectionState }) => {
  const { message } = state
  if (message === undefined || !('report' in message)) return <Progress state={state} />
  const { records, skipped, unreadColumns } = message.report
  const left = Object.entries(skipped)
  return (
    <section class="panel" aria-label="What was read">
      <Facts
        facts={[
          ['Usable', formatCount(records)],
          ['Left out', formatCount(left.reduce((sum, [, { count }]) => sum + count, 0))],
          ...left.map(([reason, { count }]) => [reason, formatCount(count)] as const),
          ...(unreadColumns === undefined ? [] : [['Columns nobody reads', unreadColumns.join(', ')] as const]),
        ]}
      />
      <Skipped skipped={skipped} />
    </section>
  )
}
