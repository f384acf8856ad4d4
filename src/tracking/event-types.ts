// What happens in a run, as plain data: one event is one line of events.jsonl. The training loop makes events of these shapes;
// this file knows neither the loop nor the disk.

interface EventBase {
  /** ISO 8601, UTC. */
  time: string
  /** Optimizer steps done. */
  step: number
}

export interface StartEvent extends EventBase {
  type: 'start'
  /** What the run is called. */
  name?: string
  /** Optimizer steps to do, where they are known. */
  totalSteps?: number
}

export interface StepEvent extends EventBase {
  type: 'step'
  /** Mean over the trained tokens or examples of the step. */
  loss: number
  /** The parts that the loss is the sum of. */
  terms?: Record<string, number>
  learningRate: number
  gradientNorm: number
  /** Tokens seen since step 0. */
  tokens: number
  tokensPerSecond: number
  /** Wall time of the step. */
  seconds: number
  /** Memory of the process. */
  memoryBytes: number
}

export interface EvaluationEvent extends EventBase {
  type: 'evaluation'
  metrics: Record<string, number>
  seconds?: number
}

export interface CheckpointEvent extends EventBase {
  type: 'checkpoint'
  /** Relative to the run's folder. */
  path?: string
  seconds?: number
}

export interface SampleEvent extends EventBase {
  type: 'sample'
  prompt?: string
  text: string
}

export interface IncidentEvent extends EventBase {
  type: 'incident'
  /** `non-finite`, `spike`, `out-of-memory` …: a short name. */
  kind?: string
  message: string
}

export interface NoteEvent extends EventBase {
  type: 'note'
  message: string
}

export type EndReason = 'finished' | 'interrupted' | 'failed'

export interface EndEvent extends EventBase {
  type: 'end'
  reason: EndReason
  /** What went wrong, when the reason is `failed`. */
  message?: string
}

export type RunEvent =
  | StartEvent
  | StepEvent
  | EvaluationEvent
  | CheckpointEvent
  | SampleEvent
  | IncidentEvent
  | NoteEvent
  | EndEvent

type Fault = string | undefined
type Fields = Record<string, unknown>
type Check = (fields: Fields) => Fault

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const numbers =
  (...names: string[]): Check =>
  (fields) => {
    const bad = names.find((name) => typeof fields[name] !== 'number')
    return bad === undefined ? undefined : `a number for \`${bad}\``
  }

const texts =
  (...names: string[]): Check =>
  (fields) => {
    const bad = names.find((name) => typeof fields[name] !== 'string')
    return bad === undefined ? undefined : `text for \`${bad}\``
  }

const table =
  (name: string): Check =>
  (fields) => {
    const value = fields[name]
    const good = isObject(value) && Object.values(value).every((entry) => typeof entry === 'number')
    return good ? undefined : `numbers by name for \`${name}\``
  }

const reasons: readonly unknown[] = ['finished', 'interrupted', 'failed'] satisfies EndReason[]

const checks: Record<RunEvent['type'], Check> = {
  start: () => undefined,
  step: (fields) =>
    numbers('loss', 'learningRate', 'gradientNorm', 'tokens', 'tokensPerSecond', 'seconds', 'memoryBytes')(fields) ??
    (fields.terms === undefined ? undefined : table('terms')(fields)),
  evaluation: table('metrics'),
  checkpoint: () => undefined,
  sample: texts('text'),
  incident: texts('message'),
  note: texts('message'),
  end: ({ reason }) => (reasons.includes(reason) ? undefined : `one of ${reasons.join(', ')} for \`reason\``),
}

/** Numbers that may be infinite or not a number: JSON has no word for these, so the file says null. */
const lossy = ['loss', 'learningRate', 'gradientNorm', 'tokensPerSecond']

/** The line of an event, without its end. Numbers that are not finite become null. */
export const eventToLine = (event: RunEvent): string => JSON.stringify(event)

/** The event of a line, or what the line should have been. */
export function eventFromLine(line: string): { event: RunEvent } | { fault: string } {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return { fault: 'JSON' }
  }
  if (!isObject(value)) return { fault: 'an object' }
  const check = Object.hasOwn(checks, String(value.type)) ? checks[value.type as RunEvent['type']] : undefined
  if (check === undefined) return { fault: `one of ${Object.keys(checks).join(', ')} for \`type\`` }
  if (typeof value.time !== 'string' || Number.isNaN(Date.parse(value.time))) return { fault: 'a date for `time`' }
  if (!(Number.isSafeInteger(value.step) && (value.step as number) >= 0)) return { fault: 'a step count for `step`' }
  for (const name of lossy) if (value[name] === null) value[name] = Number.NaN
  for (const inner of [value.terms, value.metrics]) {
    if (isObject(inner)) for (const name of Object.keys(inner)) inner[name] ??= Number.NaN
  }
  const fault = check(value)
  return fault === undefined ? { event: value as unknown as RunEvent } : { fault }
}
