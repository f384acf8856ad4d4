// The choice of a model: one of `--model`, or a run and a version of it; loaded when it is chosen.
import { type Signal, useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import type {
  LoadedModel,
  PlaygroundModel,
  PlaygroundState,
  RunModels,
} from '../../../src/serving/studio/types/api-types.ts'
import { getJson, runPath, sendJson } from '../../api.ts'
import { formatBytes, formatCount, formatWhole } from '../../format.ts'
import { runRow, runRows } from '../../live-runs.ts'
import { attempt } from '../../parts/messages.tsx'

const givenPrefix = 'given/'

/** The run of a model's id; undefined for one of `--model`. */
export const runOfModel = (id: string): string | undefined =>
  id.startsWith(givenPrefix) ? undefined : id.slice(0, id.lastIndexOf('@'))

/** A model as people name it. */
export const nameOf = (id: string): string => (id.startsWith(givenPrefix) ? id.slice(givenPrefix.length) : id)

/** A model on its way to memory, or there. */
export interface ChosenModel {
  id: string
  facts: LoadedModel | undefined
  error: string | undefined
}

/** Whether a model is in training. */
export const isLive = (id: string | undefined): id is string => id?.endsWith('@live') === true

const retryMs = 1500

/** Loads a model whenever its id changes. */
export const useModel = (id: string | undefined): Signal<ChosenModel | undefined> => {
  const chosen = useSignal<ChosenModel | undefined>(undefined)
  useEffect(() => {
    chosen.value = id === undefined ? undefined : { id, facts: undefined, error: undefined }
    if (id === undefined) return
    let left = false
    let timer: ReturnType<typeof setTimeout> | undefined
    const load = () =>
      sendJson<LoadedModel>('POST', '/api/playground/load', { model: id }).then(
        (facts) => {
          if (!left) chosen.value = { id, facts, error: undefined }
        },
        (error: Error) => {
          if (left) return
          chosen.value = { id, facts: undefined, error: error.message }
          // A run that was just started loads its data first, and its model answers after that.
          if (isLive(id)) timer = setTimeout(load, retryMs)
        },
      )
    void load()
    return () => {
      left = true
      clearTimeout(timer)
    }
  }, [id])
  return chosen
}

/** Versions of the model of a run, which change when it starts, ends, or saves. */
const useVersions = (run: string | undefined): Signal<RunModels | undefined> => {
  const versions = useSignal<RunModels | undefined>(undefined)
  const row = run === undefined ? undefined : runRow(run)
  const changes = `${run} ${row?.state} ${row?.state === 'running' ? Math.floor(row.seconds / 10) : ''}`
  useEffect(() => {
    if (run === undefined) {
      versions.value = undefined
      return
    }
    const controller = new AbortController()
    getJson<RunModels>(runPath(run, '/models'), controller.signal).then(
      (found) => {
        versions.value = found
      },
      () => {
        if (!controller.signal.aborted) versions.value = { models: [] }
      },
    )
    return () => controller.abort()
  }, [changes])
  return versions
}

const titleOf = ({ title, step }: PlaygroundModel): string => (step === null ? title : `step ${formatWhole(step)}`)

interface PickerProps {
  /** Which of the models it is: `Model`, `Second model`. */
  name: string
  id: string | undefined
  given: readonly PlaygroundModel[]
  /** Whether there may be none. */
  optional?: boolean
  onChoose(id: string | undefined): void
}

export const ModelPicker = ({ name, id, given, optional, onChoose }: PickerProps) => {
  const run = useSignal(id === undefined ? undefined : runOfModel(id))
  // A run that was just chosen here has no version yet; another address without a model has none at all.
  const chosenHere = useRef(false)
  useEffect(() => {
    if (id !== undefined) run.value = runOfModel(id)
    else if (!chosenHere.current) run.value = undefined
    chosenHere.current = false
  }, [id])
  const versions = useVersions(run.value).value
  useEffect(() => {
    // The first version of a run is the one that most people want: in training, else finished, else the newest.
    const [first] = versions?.models ?? []
    if (first !== undefined && (id === undefined || runOfModel(id) !== run.value)) onChoose(first.id)
  }, [versions])
  const source = id?.startsWith(givenPrefix) ? id : run.value === undefined ? '' : `run ${run.value}`
  const choose = (value: string) => {
    chosenHere.current = true
    run.value = value.startsWith('run ') ? value.slice(4) : undefined
    onChoose(value.startsWith(givenPrefix) ? value : undefined)
  }
  return (
    <div class="row picker">
      <label>
        {name}{' '}
        <select value={source} onChange={(event) => choose(event.currentTarget.value)}>
          <option value="">{optional ? 'none' : 'Choose a model …'}</option>
          {given.length > 0 && (
            <optgroup label="Models">
              {given.map(({ id: each, title }) => (
                <option key={each} value={each}>
                  {title}
                </option>
              ))}
            </optgroup>
          )}
          <optgroup label="Runs">
            {runRows.value.map(({ id: each, state }) => (
              <option key={each} value={`run ${each}`}>
                {each}
                {state === 'running' ? ' (running)' : ''}
              </option>
            ))}
          </optgroup>
        </select>
      </label>
      {run.value !== undefined && versions !== undefined && versions.models.length > 0 && (
        <label>
          Version{' '}
          <select value={id ?? ''} onChange={(event) => onChoose(event.currentTarget.value)}>
            {versions.models.map((version) => (
              <option key={version.id} value={version.id}>
                {titleOf(version)}
              </option>
            ))}
          </select>
        </label>
      )}
      {run.value !== undefined && versions !== undefined && versions.models.length === 0 && (
        <span class="muted">This run has no model yet.</span>
      )}
    </div>
  )
}

/** What a chosen model is, or why it cannot be had. */
export const ModelFacts = ({ chosen }: { chosen: ChosenModel | undefined }) => {
  if (chosen === undefined) return null
  if (chosen.error !== undefined)
    return (
      <p class="error" role="alert">
        {chosen.error}
      </p>
    )
  if (chosen.facts === undefined) return <p class="muted">Loading the model …</p>
  const { head, parameters, context } = chosen.facts
  return (
    <p class="muted">
      {formatCount(parameters)} parameters, {head}, context {formatCount(context)} tokens
    </p>
  )
}

const unload = (model: string): Promise<boolean> =>
  attempt(async () => {
    await sendJson('POST', '/api/playground/unload', { model })
    return undefined
  })

/** Models in memory, which can be unloaded. */
export const InMemory = ({ state, onChange }: { state: PlaygroundState; onChange(): void }) => (
  <details class="panel settings">
    <summary>
      In memory: {state.loaded.length} of at most {state.limit} models
      {state.loaded.length > 0 &&
        `, ${formatBytes(state.loaded.reduce((sum, { memoryBytes }) => sum + (memoryBytes ?? 0), 0))}`}
    </summary>
    <p class="muted">
      A model is loaded when it is first asked. When there are too many, the one that was not used for the longest time
      is unloaded. A model in training takes no memory of its own.
    </p>
    <ul class="plain">
      {state.loaded.map(({ id, state: at, memoryBytes }) => (
        <li key={id} class="row spread">
          <span>
            {nameOf(id)}{' '}
            <span class="muted">{at === 'loading' ? 'loading' : memoryBytes && formatBytes(memoryBytes)}</span>
          </span>
          <button type="button" aria-label={`Unload ${nameOf(id)}`} onClick={() => void unload(id).finally(onChange)}>
            Unload
          </button>
        </li>
      ))}
    </ul>
  </details>
)
