// Incidents, checkpoints, stops and the best evaluation of a run: as lines in its charts, as a strip above them, and as a list.
import { useSignal } from '@preact/signals'
import type { Mark, RunDetails } from '../../../src/serving/studio/types/api-types.ts'
import type { EvaluationEvent } from '../../../src/tracking/event-types.ts'
import { formatTime, formatValue } from '../../format.ts'
import type { RunAxis } from '../../parts/axes.ts'
import type { ChartMark } from '../../parts/chart.tsx'
import { Scroll } from '../../parts/scroll.tsx'

/** A mark with its text. */
export interface RunMark {
  step: number
  kind: 'incident' | 'checkpoint' | 'stop' | 'resume' | 'best' | 'note' | 'start'
  text: string
  time: string
}

const colors: Record<RunMark['kind'], string> = {
  incident: '--bad',
  checkpoint: '--line',
  stop: '--warn',
  resume: '--warn',
  best: '--good',
  note: '--muted',
  start: '--muted',
}

/** Marks that a strip shows; the list has more. */
const maxInStrip = 120

const ofEvent = (event: Mark, i: number, all: readonly Mark[]): RunMark[] => {
  const { step, time } = event
  const mark = (kind: RunMark['kind'], text: string): RunMark[] => [{ step, time, kind, text }]
  if (event.type === 'incident') return mark('incident', `${event.kind}: ${event.message}`)
  if (event.type === 'checkpoint') return mark('checkpoint', `Checkpoint ${event.path}`)
  if (event.type === 'note') return mark('note', event.message)
  if (event.type === 'start') return mark('start', 'The run began.')
  const resumed = i < all.length - 1
  const ended = event.message === undefined ? event.reason : `${event.reason}: ${event.message}`
  return [...mark('stop', `Session ended: ${ended}`), ...(resumed ? mark('resume', 'Resumed after this step.') : [])]
}

const bestMark = (evaluations: readonly EvaluationEvent[]): RunMark[] => {
  const best = evaluations.findLast((evaluation) => evaluation.best)
  if (best === undefined) return []
  const values = Object.entries(best.metrics).map(([name, value]) => `${name} ${formatValue(value)}`)
  return [{ step: best.step, time: best.time, kind: 'best', text: `Best evaluation: ${values.slice(0, 6).join(', ')}` }]
}

/** The marks of a run by step. */
export const marksOf = ({ marks, evaluations }: Pick<RunDetails, 'marks' | 'evaluations'>): RunMark[] =>
  [...marks.flatMap(ofEvent), ...bestMark(evaluations)].sort((a, b) => a.step - b.step)

const drawn = (mark: RunMark): boolean => mark.kind !== 'note' && mark.kind !== 'start'

/** The lines of a chart. */
export const linesOf = (marks: readonly RunMark[], axis: RunAxis): ChartMark[] =>
  marks.filter(drawn).map(({ step, kind }) => ({ x: axis.ofStep(step), color: colors[kind] }))

interface MarksProps {
  marks: readonly RunMark[]
  axis: RunAxis
  /** Range of the axis that the charts show. */
  range: readonly [number, number]
  onStep(step: number): void
}

/** The marks within the range, along the axis: their texts on hover and focus. */
export const MarkStrip = ({ marks, axis, range: [from, to], onStep }: MarksProps) => {
  const shown = useSignal<RunMark | undefined>(undefined)
  const inRange = marks.filter(drawn).filter(({ step }) => axis.ofStep(step) >= from && axis.ofStep(step) <= to)
  // Incidents first where there are too many.
  const chosen = [...inRange]
    .sort((a, b) => Number(a.kind === 'checkpoint') - Number(b.kind === 'checkpoint'))
    .slice(0, maxInStrip)
    .sort((a, b) => a.step - b.step)
  if (chosen.length === 0) return null
  const width = to - from || 1
  return (
    <div class="marks">
      <div class="strip">
        {chosen.map((mark) => (
          <button
            type="button"
            key={`${mark.step} ${mark.kind} ${mark.text}`}
            class={`mark ${mark.kind}`}
            style={{ left: `${((axis.ofStep(mark.step) - from) / width) * 100}%` }}
            aria-label={`Step ${mark.step}, ${mark.text}`}
            onMouseEnter={() => (shown.value = mark)}
            onFocus={() => (shown.value = mark)}
            onClick={() => onStep(Math.max(1, mark.step))}
          />
        ))}
      </div>
      <p class="muted caption">
        {shown.value === undefined
          ? `${inRange.length} marks: incidents, checkpoints, stops, best evaluation.`
          : `Step ${shown.value.step}: ${shown.value.text}`}
      </p>
    </div>
  )
}

/** Marks that a list shows. */
const maxInList = 300

/** The newest marks, the last one first. */
export const MarkList = ({ marks, onStep }: Pick<MarksProps, 'marks' | 'onStep'>) => (
  <Scroll label="Marks" kind="scroll window">
    <table>
      <thead>
        <tr>
          <th class="number">Step</th>
          <th>What</th>
          <th>Text</th>
          <th>Time</th>
        </tr>
      </thead>
      <tbody>
        {[...marks]
          .reverse()
          .slice(0, maxInList)
          .map((mark, i) => (
            <tr key={i}>
              <td class="number">
                <button type="button" onClick={() => onStep(Math.max(1, mark.step))}>
                  {mark.step}
                </button>
              </td>
              <td class={mark.kind === 'incident' ? 'error' : undefined}>{mark.kind}</td>
              <td>{mark.text}</td>
              <td>{formatTime(mark.time)}</td>
            </tr>
          ))}
      </tbody>
    </table>
    {marks.length > maxInList && (
      <p class="muted">
        The newest {maxInList} of {marks.length} are listed.
      </p>
    )}
  </Scroll>
)
