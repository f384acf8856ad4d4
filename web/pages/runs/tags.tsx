// The tags of a run in the table, and their editor.
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import type { RunRow } from '../../../src/serving/studio/types/api-types.ts'
import { runPath, sendJson } from '../../api.ts'
import { attempt } from '../../parts/messages.tsx'

const Editor = ({ run, onDone }: { run: RunRow; onDone(): void }) => {
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => {
    field.current?.focus()
    field.current?.select()
  }, [])
  const save = async () => {
    const tags = field.current!.value.split(',').map((tag) => tag.trim())
    const body = { tags: tags.filter(Boolean) }
    const isSaved = await attempt(async () => {
      await sendJson('POST', runPath(run.id, '/tags'), body)
      return undefined
    })
    if (isSaved) onDone()
  }
  return (
    <input
      ref={field}
      class="tag-editor"
      aria-label={`Tags of ${run.id}, separated by commas`}
      defaultValue={run.tags.join(', ')}
      onKeyDown={(event) => {
        if (event.key === 'Enter') void save()
        if (event.key === 'Escape') onDone()
      }}
      onBlur={onDone}
    />
  )
}

export const Tags = ({ run }: { run: RunRow }) => {
  const editing = useSignal(false)
  if (editing.value)
    return (
      <Editor
        run={run}
        onDone={() => {
          editing.value = false
        }}
      />
    )
  return (
    <button
      type="button"
      class="plain tags"
      title={run.tags.join(', ')}
      onClick={() => {
        editing.value = true
      }}
    >
      {run.tags.length === 0 ? (
        <span class="muted">+ tag</span>
      ) : (
        run.tags.map((tag) => (
          <span key={tag} class="tag">
            {tag}
          </span>
        ))
      )}
      <span class="visually-hidden">{` Edit the tags of ${run.id}`}</span>
    </button>
  )
}
