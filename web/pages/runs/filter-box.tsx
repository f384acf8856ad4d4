// The filter box of the table, with its help: examples, and every field that conditions may use.
import { useSignal } from '@preact/signals'
import { useEffect, useId, useRef } from 'preact/hooks'
import type { FilterField, FilterFields } from '../../../src/serving/studio/types/api-types.ts'
import { Show, useJson } from '../../parts/loading.tsx'
import { Modal } from '../../parts/modal.tsx'

const examples: readonly { text: string; help: string }[] = [
  { text: 'bert lora', help: 'plain words: in the name, what it trains, the tags or the state' },
  { text: "state = 'running' and loss < 2", help: 'runs that train now, with a low loss' },
  { text: "'baseline' in tags", help: 'runs with a tag' },
  { text: "optimizer.type = 'adamw' and batch.sequences >= 16", help: 'settings of the recipe' },
  { text: "metric = 'accuracy' and best > 0.9", help: 'the best score so far' },
  { text: 'updated > now() - interval 1 day', help: 'runs of the last day (UTC)' },
  { text: "run like 'sweep/%' and incidents = 0", help: 'runs of a folder without incidents' },
]

const Fields = ({
  title,
  fields,
  onChoose,
}: {
  title: string
  fields: FilterField[]
  onChoose(name: string): void
}) => (
  <section>
    <h3>{title}</h3>
    <ul class="fields">
      {fields.map(({ name, type }) => (
        <li key={name}>
          <button type="button" class="plain mono" title={type} onClick={() => onChoose(name)}>
            {name}
          </button>
        </li>
      ))}
    </ul>
  </section>
)

const Help = ({ onUse, onAdd, onClose }: { onUse(text: string): void; onAdd(name: string): void; onClose(): void }) => {
  const fields = useJson<FilterFields>('/api/filter/fields')
  return (
    <Modal title="Filter the runs" onClose={onClose}>
      <p>Plain words match names. Anything else is a condition in DuckDB's SQL, over the fields below.</p>
      <ul class="examples">
        {examples.map(({ text, help }) => (
          <li key={text}>
            <button type="button" class="plain mono" onClick={() => onUse(text)}>
              {text}
            </button>
            <span class="muted">{help}</span>
          </li>
        ))}
      </ul>
      <Show of={fields.value}>
        {({ runs, settings }) => (
          <>
            <Fields title="The table" fields={runs} onChoose={onAdd} />
            <Fields title="Settings of the recipes" fields={settings} onChoose={onAdd} />
          </>
        )}
      </Show>
    </Modal>
  )
}

interface FilterBoxProps {
  value: string
  error: string | undefined
  busy: boolean
  onChange(text: string): void
}

/** Milliseconds after the last key before a filter is used. */
const typingMs = 250

export const FilterBox = ({ value, error, busy, onChange }: FilterBoxProps) => {
  const typed = useSignal(value)
  const help = useSignal(false)
  const field = useRef<HTMLInputElement>(null)
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  const id = useId()
  useEffect(() => {
    // The address was changed by a link or by going back.
    if (typed.peek().trim() !== value) typed.value = value
  }, [value])
  useEffect(() => () => clearTimeout(timer.current), [])
  const use = (text: string, wait = 0) => {
    typed.value = text
    clearTimeout(timer.current)
    timer.current = setTimeout(() => onChange(text.trim()), wait)
  }
  const close = () => {
    help.value = false
    field.current?.focus()
  }
  return (
    <div class="filter">
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault()
          use(typed.value)
        }}
      >
        <label class="visually-hidden" for={id}>
          Filter
        </label>
        <input
          id={id}
          ref={field}
          class="mono"
          type="search"
          placeholder="Filter: words, or state = 'running' and loss < 2"
          autocomplete="off"
          spellcheck={false}
          value={typed.value}
          aria-invalid={error !== undefined}
          aria-describedby={`${id}-error`}
          onInput={({ currentTarget }) => use(currentTarget.value, typingMs)}
        />
        <button
          type="button"
          aria-haspopup="dialog"
          onClick={() => {
            help.value = true
          }}
        >
          Help
        </button>
      </form>
      <p id={`${id}-error`} class="error" role="status">
        {error ?? (busy ? <span class="muted">Filtering …</span> : '')}
      </p>
      {help.value && (
        <Help
          onClose={close}
          onUse={(text) => {
            use(text)
            close()
          }}
          onAdd={(name) => {
            use(typed.value.trim() === '' ? name : `${typed.value.trimEnd()} and ${name}`)
            close()
          }}
        />
      )}
    </div>
  )
}
