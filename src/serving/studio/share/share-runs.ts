// Runs as one HTML file, without a studio that listens.
import { ConfigError, exists, writeFileAtomic } from '../../../core/index.ts'
import { maxCompared } from '../compare-paths.ts'
import { Studio } from '../studio.ts'
import { createStudioApp } from '../studio-app.ts'
import { shareComparison, shareRun } from './share.ts'

/** What was written. */
export interface SharedRuns {
  /** The file. */
  path: string
  /** Names of the runs that it has. */
  runs: string[]
  bytes: number
}

/**
 * Writes a run, or a comparison of up to 32 runs, as one HTML file that needs no server.
 * @param folders of the runs, or folders that runs are in
 * @param path of the file, which must not exist
 * @throws ConfigError for a folder without a run, too many runs, or a file that exists
 */
export const shareRuns = async (folders: readonly string[], path: string): Promise<SharedRuns> => {
  if (await exists(path))
    throw new ConfigError(
      `Expected a new file for \`out\`, got \`${path}\`, which exists. Remove it, or choose another name.`,
    )
  const studio = await Studio.open({ roots: folders })
  try {
    await studio.runs.refresh({ scan: true })
    const ids = studio.runs.rows.map(({ id }) => id)
    if (ids.length === 0)
      throw new ConfigError(`Expected runs in \`${folders.join(', ')}\`, got none. Check the paths.`)
    if (ids.length > maxCompared)
      throw new ConfigError(
        `Expected at most ${maxCompared} runs in \`${folders.join(', ')}\`, got ${ids.length}. Name the runs to share.`,
      )
    const app = createStudioApp(studio, { pages: new Map() })
    const from = { studio, ask: async (asked: string) => app.request(asked) }
    const text = ids.length === 1 ? await shareRun(from, ids[0]) : await shareComparison(from, ids)
    await writeFileAtomic(path, text)
    return { path, runs: ids, bytes: Buffer.byteLength(text) }
  } finally {
    studio.close()
  }
}
