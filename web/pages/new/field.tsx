// One setting of the form: its input, help, default, range, and what is wrong with it.
import { useId } from 'preact/hooks'
import type { Field } from './fields.ts'

interface FieldProps {
  field: Field
  value: string
  fault: string | undefined
  /** What its last change did to the plan. */
  effect: string | undefined
  suggestions: readonly string[]
  onChange(value: string): void
}

type InputProps = Omit<FieldProps, 'fault' | 'effect'> & { id: string; describedBy: string; isWrong: boolean }

/** The words of a choice that leaves a setting at its default. */
const defaultText = ({ byDefault, required }: Field): string =>
  byDefault === undefined ? (required ? 'choose …' : 'not set') : `default: ${byDefault}`

const Choice = ({ field, value, id, describedBy, isWrong, onChange }: InputProps) => {
  const choices =
    field.kind === 'boolean'
      ? [
          { value: 'true', help: undefined },
          { value: 'false', help: undefined },
        ]
      : field.choices
  // What is not in the list, of a recipe with modules, stays visible.
  const isOther = value !== '' && !choices.some((choice) => choice.value === value)
  return (
    <select
      id={id}
      value={value}
      aria-describedby={describedBy}
      aria-invalid={isWrong}
      onChange={({ currentTarget }) => onChange(currentTarget.value)}
    >
      <option value="">{defaultText(field)}</option>
      {isOther && <option value={value}>{value}</option>}
      {choices.map((choice) => (
        <option key={choice.value} value={choice.value}>
          {choice.help === undefined ? choice.value : `${choice.value} – ${choice.help}`}
        </option>
      ))}
    </select>
  )
}

const Text = ({ field, value, suggestions, id, describedBy, isWrong, onChange }: InputProps) => (
  <>
    <input
      id={id}
      list={suggestions.length === 0 ? undefined : `${id}-list`}
      inputMode={field.kind === 'number' ? 'decimal' : undefined}
      autocomplete="off"
      spellcheck={false}
      placeholder={field.byDefault}
      value={value}
      aria-describedby={describedBy}
      aria-invalid={isWrong}
      onInput={({ currentTarget }) => onChange(currentTarget.value)}
    />
    {suggestions.length > 0 && (
      <datalist id={`${id}-list`}>
        {suggestions.map((text) => (
          <option key={text} value={text} />
        ))}
      </datalist>
    )}
  </>
)

const Lines = ({ field, value, id, describedBy, isWrong, onChange }: InputProps) => (
  <textarea
    id={id}
    rows={Math.min(6, 1 + value.split('\n').length)}
    spellcheck={false}
    placeholder={field.byDefault}
    value={value}
    aria-describedby={describedBy}
    aria-invalid={isWrong}
    onInput={({ currentTarget }) => onChange(currentTarget.value)}
  />
)

const inputOf = ({ kind }: Field, suggestions: readonly string[]) => {
  if (kind === 'choice' || kind === 'boolean') return Choice
  // One line with suggestions is the usual case of data.
  return kind === 'json' || kind === 'numbers' || (kind === 'lines' && suggestions.length === 0) ? Lines : Text
}

export const FieldRow = ({ fault, effect, ...props }: FieldProps) => {
  const { field, suggestions } = props
  const id = useId()
  const Input = inputOf(field, suggestions)
  const hints = [
    field.range,
    field.kind === 'lines' && suggestions.length === 0 ? 'one a line' : '',
    field.kind === 'any' ? field.choices.map(({ value }) => value).join(' or ') : '',
  ]
  return (
    <div class="setting">
      <label for={id}>
        <code>{field.name}</code>
        {field.required && <span class="muted"> required</span>}
      </label>
      <Input {...props} id={id} describedBy={`${id}-help`} isWrong={fault !== undefined} />
      <p id={`${id}-help`} class="muted">
        {[field.help, ...hints].filter(Boolean).join('; ')}
        {effect !== undefined && fault === undefined && (
          <span class="effect" role="status">
            {effect}
          </span>
        )}
        {fault !== undefined && <span class="error fault">{fault}</span>}
      </p>
    </div>
  )
}
