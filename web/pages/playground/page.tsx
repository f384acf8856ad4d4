// The playground: one or two models, asked the same question with the same seed.
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import type { LoadedModel, PlaygroundState } from '../../../src/serving/studio/types/api-types.ts'
import { getJson } from '../../api.ts'
import { runRow } from '../../live-runs.ts'
import { Tabs } from '../../parts/tabs.tsx'
import { route, setQuery } from '../../router.ts'
import { Answers } from './answers.tsx'
import { type ChosenModel, InMemory, isLive, ModelFacts, ModelPicker, runOfModel, useModel } from './model-picker.tsx'
import { type Mode, modesOf, type Question } from './modes.tsx'
import './playground.css'
import { Session } from './session.ts'
import { Settings } from './settings.tsx'

/** Milliseconds between two looks at the models in memory. */
const stateInterval = 4000

const empty: PlaygroundState = { given: [], loaded: [], limit: 0 }

const useState = () => {
  const state = useSignal(empty)
  const refresh = () => {
    getJson<PlaygroundState>('/api/playground/models').then(
      (found) => {
        state.value = found
      },
      // The page says elsewhere that the studio is away.
      () => undefined,
    )
  }
  useEffect(() => {
    refresh()
    const timer = setInterval(refresh, stateInterval)
    return () => clearInterval(timer)
  }, [])
  return { state: state.value, refresh }
}

/** Asks the last question again whenever the models in training have done some steps. */
const usePinned = (session: Session, ids: readonly (string | undefined)[], every: number | undefined): void => {
  const asked = useRef<(number | undefined)[]>([])
  const steps = ids.map((id) => (isLive(id) ? runRow(runOfModel(id)!)?.step : undefined))
  const busy = session.busy.value
  useEffect(() => {
    if (every === undefined) asked.current = []
    if (every === undefined || busy || session.turns.value.length === 0) return
    const due = ids.map((id, i) => {
      const step = steps[i]
      if (step === undefined) return undefined
      const next = Math.floor(step / every)
      const known = asked.current[i]
      asked.current[i] = next
      return known !== undefined && next > known ? id : undefined
    })
    if (due.some((id) => id !== undefined)) void session.again(due)
  }, [steps.join(), busy, every])
}

interface FormProps {
  mode: Mode
  models: readonly LoadedModel[]
  session: Session
  onAsk(question: Question): void
}

const QuestionForm = ({ mode, models, session, onAsk }: FormProps) => {
  const text = useSignal(mode.example)
  const context = useSignal(mode.context?.example ?? '')
  const field = useRef<HTMLTextAreaElement>(null)
  const mask = mode.path === '/v1/fill' ? models[0]?.mask : null
  const send = () => {
    if (text.value.trim() === '' || session.busy.value) return
    onAsk({ text: text.value, context: context.value })
    if (mode.chat) text.value = ''
  }
  return (
    <form
      class="panel question"
      onSubmit={(event) => {
        event.preventDefault()
        send()
      }}
    >
      {mode.context && (
        <label>
          {mode.context.field}
          <textarea
            rows={4}
            value={context.value}
            onInput={(event) => {
              context.value = event.currentTarget.value
            }}
          />
        </label>
      )}
      <label>
        {mode.field}
        <textarea
          ref={field}
          rows={mode.path === '/v1/embeddings' ? 6 : 3}
          value={text.value}
          onInput={(event) => {
            text.value = event.currentTarget.value
          }}
          onKeyDown={(event) => {
            // Enter that ends the composition of a character is part of writing.
            if (event.key !== 'Enter' || event.shiftKey || event.isComposing || !mode.writes) return
            event.preventDefault()
            send()
          }}
        />
      </label>
      <div class="row">
        <button type="submit" class="primary" disabled={session.busy.value || text.value.trim() === ''}>
          Ask
        </button>
        {session.busy.value && (
          <button type="button" onClick={() => session.stop()}>
            Stop
          </button>
        )}
        {mask != null && (
          <button
            type="button"
            onClick={() => {
              text.value = `${text.value}${text.value === '' || text.value.endsWith(' ') ? '' : ' '}${mask}`
              field.current?.focus()
            }}
          >
            Insert {mask}
          </button>
        )}
        {mode.writes && <span class="muted">Enter asks, Shift and Enter begin a new line.</span>}
      </div>
    </form>
  )
}

/** The last question again: at will, and every some steps of a model in training. */
const AskAgain = ({ session, ids }: { session: Session; ids: readonly (string | undefined)[] }) => {
  const pinned = useSignal(false)
  const every = useSignal(100)
  usePinned(session, ids, pinned.value ? Math.max(1, every.value) : undefined)
  if (session.turns.value.length === 0) return null
  return (
    <div class="row">
      <button type="button" disabled={session.busy.value} onClick={() => void session.again(ids)}>
        Ask again
      </button>
      {ids.some(isLive) && (
        <label class="row">
          <input
            type="checkbox"
            checked={pinned.value}
            onChange={(event) => {
              pinned.value = event.currentTarget.checked
            }}
          />
          every
          <input
            type="number"
            class="steps"
            min="1"
            aria-label="Steps between two answers"
            value={every.value}
            onInput={(event) => {
              every.value = Number(event.currentTarget.value) || 1
            }}
          />
          steps
        </label>
      )}
      <button type="button" onClick={() => session.clear()}>
        Clear
      </button>
    </div>
  )
}

const factsOf = (chosen: readonly (ChosenModel | undefined)[]): LoadedModel[] =>
  chosen.flatMap((one) => (one?.facts === undefined ? [] : [one.facts]))

export default () => {
  const { query } = route.value
  const ids = [query.get('a') ?? undefined, query.get('b') ?? undefined]
  const { state, refresh } = useState()
  const session = useRef(new Session()).current
  const chosen = [useModel(ids[0]).value, useModel(ids[1]).value]
  const models = factsOf(chosen)
  const asked = ids.filter((id): id is string => id !== undefined)
  session.context = Math.min(...models.map(({ context }) => context))
  const ready = models.length === asked.length
  const modes = ready ? modesOf(models) : []
  const mode = modes.find(({ path }) => path === query.get('mode')) ?? modes[0]
  useEffect(() => session.clear(), [mode, ids.join(' ')])
  useEffect(refresh, [models.length])
  useEffect(() => () => session.stop(), [])
  return (
    <>
      <div class="head">
        <h1>Playground</h1>
      </div>
      <div class="pickers">
        <div class="panel">
          <ModelPicker name="Model" id={ids[0]} given={state.given} onChoose={(a) => setQuery({ a })} />
          <ModelFacts chosen={chosen[0]} />
        </div>
        <div class="panel">
          <ModelPicker name="Second model" id={ids[1]} given={state.given} optional onChoose={(b) => setQuery({ b })} />
          <ModelFacts chosen={chosen[1]} />
        </div>
      </div>
      {asked.length === 0 && (
        <p class="muted">
          Choose a model: a finished run, a checkpoint, or the model in training of a command with <code>--ui</code>.
        </p>
      )}
      {ready && models.length > 1 && mode === undefined && (
        <p class="error" role="alert">
          These two models have no mode in common.
        </p>
      )}
      {mode !== undefined && (
        <Tabs
          label="Modes"
          tabs={modes.map(({ path, title }) => ({ key: path, title }))}
          open={mode.path}
          onOpen={(path) => setQuery({ mode: path })}
        >
          {mode.writes && <Settings chat={mode.chat === true} />}
          {mode.chat && <Answers turns={session.turns.value} />}
          <QuestionForm
            key={mode.path}
            mode={mode}
            models={models}
            session={session}
            onAsk={(question) => void session.ask(mode, question, asked).finally(refresh)}
          />
          <AskAgain session={session} ids={ids} />
          {!mode.chat && <Answers turns={session.turns.value} />}
        </Tabs>
      )}
      <InMemory state={state} onChange={refresh} />
    </>
  )
}
