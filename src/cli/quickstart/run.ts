// A training run of the quickstart, to its end whatever the state of its folder: started, resumed, or left as it is. It has a process
// of its own, so that the memory in its card is its own. Independent of recipes.
import { isFinished, type RunListener, type RunResult, runInSubprocess } from '../../runs/index.ts'
import type { CommandContext } from '../command.ts'
import { wrapLine } from '../parts/text-lines.ts'
import { TrainingBar } from '../parts/training-bar.ts'

/** Shows a bar while the run trains. Undefined where the run was finished before. @throws the signal's reason when interrupted */
export const runToEnd = async (
  recipe: { command: string; out: string },
  label: string,
  context: CommandContext,
): Promise<RunResult | undefined> => {
  if (await isFinished(recipe.out)) return undefined
  const bar = new TrainingBar({ label })
  const listener: RunListener = {
    signal: context.signal,
    onPreFlight({ warnings }, { resumed, step }) {
      if (resumed) bar.line(`Resuming ${label} from step ${step}.`)
      // Every health passage is truncated on purpose, which is not worth a line in each of its runs.
      for (const warning of warnings.filter((line) => !line.includes('are truncated')))
        bar.line(wrapLine(`warning: ${warning}`))
    },
    onEvent(event) {
      if (event.type === 'step') bar.update(event)
      // A spike of the loss is harmless in runs this short; the run's own report shows it.
      if (event.type === 'incident' && event.kind !== 'spike') bar.line(wrapLine(`${label}: ${event.message}`))
    },
  }
  try {
    const result = await runInSubprocess(recipe, listener)
    if (result.reason === 'finished') return result
  } finally {
    bar.stop()
  }
  context.log('Everything so far is saved: run the same command again to resume.')
  throw context.signal.reason
}
