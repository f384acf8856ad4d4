// What can be done to a run: stop, resume, checkpoint, console, a new run from it, delete. Used by the table and the page of the run.
import { useSignal } from '@preact/signals'
import { useEffect, useId, useRef } from 'preact/hooks'
import type { ConsoleMessage, ControlAnswer, RunRow } from '../../src/serving/studio/types/api-types.ts'
import { follow, runPath, sendJson } from '../api.ts'
import { linkTo } from '../router.ts'
import { attempt } from './messages.tsx'
import { Modal } from './modal.tsx'

const post = (id: string, what: string, body: object = {}): Promise<boolean> =>
  attempt(() => sendJson<ControlAnswer>('POST', runPath(id, `/${what}`), body))

/** The action that the state of a run suggests. */
export const MainAction = ({ run }: { run: RunRow }) => {
  const { id, state, stopping } = run
  if (state === 'running')
    return (
      <button type="button" disabled={stopping} aria-label={`Stop ${id}`} onClick={() => post(id, 'stop')}>
        {stopping ? 'Stopping …' : 'Stop'}
      </button>
    )
  if (state === 'finished' || state === 'damaged') return null
  return (
    <button type="button" aria-label={`Resume ${id}`} onClick={() => post(id, 'resume')}>
      Resume
    </button>
  )
}

/** Characters of an output that stay in the page. */
const maxConsole = 256 * 1024

/** What the program of a run prints, as it prints it. */
const Console = ({ id }: { id: string }) => {
  const output = useSignal<{ text: string; missing: boolean } | undefined>(undefined)
  const frame = useRef<HTMLElement>(null)
  useEffect(
    () =>
      follow<ConsoleMessage>(runPath(id, '/console'), ({ text, fresh, missing }) => {
        const before = fresh ? '' : (output.value?.text ?? '')
        output.value = { text: (before + text).slice(-maxConsole), missing }
      }),
    [id],
  )
  const text = output.value?.text
  useEffect(() => {
    // The newest lines stay in view.
    if (frame.current !== null) frame.current.scrollTop = frame.current.scrollHeight
  }, [text])
  if (output.value === undefined) return <p class="muted">Loading …</p>
  if (output.value.missing)
    return <p class="muted">There is no output: the studio did not start this run, so its terminal has it.</p>
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolled area must be reachable by keyboard
    <section class="console" ref={frame} tabIndex={0} aria-label={`Output of ${id}`}>
      <pre>{text}</pre>
    </section>
  )
}

const DeleteDialog = ({ id, onClose }: { id: string; onClose(): void }) => {
  const typed = useSignal('')
  const field = useId()
  const remove = async (event: Event) => {
    event.preventDefault()
    const body = { name: typed.value }
    if (await attempt(() => sendJson<ControlAnswer>('DELETE', runPath(id), body))) onClose()
  }
  return (
    <Modal title={`Delete ${id}?`} onClose={onClose}>
      <form class="stack" onSubmit={remove}>
        <p>Its folder is deleted, with checkpoints, model and records. This cannot be undone.</p>
        <label for={field}>
          Type <code>{id}</code> to confirm
        </label>
        <input
          id={field}
          autocomplete="off"
          spellcheck={false}
          value={typed.value}
          onInput={({ currentTarget }) => {
            typed.value = currentTarget.value
          }}
        />
        <div class="row">
          <button type="submit" class="danger" disabled={typed.value !== id}>
            Delete
          </button>
          <button type="button" onClick={onClose}>
            Cancel
          </button>
        </div>
      </form>
    </Modal>
  )
}

/** Every action of a run as buttons, with its console. */
export const RunControls = ({ run }: { run: RunRow }) => {
  const open = useSignal<'console' | 'delete' | undefined>(undefined)
  const close = () => {
    open.value = undefined
  }
  const { id, state, stopping, command } = run
  const isRunning = state === 'running'
  return (
    <div class="row">
      <MainAction run={run} />
      {isRunning && !stopping && (
        <button type="button" onClick={() => post(id, 'checkpoint')}>
          Checkpoint now
        </button>
      )}
      {isRunning && stopping && (
        <button
          type="button"
          class="danger"
          title="Steps since the last checkpoint are lost"
          onClick={() => post(id, 'stop', { now: true })}
        >
          End without saving
        </button>
      )}
      <button
        type="button"
        onClick={() => {
          open.value = 'console'
        }}
      >
        Console
      </button>
      {command !== null && (
        <a class="button" href={linkTo(['new', command], { from: id })}>
          New from this run
        </a>
      )}
      <button
        type="button"
        class="danger"
        disabled={isRunning}
        title={isRunning ? 'Stop the run first' : undefined}
        onClick={() => {
          open.value = 'delete'
        }}
      >
        Delete …
      </button>
      {open.value === 'console' && (
        <Modal title={`Console of ${id}`} onClose={close}>
          <Console id={id} />
        </Modal>
      )}
      {open.value === 'delete' && <DeleteDialog id={id} onClose={close} />}
    </div>
  )
}
