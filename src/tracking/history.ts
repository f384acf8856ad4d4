// A run's events, gathered for reports: columns of numbers by name, and lists of the other events.
import { join } from 'node:path'
import type { Series } from './chart-scale.ts'
import type {
  CheckpointEvent,
  EndEvent,
  IncidentEvent,
  NoteEvent,
  SampleEvent,
  StartEvent,
  TrainingEvent,
} from './event-types.ts'
import { readEvents } from './events.ts'
import { metricDirection } from './metrics.ts'
import { runFiles } from './run-files.ts'

/** Values by step. */
export interface Column {
  steps: number[]
  values: number[]
}

/** The events of a run by kind. */
export interface RunHistory {
  start: StartEvent | undefined
  end: EndEvent | undefined
  /** `loss`, `learningRate`, `gradientNorm`, `tokensPerSecond`, `memoryBytes`, and the terms of the loss. */
  training: Record<string, Column>
  /** What the criterion measures beside its loss. */
  measured: Record<string, Column>
  /** Metrics of rollouts. */
  rollouts: Record<string, Column>
  /** Evaluations by metric. */
  evaluations: Record<string, Column>
  checkpoints: CheckpointEvent[]
  samples: SampleEvent[]
  incidents: IncidentEvent[]
  notes: NoteEvent[]
  /** Number of the last step. */
  lastStep: number
  tokens: number
  /** Wall time of all steps. */
  trainingSeconds: number
  /** ISO times of the first and the last event. */
  firstTime: string | undefined
  lastTime: string | undefined
}

/** Reads events.jsonl of a run's folder. @throws DataError that names a damaged line */
export const readHistory = (folder: string): Promise<RunHistory> =>
  gatherHistory(readEvents(join(folder, runFiles.events)))

/** Gathers events into a history. */
export const gatherHistory = async (
  events: AsyncIterable<TrainingEvent> | Iterable<TrainingEvent>,
): Promise<RunHistory> => {
  const history: RunHistory = {
    start: undefined,
    end: undefined,
    training: {},
    measured: {},
    rollouts: {},
    evaluations: {},
    checkpoints: [],
    samples: [],
    incidents: [],
    notes: [],
    lastStep: 0,
    tokens: 0,
    trainingSeconds: 0,
    firstTime: undefined,
    lastTime: undefined,
  }
  const add = (columns: Record<string, Column>, step: number, values: Record<string, number> = {}) => {
    for (const [name, value] of Object.entries(values)) {
      columns[name] ??= { steps: [], values: [] }
      columns[name].steps.push(step)
      columns[name].values.push(value)
    }
  }
  for await (const event of events) {
    history.firstTime ??= event.time
    history.lastTime = event.time
    history.lastStep = Math.max(history.lastStep, event.step)
    // A resumed run continues after the end event of the session before.
    history.end = event.type === 'end' ? event : undefined
    switch (event.type) {
      case 'start':
        history.start = event
        break
      case 'step': {
        const { loss, learningRate, gradientNorm, tokensPerSecond, memoryBytes } = event
        const numbers = { loss, learningRate, gradientNorm, tokensPerSecond, memoryBytes, ...event.terms }
        add(history.training, event.step, numbers)
        add(history.measured, event.step, event.metrics)
        history.tokens = event.tokens
        history.trainingSeconds += event.seconds
        break
      }
      case 'rollout':
        add(history.rollouts, event.step, event.metrics)
        break
      case 'evaluation':
        add(history.evaluations, event.step, event.metrics)
        break
      case 'checkpoint':
        history.checkpoints.push(event)
        break
      case 'sample':
        history.samples.push(event)
        break
      case 'incident':
        history.incidents.push(event)
        break
      case 'note':
        history.notes.push(event)
        break
    }
  }
  return history
}

/** A column as a curve. */
export const seriesOf = (name: string, { steps, values }: Column): Series => ({ name, x: steps, y: values })

/** Whether a lower value of a metric is better; a metric that is not registered counts as better when it is higher. */
export const isLowerBetter = (metric: string): boolean => metricDirection(metric) === 'lower'

/** The best value of a metric. */
export interface Best {
  metric: string
  value: number
  step: number
}

/** Whether an evaluation takes the place of the best before it: of equal ones the last is the best. */
export const replacesBest = (value: number, { metric, value: best }: Pick<Best, 'metric' | 'value'>): boolean =>
  isLowerBetter(metric) ? value <= best : value >= best

/** The best evaluation by `metric` (default: the first metric), of equal ones the last. */
export const bestOf = (evaluations: Record<string, Column>, metric = Object.keys(evaluations)[0]): Best | undefined => {
  const column = evaluations[metric]
  if (column === undefined) return undefined
  let best: Best | undefined
  column.values.forEach((value, i) => {
    if (!Number.isNaN(value) && (best === undefined || replacesBest(value, best)))
      best = { metric, value, step: column.steps[i] }
  })
  return best
}
