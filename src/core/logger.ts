// Structured logs as JSON lines on stderr, for services and for hunting faults; people get the CLI's own lines instead.
import { createRequire } from 'node:module'
import type Pino from 'pino'
import type { Logger } from 'pino'

const load = createRequire(import.meta.url)

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']

/** A logger named `name`; the environment variable TUNESMITH_LOG sets the level (default `warn`). */
export const createLogger = (name: string): Logger => {
  const wanted = process.env.TUNESMITH_LOG?.toLowerCase() ?? ''
  const level = levels.includes(wanted) ? wanted : 'warn'
  // Loaded with the first logger, since help needs none.
  const pino = load('pino') as typeof Pino
  return pino({ name, level }, pino.destination({ dest: 2, sync: true }))
}
