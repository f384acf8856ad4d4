// The lines that a person or a program sends to a chat, and Ctrl-C between them.
import { createInterface, type Interface } from 'node:readline'
import { Writable } from 'node:stream'

export interface ChatInput extends AsyncIterable<string> {
  /** Whether the input is a terminal. */
  readonly typed: boolean
  /** Called on Ctrl-C in a terminal; returns false to leave the chat. */
  onInterrupt: () => boolean
  /** Shows the prompt for the next line. */
  prompt(): void
  close(): void
}

type Source = NodeJS.ReadableStream & { isTTY?: boolean }

export const openChatInput = (source: Source, screen: NodeJS.WritableStream, signal: AbortSignal): ChatInput => {
  const typed = source.isTTY === true
  let expecting = false
  // Typing while a reply is streamed is not echoed into it.
  const echo = new Writable({
    write(chunk, _encoding, done) {
      if (expecting) screen.write(chunk)
      done()
    },
  })
  const lines: Interface = typed
    ? createInterface({ input: source, output: echo, terminal: true, prompt: '> ' })
    : createInterface({ input: source, crlfDelay: Number.POSITIVE_INFINITY })
  const waiting: string[] = []
  let closed = false
  let wake = () => {}
  lines.on('line', (line) => {
    waiting.push(line)
    wake()
  })
  lines.on('close', () => {
    closed = true
    wake()
  })
  const leave = () => lines.close()
  signal.addEventListener('abort', leave, { once: true })
  const input: ChatInput = {
    typed,
    onInterrupt: () => false,
    prompt() {
      if (!typed || closed) return
      expecting = true
      lines.prompt()
    },
    close() {
      signal.removeEventListener('abort', leave)
      lines.close()
    },
    async *[Symbol.asyncIterator]() {
      let begun = ''
      for (;;) {
        while (waiting.length === 0 && !closed) await new Promise<void>((resolve) => (wake = resolve))
        const line = waiting.shift()
        if (line === undefined) {
          if (begun !== '') yield begun
          return
        }
        // A line that ends in a backslash continues on the next one.
        if (typed && line.endsWith('\\')) {
          begun += `${line.slice(0, -1)}\n`
          continue
        }
        expecting = false
        yield begun + line
        begun = ''
      }
    },
  }
  lines.on('SIGINT', () => {
    if (input.onInterrupt()) return
    if (expecting) screen.write('\n')
    lines.close()
  })
  return input
}
