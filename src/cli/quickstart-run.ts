// A training run of the quickstart, to its end whatever state its folder is in: begun, gone on with, or left as it is. Knows no recipe.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { MODEL_FOLDER, RUN_FILE, type RunListener, type RunResult, resume } from '../runs/index.ts'
import type { CommandContext } from './command.ts'

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

/** Undefined where the run was done before. @throws the signal's reason when interrupted */
export const runToEnd = async (
  out: string,
  start: () => Promise<RunResult>,
  listener: RunListener,
  context: CommandContext,
): Promise<RunResult | undefined> => {
  if (await isThere(join(out, MODEL_FOLDER))) return undefined
  const begun = await isThere(join(out, RUN_FILE))
  const result = begun ? await resume(out, listener) : await start()
  if (result.reason === 'finished') return result
  context.log('Everything so far is kept: start the quickstart again, and it goes on from there.')
  throw context.signal.reason
}
