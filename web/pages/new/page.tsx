// The form of a new run: settings from the schemas of its recipe, checked and planned while they change.
import { useSignal } from '@preact/signals'
import { useEffect, useMemo, useRef } from 'preact/hooks'
import type { RunDetails } from '../../../src/serving/studio/types/api-types.ts'
import type {
  FormCommand,
  RecipeCheck,
  RecipeForm,
  RecipePlan,
  StartAnswer,
} from '../../../src/serving/studio/types/new-run-types.ts'
import { RequestError, runPath, sendJson } from '../../api.ts'
import { Show, useJson } from '../../parts/loading.tsx'
import { attempt } from '../../parts/messages.tsx'
import { goTo, linkTo, route } from '../../router.ts'
import { CopyBox } from './copy-box.tsx'
import { FieldRow } from './field.tsx'
import { type Field, fieldsOf, groupsOf, recipeOf, type Values, valuesOf } from './fields.ts'
import './new.css'
import { changesBetween } from '../../parts/settings-changes.ts'
import { PlanPanel } from './plan.tsx'
import { effectOf } from './plan-effect.ts'

const commands: readonly { command: FormCommand; title: string; help: string }[] = [
  { command: 'pretrain', title: 'Pretrain', help: 'a model on token shards, from scratch or from a base' },
  { command: 'finetune', title: 'Fine-tune', help: 'a base on the records of a task' },
  { command: 'multitask', title: 'Several tasks', help: 'a base on several tasks at once, with a head for each' },
  { command: 'align', title: 'Align', help: 'a model by preferences, or by rewards of its own answers' },
]

const Commands = ({ current }: { current: string | undefined }) => (
  <nav class="row" aria-label="Commands">
    {commands.map(({ command, title, help }) => (
      <a
        key={command}
        class={command === current ? 'button primary' : 'button'}
        href={linkTo(['new', command])}
        aria-current={command === current ? 'page' : undefined}
        title={help}
      >
        {title}
      </a>
    ))}
  </nav>
)

/** Milliseconds after the last key before a recipe is checked, and before it is planned. */
const checkMs = 250
const planMs = 800

/** The check of a recipe, which follows it. */
const useCheck = (command: FormCommand, text: string) => {
  const state = useSignal<{ of: string; check?: RecipeCheck; error?: string } | undefined>(undefined)
  useEffect(() => {
    let isOld = false
    const timer = setTimeout(async () => {
      const body = { recipe: JSON.parse(text) as object }
      try {
        const check = await sendJson<RecipeCheck>('POST', `/api/new-run/${command}/check`, body)
        if (!isOld) state.value = { of: text, check }
      } catch (error) {
        if (!isOld) state.value = { of: text, error: (error as Error).message }
      }
    }, checkMs)
    return () => {
      isOld = true
      clearTimeout(timer)
    }
  }, [command, text])
  return state.value
}

/** The plan of a recipe without faults; the one before stays until the new one is there. */
const usePlan = (command: FormCommand, text: string | undefined) => {
  const state = useSignal<{ of: string; plan: RecipePlan } | undefined>(undefined)
  useEffect(() => {
    if (text === undefined) return
    let isOld = false
    const timer = setTimeout(async () => {
      const body = { recipe: JSON.parse(text) as object }
      try {
        const plan = await sendJson<RecipePlan>('POST', `/api/new-run/${command}/plan`, body)
        if (!isOld) state.value = { of: text, plan }
      } catch (error) {
        // A newer plan is on its way.
        const isSuperseded = error instanceof RequestError && error.status === 409
        if (!isOld && !isSuperseded) state.value = { of: text, plan: { plan: null, fault: (error as Error).message } }
      }
    }, planMs)
    return () => {
      isOld = true
      clearTimeout(timer)
    }
  }, [command, text])
  return state.value
}

/** What the last change of each setting did to the plan, by the name of the setting. */
const useEffects = (planned: ReturnType<typeof usePlan>): Readonly<Record<string, string>> => {
  const effects = useSignal<Record<string, string>>({})
  const before = useRef(planned)
  useEffect(() => {
    const last = before.current
    if (planned?.plan.plan == null) return
    before.current = planned
    if (last?.plan.plan == null) return
    const changes = changesBetween(JSON.parse(last.of), JSON.parse(planned.of))
    // Of several changes at once nobody knows which did what.
    if (changes.length !== 1) return
    effects.value = { ...effects.value, [changes[0].path]: effectOf(last.plan.plan, planned.plan.plan) }
  }, [planned])
  return effects.value
}

interface FormProps {
  form: RecipeForm
  start: Values
}

const Form = ({ form, start }: FormProps) => {
  const { command } = form
  const values = useSignal<Values>({ ...start, out: form.out })
  const tried = useSignal(false)
  const fields = useMemo(() => fieldsOf(form, values.value), [form, values.value])
  const recipe = useMemo(() => recipeOf(fields, values.value), [fields, values.value])
  const text = JSON.stringify(recipe)
  const checked = useCheck(command, text)
  const faults = checked?.check?.faults ?? []
  const isChecked = checked?.of === text
  const planned = usePlan(command, isChecked && checked.check !== undefined && faults.length === 0 ? text : undefined)
  const effects = useEffects(planned)
  const { first, groups } = groupsOf(form, fields)
  const set = (name: string, value: string) => {
    const { [name]: _, ...others } = values.value
    values.value = value === '' ? others : { ...others, [name]: value }
  }
  const isSet = ({ name }: Field) => (values.value[name] ?? '') !== ''
  const faultOf = (field: Field): string | undefined => {
    if (!tried.value && !isSet(field)) return undefined
    return faults.find(({ name }) => name === field.name || field.name === `${name}.type`)?.message
  }
  const names = new Set(fields.flatMap(({ name }) => [name, name.replace(/\.type$/, '')]))
  const others = faults.filter(({ name }) => !names.has(name))
  const suggestionsFor = ({ name }: Field) =>
    name === 'model.preset' ? (form.presets[values.value['model.type'] ?? ''] ?? []) : (form.suggestions[name] ?? [])
  const row = (field: Field) => (
    <FieldRow
      key={field.name}
      field={field}
      value={values.value[field.name] ?? ''}
      fault={faultOf(field)}
      effect={effects[field.name]}
      suggestions={suggestionsFor(field)}
      onChange={(value) => set(field.name, value)}
    />
  )
  const submit = async (event: Event) => {
    event.preventDefault()
    tried.value = true
    if (faults.length > 0) return
    const isStarted = await attempt(() =>
      sendJson<StartAnswer>('POST', `/api/new-run/${command}/start`, { recipe: JSON.parse(text) }),
    )
    if (isStarted) goTo(['runs'])
  }
  const missing = first.filter((field) => field.required && !isSet(field)).map(({ name }) => name)
  return (
    <form class="new-run" onSubmit={submit}>
      <div class="stack">
        <section class="panel" aria-label="Essential settings">
          <h2>Essentials</h2>
          <div class="settings">{first.map(row)}</div>
        </section>
        {groups.map(({ name, fields }) => {
          const count = fields.filter(isSet).length
          const wrong = fields.some((field) => faultOf(field) !== undefined)
          return (
            <details class="panel" key={name} open={wrong || undefined}>
              <summary>
                {name}{' '}
                <span class="muted">
                  {count === 0 ? `${fields.length} ${fields.length === 1 ? 'setting' : 'settings'}` : `${count} set`}
                </span>
              </summary>
              <div class="settings">{fields.map(row)}</div>
            </details>
          )
        })}
      </div>
      <div class="stack aside">
        <PlanPanel
          plan={planned?.plan}
          busy={faults.length === 0 && planned?.of !== text}
          blocked={
            missing.length > 0
              ? `Still needed: ${missing.join(', ')}.`
              : faults.length > 0
                ? 'There is a plan once the settings have no faults.'
                : undefined
          }
        />
        {others.map(({ name, message }) => (
          <p class="error" role="alert" key={name + message}>
            {message}
          </p>
        ))}
        {checked?.error !== undefined && (
          <p class="error" role="alert">
            {checked.error}
          </p>
        )}
        <button type="submit" class="primary" disabled={!isChecked}>
          Start the run
        </button>
        {tried.value && faults.length > 0 && (
          <p class="error" role="alert">
            {faults.length === 1 ? 'One setting is' : `${faults.length} settings are`} missing or wrong.
          </p>
        )}
        <section class="panel" aria-label="The recipe">
          <CopyBox title="Recipe file" text={JSON.stringify({ command, ...recipe }, null, 2)} />
          <CopyBox title="Command line" text={checked?.check?.commandLine ?? ''} />
        </section>
      </div>
    </form>
  )
}

const NewRun = ({ command, from }: { command: FormCommand; from: string | undefined }) => {
  const form = useJson<RecipeForm>(`/api/new-run/${command}`)
  const source = useJson<RunDetails>(from === undefined ? undefined : runPath(from))
  const { data, error } = form.value
  if (data !== undefined && from === undefined) return <Form form={data} start={{}} />
  if (data === undefined || from === undefined) return <Show of={{ data: undefined, error }}>{() => null}</Show>
  return (
    <Show of={source.value}>
      {({ recipe }) => <Form form={data} start={recipe === null ? {} : valuesOf(data, recipe)} />}
    </Show>
  )
}

export default () => {
  const { parts, query } = route.value
  const command = commands.find((one) => one.command === parts[1])?.command
  const from = query.get('from') ?? undefined
  return (
    <>
      <div class="head">
        <h1>New run</h1>
        <Commands current={command} />
        {from !== undefined && <span class="muted">with the settings of {from}</span>}
      </div>
      {command === undefined ? (
        <dl class="panel">
          {commands.map(({ title, help }) => (
            <div key={title}>
              <dt>{title}</dt>
              <dd class="muted">{help}</dd>
            </div>
          ))}
        </dl>
      ) : (
        <NewRun key={`${command} ${from}`} command={command} from={from} />
      )}
    </>
  )
}
