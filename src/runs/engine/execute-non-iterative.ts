// Executes a run whose work has no steps: it is recorded as one step with one evaluation. Independent of the work.
import { memoryUsage } from 'node:process'
import type { ProcessGroup } from '../../distributed/index.ts'
import type { FitResult, NonIterativeFit, RunRecipe } from './run-kind.ts'
import type { RunListener, RunMode, RunResult } from './run-listener.ts'
import { openRecord, type RunRecord } from './run-record.ts'

/** @param group processes that divide the work, of which the first one writes and shows it */
export const executeNonIterative = async (
  work: NonIterativeFit,
  recipe: RunRecipe,
  mode: RunMode,
  listener: RunListener,
  group?: ProcessGroup,
): Promise<RunResult> => {
  const { signal } = listener
  if (mode === 'resume') listener.onNote?.('Starting again; features that are in the cache are not computed again.')
  // Its one step and its start are of no use to a listener that shows a loop.
  const shown: RunListener = {
    ...listener,
    onEvent: (event) => {
      if (event.type === 'evaluation' || event.type === 'end') listener.onEvent?.(event)
    },
  }
  const silent = group !== undefined && !group.first
  const record = await openRecord(recipe, mode, shown, { silent })
  await record.start()
  const at = (step: number) => ({ time: new Date().toISOString(), step })
  try {
    record.append({ type: 'start', ...at(0), totalSteps: 1 })
    const started = performance.now()
    const result = await work({
      note: (line) => record.note(line),
      say: (line) => listener.onNote?.(line),
      signal,
      ...(group && { group }),
    })
    appendResult(record, result, (performance.now() - started) / 1000)
    return await record.finish({ ...result, reason: 'finished', steps: 1 })
  } catch (error) {
    if (signal?.aborted !== true || silent) {
      await record.fail(error as Error, 0)
      throw error
    }
    // The others may wait for this process: they end by its error, while this one writes what it has.
    group?.abort(error as Error)
    record.append({ type: 'end', ...at(0), reason: 'interrupted' })
    return record.finish({ ...nothing, reason: 'interrupted', steps: 0 })
  }
}

const nothing = { loss: Number.NaN, metrics: {}, tokens: 0, examples: 0, parameters: 0, flops: 0, hashes: {} }

const appendResult = (record: RunRecord, { loss, tokens, metrics }: FitResult, seconds: number): void => {
  const at = { time: new Date().toISOString(), step: 1 }
  record.append({
    type: 'step',
    ...at,
    loss,
    learningRate: Number.NaN,
    gradientNorm: Number.NaN,
    tokens,
    tokensPerSecond: tokens / seconds,
    seconds,
    dataSeconds: 0,
    memoryBytes: memoryUsage.rss(),
    totalSteps: 1,
  })
  record.append({ type: 'evaluation', ...at, metrics, seconds: 0, best: true })
  record.append({ type: 'end', ...at, reason: 'finished' })
}
