// Shows a training run on stderr: the pre-flight report, the progress bar, and a line for each evaluation, incident and sample.
import { constants } from 'node:os'
import { formatBytes, formatCount, formatDuration, programCall } from '../../core/index.ts'
import type { PretrainRecipe, RunListener, RunPlans, RunResult } from '../../runs/index.ts'
import { inferenceMode, scope, zeros } from '../../tensor/index.ts'
import {
  describePrediction,
  describeReferences,
  type RunPrediction,
  splitMetric,
  type TrainingEvent,
} from '../../tracking/index.ts'
import type { PreFlight } from '../../training/index.ts'
import type { CommandContext } from '../command.ts'
import { wrapWords } from '../help-choices.ts'
import { wrapLine } from './text-lines.ts'
import { TrainingBar } from './training-bar.ts'

export interface RunDisplay extends RunListener {
  /** Ends the progress bar. Safe to call twice. */
  stop(): void
}

const share = (value: number) => `${(100 * value).toFixed(1)} %`
const number = (value: number) => String(Number(value.toPrecision(4)))

/** Lines about the memory that a run takes: by its plan, or estimated for a run that cannot be planned. */
const memoryLines = ({ memory }: PreFlight, prediction: RunPrediction | undefined): string[] => {
  const { parameters, gradients, optimizer, activations, available } = memory
  if (prediction !== undefined) return describePrediction(prediction, available).map((line) => `  ${line}`)
  const total = parameters + gradients + optimizer + activations
  return [
    `  memory about ${formatBytes(total)} (weights ${formatBytes(parameters)}, gradients ${formatBytes(gradients)}, optimizer ${formatBytes(optimizer)}, activations ${formatBytes(activations)}) of ${formatBytes(available)}`,
    ...(total > available ? ['  warning: this may not fit; micro-batches are halved when memory runs out'] : []),
  ]
}

/** @param withFlags names the settings in a line as the command's flags */
const describePreFlight = (
  facts: PreFlight,
  prediction?: RunPrediction,
  withFlags = (line: string): string => line,
): string[] => {
  const truncated = facts.truncatedShare > 0 ? `${share(facts.truncatedShare)} of the text` : 'nothing'
  const lines = [
    `  ${formatCount(facts.parameters)} parameters to train`,
    `  first batch: ${formatCount(facts.tokensPerStep)} tokens, ${share(facts.trainedShare)} with a target; ${truncated} truncated`,
    ...memoryLines(facts, prediction),
    ...facts.warnings.map((warning) => `  warning: ${warning}`),
  ]
  return [
    'Before the first step',
    ...facts.example.split('\n').flatMap((line) => wrapWords('  │', line.trim().split(' '), '  │ ')),
    ...lines.map((line) => wrapLine(withFlags(line))),
  ]
}

/** A score that has no value, such as that of pairs of equal length where there are none, is no fault; a loss without one is. */
const score = (name: string, value: number): string => (Number.isNaN(value) && name !== 'loss' ? '–' : number(value))

/** A loss of one term equals that term, and is shown once. */
const describeMetrics = (metrics: Record<string, number>): string[] =>
  Object.entries(metrics)
    .filter(([name, value]) => name === 'loss' || value !== metrics.loss)
    .map(([name, value], i, { length }) => `${name} ${score(name, value)}${i < length - 1 ? ',' : ''}`)

/** Lines of the scores on all validation records, and of those on each data set and of each task. */
const validationLines = (metrics: Record<string, number>, before = ''): string[] => {
  const bySet = new Map<string | undefined, Record<string, number>>()
  for (const [name, value] of Object.entries(metrics)) {
    const { metric, set, task } = splitMetric(name)
    const part = task === undefined || set === undefined ? (task ?? set) : `${task}/${set}`
    bySet.set(part, { ...bySet.get(part), [metric]: value })
  }
  return [...bySet].flatMap(([set, own]) =>
    wrapWords(`${before}validation${set === undefined ? '' : ` on ${set}`}:`, describeMetrics(own)),
  )
}

const oneLine = (text: string) => text.replace(/\s+/g, ' ').trim()

/** The line for an event; undefined for events without one. */
export const describeEvent = (event: TrainingEvent): string | undefined => {
  const at = `step ${event.step}:`
  if (event.type === 'evaluation') return validationLines(event.metrics, `${at} `).join('\n')
  if (event.type === 'incident') return wrapLine(`${at} ${event.message}`)
  if (event.type === 'sample')
    return wrapLine(`${at} ${event.prompt === undefined ? '' : `${oneLine(event.prompt)} → `}${oneLine(event.text)}`)
  return undefined
}

/** A listener that shows a run on stderr. */
export const displayRun = (
  { signal, withFlags }: Pick<CommandContext, 'signal' | 'withFlags'>,
  {
    label,
    precision = 'float32',
    device = 'cpu',
    budget,
  }: Partial<Pick<PretrainRecipe, 'precision' | 'device' | 'budget'>> & { label: string },
): RunDisplay => {
  let bar = new TrainingBar({ label })
  return {
    signal,
    onPreFlight(facts, { resumed, step, prediction }) {
      if (!resumed) for (const line of describePreFlight(facts, prediction, withFlags)) bar.line(line)
      if (resumed) bar.line(`Resuming from step ${step}.`)
      const speed = matmulSpeed({ ...facts.products, dtype: precision, device })
      bar = new TrainingBar({
        label,
        ceiling: facts.flopsPerToken > 0 ? speed / facts.flopsPerToken : undefined,
        // A resumed run has used part of its time already, and its estimates are good from its first step on.
        seconds: !resumed && budget?.minutes !== undefined ? 60 * budget.minutes : undefined,
      })
    },
    onEvent(event) {
      if (event.type === 'step') bar.update(event)
      const line = describeEvent(event)
      if (line !== undefined) bar.line(line)
    },
    onNote: (line) => bar.line(wrapLine(withFlags(line))),
    stop: () => bar.stop(),
  }
}

/**
 * The exit code of a run: that of SIGTERM where another process of the group was told to stop. The launcher then starts all of
 * them again, as it does for the one that got the signal.
 */
export const runExitCode = (result: RunResult | RunPlans): number =>
  'reason' in result && result.reason === 'interrupted' ? 128 + constants.signals.SIGTERM : 0

const describedCauses: Record<NonNullable<RunResult['cause']>, string> = {
  patience: 'the last evaluations did not improve the metric of keep.best',
}

/** The result of a run as text for a terminal. */
export const renderRun = (result: RunResult): string => {
  const {
    out,
    model,
    modelStep = result.steps,
    reason,
    cause,
    steps,
    tokens,
    seconds,
    loss,
    metrics,
    warnings,
  } = result
  const facts = [
    `${steps} ${steps === 1 ? 'step' : 'steps'}`,
    `${formatCount(tokens)} tokens`,
    formatDuration(seconds * 1000),
    // There is none before the first step.
    ...(steps === 0 ? [] : [`loss ${number(loss)}`]),
  ]
  const validation = validationLines(metrics)
  if (reason === 'interrupted')
    return [`Stopped: ${facts.join(', ')}.`, `Resume with: ${programCall('resume', out)}`].join('\n')
  const compared = describeReferences({ ...result, results: metrics })
  return [
    `Finished${cause === undefined ? '' : ' early'}: ${facts.join(', ')}`,
    ...(cause === undefined ? [] : [`Stopped by ${cause}: ${describedCauses[cause]}.`]),
    ...(modelStep === steps ? [] : [`The model is that of step ${modelStep}, the best of the evaluations.`]),
    ...validation,
    ...(compared === undefined ? [] : [wrapLine(`compared: ${compared}`)]),
    ...warnings.map((warning) => wrapLine(`warning: ${warning}`)),
    `model   ${model}`,
    `report  ${out}/report.html`,
  ].join('\n')
}

interface Product {
  /** Rows: tokens per micro-batch. */
  tokens: number
  width: number
  dtype: 'float32' | 'bfloat16' | 'float16'
  device: string
}

/** FLOP/s of the fastest of the products [tokens, width] x [width, 4 width] that fit into `budgetMs`; at least two are timed. */
const matmulSpeed = ({ tokens, width, dtype, device }: Product, budgetMs = 300): number =>
  inferenceMode(() =>
    scope(() => {
      // Enough work for an exact time, little enough to end soon.
      const rows = Math.max(16, Math.min(tokens, Math.ceil(2e9 / (8 * width * width))))
      const left = zeros([rows, width], { dtype, device })
      const right = zeros([width, 4 * width], { dtype, device })
      const flops = 2 * rows * width * 4 * width
      const started = performance.now()
      let fastest = Number.POSITIVE_INFINITY
      for (let count = 0; count < 2 || performance.now() - started < budgetMs; count++) {
        const from = performance.now()
        // Reading one value waits for an asynchronous device.
        scope(() => left.matmul(right).select(0, 0).select(0, 0).item())
        fastest = Math.min(fastest, performance.now() - from)
      }
      return (flops / fastest) * 1000
    }),
  )
