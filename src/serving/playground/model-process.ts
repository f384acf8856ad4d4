// The process of one model of the playground, which `model-hosts.ts` starts: an ordinary server of `createServer` on a loopback port.
// It tells its memory and ends with the studio.
import { memoryUsage } from 'node:process'
import { type PortableError, packError } from '../../core/index.ts'
import { liveModelName } from '../live/live-model.ts'
import type { Address } from '../live/live-run.ts'
import { createServer } from '../server.ts'

/** Message to the process. */
export interface MessageToModel {
  model: string
  token: string
}

/** Messages from the process. */
export type MessageFromModel =
  | { type: 'ready'; address: Address }
  | { type: 'memory'; bytes: number }
  | { type: 'error'; error: PortableError }

const mebibyte = 2 ** 20
/** Milliseconds between two messages about memory. */
const memoryInterval = 2000

const send = (message: MessageFromModel): void => {
  process.send?.(message)
}

// Ctrl-C reaches every process of a terminal; the studio ends this one.
process.on('SIGINT', () => undefined)
process.on('disconnect', () => process.exit(0))

process.once('message', async ({ model, token }: MessageToModel) => {
  try {
    const settings = { name: liveModelName, port: 0, maxRows: 4, prefixCacheBytes: 64 * mebibyte, requestSeconds: 120 }
    const { url } = await createServer({ ...settings, model, token }, { onError: (error) => console.error(error) })
    const tell = () => send({ type: 'memory', bytes: memoryUsage.rss() })
    tell()
    setInterval(tell, memoryInterval)
    send({ type: 'ready', address: { url, token } })
  } catch (error) {
    send({ type: 'error', error: packError(error) })
    process.disconnect()
    process.exit(1)
  }
})
