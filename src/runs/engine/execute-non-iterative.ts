// Runs work that has no steps in a run's folder: records it as one step, and leaves a card and reports behind. Knows no kind of work.
import { memoryUsage } from 'node:process'
import { makeRunCard, type RunEvent, trackRun, writeReports, writeRunCard } from '../../tracking/index.ts'
import type { TrainingEvent } from '../../training/index.ts'
import { type RunListener, type RunResult, versions, writeRecipe } from './run-folder.ts'
import type { FitResult, NonIterativeFit, RunRecipe } from './run-kind.ts'
import { openSessions } from './sessions.ts'

export const executeNonIterative = async (
  work: NonIterativeFit,
  recipe: RunRecipe,
  mode: 'fresh' | 'resume',
  listener: RunListener,
): Promise<RunResult> => {
  const { out } = recipe
  const sessions = await openSessions(out, { fresh: mode === 'fresh' })
  if (mode === 'fresh') await writeRecipe(recipe)
  else listener.onNote?.('The work begins again; what the cache of features has is not computed again.')
  const tracker = await trackRun(out, mode === 'fresh' ? {} : { resumeAt: -1 })
  const append = (event: RunEvent) => {
    tracker.append(event)
    // Notes are said as lines, and the one step is none to whoever watches a loop.
    if (event.type === 'evaluation' || event.type === 'end') listener.onEvent?.(event as TrainingEvent)
  }
  const at = (step: number) => ({ time: new Date().toISOString(), step })
  const note = (message: string) => {
    append({ type: 'note', ...at(0), message })
    listener.onNote?.(message)
  }
  const started = performance.now()
  let done: FitResult | undefined
  try {
    append({ type: 'start', ...at(0), totalSteps: 1 })
    done = await work({ note, say: (line) => listener.onNote?.(line), signal: listener.signal })
    const seconds = (performance.now() - started) / 1000
    append({
      type: 'step',
      ...at(1),
      loss: done.loss,
      learningRate: Number.NaN,
      gradientNorm: Number.NaN,
      tokens: done.tokens,
      tokensPerSecond: done.tokens / seconds,
      seconds,
      memoryBytes: memoryUsage.rss(),
    })
    append({ type: 'evaluation', ...at(1), metrics: done.metrics })
    append({ type: 'end', ...at(1), reason: 'finished' })
    tracker.close()
  } catch (error) {
    const stopped = listener.signal?.aborted === true
    try {
      const { message } = error as Error
      append({ type: 'end', ...at(0), ...(stopped ? { reason: 'interrupted' } : { reason: 'failed', message }) })
      tracker.close()
    } catch {
      // The disk that stopped the run may have no room for saying so either; the error itself says it.
    }
    if (!stopped) {
      await sessions.note().catch(() => {})
      sessions.stop()
      throw error
    }
  }
  await sessions.note()
  const { count, wallSeconds, cpuSeconds, energyJoules } = sessions.total()
  sessions.stop()
  const {
    loss = Number.NaN,
    metrics = {},
    tokens = 0,
    examples = 0,
    parameters = 0,
    flops = 0,
    hashes = {},
  } = done ?? {}
  const card = makeRunCard({
    name: out,
    seed: recipe.seed,
    versions: await versions(),
    dataHashes: hashes,
    config: recipe,
    steps: done === undefined ? 0 : 1,
    tokens,
    examples,
    wallSeconds,
    cpuSeconds,
    resumed: count - 1,
    parameters,
    flops,
    energyJoules,
    pricePerHour: recipe.pricePerHour,
    results: { ...metrics },
  })
  await writeRunCard(out, card)
  await writeReports(out)
  return {
    out,
    model: done?.model,
    reason: done === undefined ? 'interrupted' : 'finished',
    steps: done === undefined ? 0 : 1,
    tokens,
    seconds: wallSeconds,
    loss,
    metrics,
  }
}
