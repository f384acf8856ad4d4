// A run's folder as a whole: whether it is new, finished, and its recipe. `runFiles` in tracking lists every file of it.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError, exists, makeFolder, programCall, writeFileAtomic } from '../../core/index.ts'
import { runFiles } from '../../tracking/index.ts'
import type { CommonRecipe } from './run-kind.ts'

/** Whether the run in a folder has finished. */
export const isFinished = (folder: string): Promise<boolean> => exists(join(folder, runFiles.model))

/** What may be in a new run's folder: what the studio and a run that fails before its first step write, and what is of no use later. */
const replaceable: readonly string[] = [
  runFiles.lock,
  runFiles.live,
  runFiles.checkpointRequest,
  runFiles.stopRequest,
  runFiles.form,
  runFiles.console,
  runFiles.code,
  runFiles.sessions,
]

/** @throws ConfigError for a folder that already has a run, or files of a user that a run would replace */
export const expectNewFolder = async (out: string): Promise<void> => {
  const present: string[] = await readdir(out).catch(() => [])
  if ([runFiles.recipe, runFiles.events, runFiles.checkpoints].some((name) => present.includes(name)))
    throw new ConfigError(
      `Expected a new folder for \`out\`, found a run in ${out}. Continue it (\`${programCall('resume', out)}\`), or name another folder.`,
    )
  const replaced = Object.values(runFiles).filter((name) => present.includes(name) && !replaceable.includes(name))
  if (replaced.length > 0)
    throw new ConfigError(
      `Expected a new folder for \`out\`, found ${replaced.join(', ')} in ${out}, which the run would replace. Name another folder.`,
    )
}

export const writeRecipe = async (recipe: CommonRecipe): Promise<void> => {
  await makeFolder(recipe.out, 'out')
  await writeFileAtomic(join(recipe.out, runFiles.recipe), `${JSON.stringify(recipe, null, 2)}\n`)
}
