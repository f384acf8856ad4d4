// The events of a run as plain data. The training loop yields them, listeners receive them, and each is one line of events.jsonl.

interface EventBase {
  /** ISO 8601, UTC. */
  time: string
  /** Optimizer steps taken so far. An incident names the step in which it happened. */
  step: number
}

/** The first event of a run, and of one that gets another length. */
export interface StartEvent extends EventBase {
  type: 'start'
  /** Name of the run. */
  name?: string
  /** Optimizer steps of the whole run, unless its end depends on the clock. */
  totalSteps?: number
}

/** One optimizer step. */
export interface StepEvent extends EventBase {
  type: 'step'
  /** Mean over the trained tokens or examples of the step. */
  loss: number
  /** The terms of the loss by name, if there are several. */
  terms?: Record<string, number>
  /** What the criterion measures beside its loss, over the whole batch: margins, clipped shares … */
  metrics?: Record<string, number>
  learningRate: number
  /** Global norm of the gradients before clipping; NaN if the step was not applied. */
  gradientNorm: number
  /** The same by layer, in steps that record it. */
  gradientNorms?: Record<string, number>
  /** Tokens seen since step 0. */
  tokens: number
  tokensPerSecond: number
  /** Wall time of the step. */
  seconds: number
  /** Part of `seconds` that was spent on preparing examples. */
  dataSeconds: number
  /** Resident memory of the process; on another device than the CPU, the memory that the process holds there. */
  memoryBytes: number
  /** Steps of the whole run, as far as they can be predicted. */
  totalSteps: number
}

/** Texts that the model wrote for the steps to come were scored. */
export interface RolloutEvent extends EventBase {
  type: 'rollout'
  /** Rewards, lengths, shares of finished answers … */
  metrics: Record<string, number>
  seconds: number
  /** File with every text, relative to the run's folder. */
  path?: string
}

/** Metrics on the validation data. */
export interface EvaluationEvent extends EventBase {
  type: 'evaluation'
  metrics: Record<string, number>
  seconds: number
  /** Whether the value of `keep.best` is the best so far. */
  best: boolean
}

/** A checkpoint that is completely on disk. */
export interface CheckpointEvent extends EventBase {
  type: 'checkpoint'
  /** Relative to the run's folder. */
  path: string
  seconds: number
}

/** A text that the model generated during training. */
export interface SampleEvent extends EventBase {
  type: 'sample'
  prompt?: string
  text: string
}

/** Something that went wrong in a step. */
export interface IncidentEvent extends EventBase {
  type: 'incident'
  /** A short name: `non-finite`, `overflow`, `spike`, `out-of-memory`, `roll-back`. */
  kind: string
  message: string
}

/** A remark for people, such as records that were skipped. */
export interface NoteEvent extends EventBase {
  type: 'note'
  message: string
}

/** Why a session of a run ended. */
export type EndReason = 'finished' | 'interrupted' | 'failed'

/** What ended a run before its budget: `patience`, as evaluations no longer improved `keep.best`. */
export type EndCause = 'patience'

/** The end of a session; a resumed run continues after it. */
export interface EndEvent extends EventBase {
  type: 'end'
  reason: EndReason
  /** What ended a finished run before its budget; left out for a run that used it up. */
  cause?: EndCause
  /** What went wrong if the reason is `failed`. */
  message?: string
}

/** Anything that happens in a run: what `onEvent` receives and events.jsonl stores. */
export type TrainingEvent =
  | StartEvent
  | StepEvent
  | RolloutEvent
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

const optional =
  (name: string): Check =>
  (fields) =>
    fields[name] === undefined ? undefined : table(name)(fields)

const reasons: readonly unknown[] = ['finished', 'interrupted', 'failed'] satisfies EndReason[]

const checks: Record<TrainingEvent['type'], Check> = {
  start: () => undefined,
  step: (fields) =>
    numbers(
      'loss',
      'learningRate',
      'gradientNorm',
      'tokens',
      'tokensPerSecond',
      'seconds',
      'dataSeconds',
      'memoryBytes',
      'totalSteps',
    )(fields) ??
    optional('terms')(fields) ??
    optional('metrics')(fields) ??
    optional('gradientNorms')(fields),
  rollout: (fields) => table('metrics')(fields) ?? numbers('seconds')(fields),
  evaluation: (fields) =>
    table('metrics')(fields) ??
    numbers('seconds')(fields) ??
    (typeof fields.best === 'boolean' ? undefined : 'true or false for `best`'),
  checkpoint: (fields) => texts('path')(fields) ?? numbers('seconds')(fields),
  sample: texts('text'),
  incident: texts('kind', 'message'),
  note: texts('message'),
  end: ({ reason }) => (reasons.includes(reason) ? undefined : `one of ${reasons.join(', ')} for \`reason\``),
}

/** Numbers that may be infinite or NaN, which JSON writes as null. */
const lossy = ['loss', 'learningRate', 'gradientNorm', 'tokensPerSecond']

/** The line of an event, without the line break. Numbers that are not finite become null. */
export const eventToLine = (event: TrainingEvent): string => JSON.stringify(event)

/** The event of a line, or what was expected in place of the line. */
export const eventFromLine = (line: string): { event: TrainingEvent } | { fault: string } => {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return { fault: 'JSON' }
  }
  if (!isObject(value)) return { fault: 'an object' }
  const check = Object.hasOwn(checks, String(value.type)) ? checks[value.type as TrainingEvent['type']] : undefined
  if (check === undefined) return { fault: `one of ${Object.keys(checks).join(', ')} for \`type\`` }
  if (typeof value.time !== 'string' || Number.isNaN(Date.parse(value.time))) return { fault: 'a date for `time`' }
  if (!(Number.isSafeInteger(value.step) && (value.step as number) >= 0)) return { fault: 'a step count for `step`' }
  for (const name of lossy) if (value[name] === null) value[name] = Number.NaN
  for (const inner of [value.terms, value.metrics, value.gradientNorms]) {
    if (isObject(inner)) for (const name of Object.keys(inner)) inner[name] ??= Number.NaN
  }
  const fault = check(value)
  // The check of its type has looked at every field, which the compiler cannot know.
  return fault === undefined ? { event: value as unknown as TrainingEvent } : { fault }
}

const inGroup = (group: string, values: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [`${group}/${name}`, value]))

/** The numbers of an event; none for events without any. */
export const eventScalars = (event: TrainingEvent): Record<string, number> => {
  if (event.type === 'evaluation' || event.type === 'rollout') return inGroup(event.type, event.metrics)
  if (event.type !== 'step') return {}
  const { loss, learningRate, gradientNorm, tokens, tokensPerSecond, memoryBytes } = event
  return {
    ...inGroup('train', { loss, learningRate, gradientNorm, tokens, ...event.terms, ...event.metrics }),
    ...inGroup('gradient-norm', event.gradientNorms ?? {}),
    ...inGroup('speed', { tokensPerSecond, memoryBytes }),
  }
}
