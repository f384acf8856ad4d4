// Short messages about what was done, or why it was not, on top of any page.
import { signal } from '@preact/signals'

interface Message {
  id: number
  text: string
  isError: boolean
}

const shown = signal<readonly Message[]>([])
let count = 0

/** Milliseconds for which news stay. Errors stay until they are dismissed. */
const newsMs = 6000
const maxShown = 4

const dismiss = (id: number): void => {
  shown.value = shown.value.filter((message) => message.id !== id)
}

/** Shows a message. */
export const notify = (text: string, { isError = false } = {}): void => {
  const id = ++count
  shown.value = [...shown.value, { id, text, isError }].slice(-maxShown)
  if (!isError) setTimeout(() => dismiss(id), newsMs)
}

/** Does something that the server may refuse, and shows its answer or why not. @returns whether it was done */
export const attempt = async (work: () => Promise<{ message: string } | undefined>): Promise<boolean> => {
  try {
    const answer = await work()
    if (answer !== undefined) notify(answer.message)
    return true
  } catch (error) {
    notify((error as Error).message, { isError: true })
    return false
  }
}

export const Messages = () => (
  <section class="messages" aria-label="Messages">
    {shown.value.map(({ id, text, isError }) => (
      <div key={id} class={isError ? 'message error' : 'message'} role={isError ? 'alert' : 'status'}>
        <span>{text}</span>
        <button type="button" class="plain" aria-label="Dismiss" onClick={() => dismiss(id)}>
          ×
        </button>
      </div>
    ))}
  </section>
)
