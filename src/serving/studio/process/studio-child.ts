// The process of a studio, which `studio-process.ts` starts: serves until its parent says that the run has ended, or is gone itself.
import { faultText, packError } from '../../../core/index.ts'
import { createStudio, type RunningStudio } from '../studio-app.ts'
import type { MessageFromStudio, MessageToStudio } from './studio-process.ts'

/** Time for open pages to read the last events. */
const lastWordsMs = 1000

const send = (message: MessageFromStudio): void => {
  if (process.connected) process.send?.(message)
}

// Ctrl-C and a closed terminal reach every process of it; the parent decides when the run ends.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)

let studio: RunningStudio | undefined

const end = async (): Promise<void> => {
  await studio?.studio.runs.refresh({ scan: true }).catch(() => undefined)
  studio?.studio.runs.announceEnd()
  await new Promise((resolve) => setTimeout(resolve, lastWordsMs))
  await studio?.close()
  process.exit(0)
}

process.on('disconnect', () => void end())
process.on('message', async (message: MessageToStudio) => {
  if (message.type === 'end') return end()
  try {
    studio = await createStudio(message.settings, {
      onError: (error) => send({ type: 'fault', text: faultText(error) }),
    })
    send({ type: 'ready', url: studio.url, port: studio.port })
  } catch (error) {
    send({ type: 'error', error: packError(error) })
    process.disconnect()
    process.exit(1)
  }
})
