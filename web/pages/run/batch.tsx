// The rows that the run trained on in a step: trained tokens coloured by their loss, masked ones as what they were.
import { useSignal } from '@preact/signals'
import type { BatchPart, BatchRow, BatchRows } from '../../../src/serving/studio/types/api-types.ts'
import { runPath } from '../../api.ts'
import { formatCount, formatValue } from '../../format.ts'
import { Show, useJson } from '../../parts/loading.tsx'

interface BatchProps {
  id: string
  step: number
  lastStep: number
  onStep(step: number): void
}

export const Batch = ({ id, step, lastStep, onStep }: BatchProps) => {
  const batch = useJson<BatchRows>(runPath(id, `/batch?step=${step}`))
  const loaded = batch.value.data?.step === step ? batch.value.data : undefined
  const waiting = loaded === undefined && batch.value.error === undefined
  return (
    <section aria-label={`Rows of step ${step}`} class="panel batch">
      <div class="head">
        <h2>Rows of step {step}</h2>
        <label>
          Step{' '}
          <input
            type="number"
            min="1"
            max={lastStep}
            value={step}
            onChange={({ currentTarget: { value } }) => Number(value) >= 1 && onStep(Math.round(Number(value)))}
          />
        </label>
      </div>
      {waiting && (
        <p class="muted">Building the run again to read its data … This takes a few seconds the first time.</p>
      )}
      {!waiting && <Show of={{ data: loaded, error: batch.value.error }}>{(rows) => <Rows batch={rows} />}</Show>}
    </section>
  )
}

const weightsText = ({ weightsOfStep, step }: BatchRows): string => {
  if (weightsOfStep === null) return ''
  if (weightsOfStep === 0) return 'Losses are of the weights before the first step.'
  const same = weightsOfStep === step - 1 ? ', the weights that met this batch' : ''
  return `Losses are of the checkpoint of step ${weightsOfStep}${same}, without dropout.`
}

const Summary = ({ batch }: { batch: BatchRows }) => (
  <>
    <p class="row muted">
      <span>{batch.rows.length + batch.left} rows</span>
      <span>{formatCount(batch.tokens)} tokens</span>
      {batch.recordedLoss !== null && <span>recorded loss {formatValue(batch.recordedLoss)}</span>}
      {batch.loss !== null && <span>loss under these weights {formatValue(batch.loss)}</span>}
    </p>
    <p class="muted">
      {weightsText(batch)} {batch.withoutLosses}
    </p>
    {batch.notes.map((note) => (
      <p class="error" key={note}>
        {note}
      </p>
    ))}
    {batch.weightsOfStep !== null && (
      <p class="row scale" aria-hidden="true">
        <span class="token t1">low loss</span>
        <span class="token t2" />
        <span class="token t3" />
        <span class="token t4" />
        <span class="token t5">high loss</span>
        <span class="token masked">masked</span>
      </p>
    )}
  </>
)

const Rows = ({ batch }: { batch: BatchRows }) => {
  const byLoss = useSignal(false)
  const open = useSignal<ReadonlySet<number>>(new Set([batch.rows[0]?.position]))
  const rows = byLoss.value ? [...batch.rows].sort((a, b) => (b.loss ?? 0) - (a.loss ?? 0)) : batch.rows
  const toggle = (position: number) => {
    const next = new Set(open.value)
    if (!next.delete(position)) next.add(position)
    open.value = next
  }
  return (
    <>
      <Summary batch={batch} />
      {batch.weightsOfStep !== null && (
        <label>
          <input type="checkbox" checked={byLoss.value} onChange={() => (byLoss.value = !byLoss.value)} /> highest loss
          first
        </label>
      )}
      <ol class="rows">
        {rows.map((row) => (
          <li key={row.position}>
            <Row row={row} open={open.value.has(row.position)} onToggle={() => toggle(row.position)} />
          </li>
        ))}
      </ol>
      {batch.left > 0 && <p class="muted">{batch.left} more rows of this batch are not shown.</p>}
    </>
  )
}

const Row = ({ row, open, onToggle }: { row: BatchRow; open: boolean; onToggle(): void }) => (
  <>
    <button type="button" class="fold" aria-expanded={open} onClick={onToggle}>
      <span>{row.place ?? `row ${row.position}`}</span>
      <span class="muted">{formatCount(row.tokens)} tokens</span>
      {row.loss !== null && <span>loss {formatValue(row.loss)}</span>}
      {Object.entries(row.values).map(([name, value]) => (
        <span key={name}>
          {name} {formatValue(value)}
        </span>
      ))}
    </button>
    {open && row.parts === null && <p class="muted">The batch is too long to show the text of this row.</p>}
    {open && row.parts?.map((part, i) => <Part key={i} part={part} />)}
  </>
)

/** Losses in nats up to which each of the colours goes. */
const bounds = [0.5, 1.5, 3, 5]

const levelOf = (loss: number): number => 1 + bounds.filter((bound) => loss > bound).length

const Part = ({ part }: { part: BatchPart }) => {
  const places = new Map(part.trained.map((index, i) => [index, i]))
  const seen = new Map(part.seen)
  const classes = new Map(part.classes)
  return (
    <>
      {part.name !== null && <p class="part-name">{part.name}</p>}
      <p class="tokens mono">
        {part.texts.map((text, i) => {
          const place = places.get(i)
          if (place === undefined && !classes.has(i)) return text
          const loss = place === undefined ? undefined : part.losses[place]
          const input = seen.get(i)
          const about = [
            ...(loss === undefined ? [] : [`loss ${formatValue(loss)}`]),
            ...(input === undefined ? [] : [`the model reads ${input}`]),
            ...(classes.has(i) ? [`class ${classes.get(i)}`] : []),
          ].join(', ')
          const level = loss === undefined ? 'trained' : `t${levelOf(loss)}`
          return (
            <span key={i} class={`token ${level}${input === undefined ? '' : ' masked'}`} title={about}>
              {text}
              {classes.has(i) && <sub>{classes.get(i)}</sub>}
            </span>
          )
        })}
      </p>
    </>
  )
}
