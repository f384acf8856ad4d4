// The table of runs: once, and then its changes.

import { defineStudioEndpoint, pause, studioStream } from '../endpoint.ts'
import type { RunList } from '../types/api-types.ts'

export const runList = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs',
  summary: 'List the runs, newest first',
  async answer({ studio: { runs } }): Promise<RunList> {
    await runs.refresh({ scan: true })
    return { runs: runs.rows, total: runs.total, roots: [...runs.roots] }
  },
})

export const runChanges = defineStudioEndpoint({
  method: 'get',
  path: '/api/changes',
  summary: 'Follow the rows of the table: all of them, then those that change',
  answer: (request) =>
    studioStream(request, async (send, signal) => {
      const { runs } = request.studio
      const stop = runs.follow(send)
      try {
        // A page that reconnects may have missed any number of changes. What is known comes first, what is read meanwhile follows.
        if (runs.total > 0) send({ runs: runs.rows, removed: [], total: runs.total })
        await runs.refresh({ scan: true })
        send({ runs: [], removed: [], total: runs.total, all: runs.rows.map(({ id }) => id) })
        while (!signal.aborted) await pause(60_000, signal)
      } finally {
        stop()
      }
    }),
})
