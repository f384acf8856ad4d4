// Runs as one HTML file, without a studio that listens.
import { ConfigError, writeFileAtomic } from '../../../core/index.ts'
import { Studio } from '../studio.ts'
import { createStudioApp } from '../studio-app.ts'
import { sharePages } from './share.ts'

/**
 * Writes runs as one HTML file that needs no server.
 * @param folders of the runs
 * @throws ConfigError for a folder without a run
 */
export const shareRuns = async (folders: readonly string[], path: string): Promise<void> => {
  const studio = await Studio.open({ roots: folders })
  try {
    await studio.runs.refresh({ scan: true })
    const ids = studio.runs.rows.map(({ id }) => id)
    if (ids.length === 0)
      throw new ConfigError(`Expected runs in \`${folders.join(', ')}\`, got none. Check the paths.`)
    const home = ids.length === 1 ? `#/runs/${encodeURIComponent(ids[0])}` : '#/runs'
    const title = ids.length === 1 ? ids[0] : `${ids.length} runs`
    const app = createStudioApp(studio, { pages: '' })
    const from = { studio, ask: async (asked: string) => app.request(asked) }
    await writeFileAtomic(path, await sharePages(from, ids, { title, home, pages: ['runs'] }))
  } finally {
    studio.close()
  }
}
