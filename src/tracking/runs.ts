// Finds the runs in a folder and summarises each in one line, from its events and its lock.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import Table from 'cli-table3'
import { byCodeUnits, ConfigError, DataError, exists, formatCount, formatDuration } from '../core/index.ts'
import type { TrainingEvent } from './event-types.ts'
import { outlineEvents } from './events.ts'
import { type Best, replacesBest } from './history.ts'
import { runFiles } from './run-files.ts'
import { runOwner } from './run-requests.ts'
import type { StepOutline } from './step-lines.ts'

/** State of a run; an `interrupted` run, stopped or killed, can be resumed. */
export type RunStatus = 'running' | 'finished' | 'interrupted' | 'failed' | 'damaged'

/** A run in one line. */
export interface RunSummary {
  /** Name of the folder. */
  name: string
  folder: string
  status: RunStatus
  /** Why the run failed, or what is damaged. */
  message: string | undefined
  step: number
  totalSteps: number | undefined
  /** Loss of the last step. */
  loss: number | undefined
  best: Best | undefined
  tokens: number
  /** Wall time of all steps. */
  seconds: number
  /** ISO times of the first and the last event. */
  started: string | undefined
  updated: string | undefined
}

/** The runs in `folder`, or `folder` itself if it is a run, newest first. Damaged runs are listed as such. */
export const listRuns = async (folder: string): Promise<RunSummary[]> => {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError(`Expected a folder of runs for \`${folder}\`, got ${error.code}.`)
  })
  const folders = [folder, ...entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name))]
  const runs: RunSummary[] = []
  for (const each of folders) if (await isRun(each)) runs.push(await summarizeRun(each))
  return runs.sort((a, b) => byCodeUnits(b.updated ?? '', a.updated ?? '') || byCodeUnits(a.name, b.name))
}

const isRun = (folder: string): Promise<boolean> => exists(join(folder, runFiles.events))

/**
 * Summarises one run. A damaged run gives a summary too, not an error.
 * @throws ConfigError for a path that is no folder of a run
 */
export const summarizeRun = async (folder: string): Promise<RunSummary> => {
  if (!(await isRun(folder)))
    throw new ConfigError(`Expected the folder of a run, got "${folder}", which has no ${runFiles.events}.`)
  const summary: RunSummary = {
    name: folder.split(/[\\/]/).filter(Boolean).at(-1) ?? folder,
    folder,
    status: 'interrupted',
    message: undefined,
    step: 0,
    totalSteps: undefined,
    loss: undefined,
    best: undefined,
    tokens: 0,
    seconds: 0,
    started: undefined,
    updated: undefined,
  }
  const kept = keptMetric(await readRecipe(folder))
  try {
    await outlineEvents(join(folder, runFiles.events), (event) => takeUp(summary, event, kept))
  } catch (error) {
    if (!(error instanceof DataError)) throw error
    return { ...summary, status: 'damaged', message: error.message }
  }
  return (await runOwner(folder)) === undefined ? summary : { ...summary, status: 'running', message: undefined }
}

/** The metric by which a run keeps its best checkpoint; undefined where its recipe names none. */
export const keptMetric = (recipe: unknown): string | undefined => {
  const { best } = (recipe as { keep?: { best?: unknown } } | undefined)?.keep ?? {}
  return typeof best === 'string' ? best : undefined
}

/** The recipe of a run, as it is. A damaged one must not hide the run: its events are summarised without it. */
const readRecipe = async (folder: string): Promise<unknown> => {
  try {
    return JSON.parse(await readFile(join(folder, runFiles.recipe), 'utf8'))
  } catch {
    return undefined
  }
}

/** @param kept metric of the best evaluation (default: the first metric) */
const takeUp = (summary: RunSummary, event: TrainingEvent | StepOutline, kept: string | undefined): void => {
  summary.started ??= event.time
  summary.updated = event.time
  summary.step = Math.max(summary.step, event.step)
  summary.status = event.type === 'end' ? event.reason : 'interrupted'
  summary.message = event.type === 'end' ? event.message : undefined
  if (event.type === 'start') summary.totalSteps = event.totalSteps ?? summary.totalSteps
  else if (event.type === 'step') {
    summary.loss = event.loss
    summary.tokens = event.tokens
    summary.seconds += event.seconds
  } else if (event.type === 'evaluation') {
    const metric = kept ?? summary.best?.metric ?? Object.keys(event.metrics)[0]
    const value = event.metrics[metric]
    if (value === undefined || Number.isNaN(value)) return
    if (summary.best === undefined || replacesBest(value, summary.best))
      summary.best = { metric, value, step: event.step }
  }
}

type DrawTable = (head: readonly string[], rows: readonly (readonly string[])[]) => string

const wholeTable: DrawTable = (head, rows) => {
  const table = new Table({ head: [...head], style: { head: [], border: [] } })
  table.push(...rows.map((row) => [...row]))
  return table.toString()
}

/**
 * The table that `runs` prints.
 * @param draw draws the table, for example for the width of a terminal
 */
export const renderRuns = (runs: readonly RunSummary[], draw: DrawTable = wholeTable): string => {
  if (runs.length === 0) return 'No runs found.'
  const table = draw(
    ['run', 'status', 'step', 'loss', 'best evaluation', 'tokens', 'time', 'last event'],
    runs.map(({ name, status, step, totalSteps, loss, best, tokens, seconds, updated }) => [
      name,
      status,
      totalSteps === undefined ? String(step) : `${step}/${totalSteps}`,
      loss === undefined ? '' : loss.toFixed(4),
      best === undefined ? '' : `${best.metric} ${Number(best.value.toPrecision(5))} at ${best.step}`,
      formatCount(tokens),
      formatDuration(seconds * 1000),
      updated?.replace('T', ' ').slice(0, 19) ?? '',
    ]),
  )
  const messages = runs.filter(({ message }) => message !== undefined).map(({ name, message }) => `${name}: ${message}`)
  return [table, ...messages].join('\n')
}
