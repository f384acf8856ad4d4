// What W&B gets of a step and of an end, whether by files or by its server.
import type { SentState, SentStep } from './destination.ts'

/** Exit codes that W&B shows as finished, failed and stopped by Ctrl-C. */
export const exitCodes: Readonly<Record<Exclude<SentState, 'running'>, number>> = {
  finished: 0,
  failed: 1,
  stopped: 130,
}

/** JSON has no such numbers; W&B shows them by their names. */
const shown = (value: number): number | string => (Number.isFinite(value) ? value : String(value))

/** A step as a row of W&B's history. @param started milliseconds since 1970 */
export const historyRow = ({ step, time, values }: SentStep, started: number): Record<string, number | string> => ({
  _step: step,
  _timestamp: time / 1000,
  _runtime: (time - started) / 1000,
  ...Object.fromEntries(Object.entries(values).map(([key, value]) => [key, shown(value)])),
})
