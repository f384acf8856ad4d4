// A text to copy.
import { notify } from '../../parts/messages.tsx'

const copy = (text: string): void => {
  // Only pages of this machine, or behind TLS, may write the clipboard.
  const written = navigator.clipboard?.writeText(text) ?? Promise.reject(new Error())
  written.then(
    () => notify('Copied.'),
    () => notify('The browser does not allow this page to copy: select the text.', { isError: true }),
  )
}

export const CopyBox = ({ title, text }: { title: string; text: string }) => (
  <details class="copy">
    <summary>{title}</summary>
    <button type="button" onClick={() => copy(text)}>
      Copy the {title.toLowerCase()}
    </button>
    <pre>{text}</pre>
  </details>
)
