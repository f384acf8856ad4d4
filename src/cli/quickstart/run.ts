// A training run of the quickstart, to its end whatever state its folder is in: begun, gone on with, or left as it is. It has a process of
// its own, so that the memory in its card is its own. Knows no recipe.
import { isFinished, type RunListener, type RunResult, runInSubprocess } from '../../runs/index.ts'
import type { CommandContext } from '../command.ts'

/** Undefined where the run was done before. @throws the signal's reason when interrupted */
export const runToEnd = async (
  recipe: { command: string; out: string },
  listener: RunListener,
  context: CommandContext,
): Promise<RunResult | undefined> => {
  if (await isFinished(recipe.out)) return undefined
  const result = await runInSubprocess(recipe, listener)
  if (result.reason === 'finished') return result
  context.log('Everything so far is kept: start the quickstart again, and it goes on from there.')
  throw context.signal.reason
}
