// A run or a comparison as one HTML file.
import { defineStudioEndpoint } from '../endpoint.ts'
import { shareComparison, shareRun } from '../share/share.ts'
import { comparedIds, comparedQuery } from './comparison.ts'

/** A page to be saved. */
const download = (text: string, name: string): Response =>
  new Response(text, {
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-disposition': `attachment; filename="${name.replace(/[^\w.-]+/g, '-')}.html"`,
      'cache-control': 'no-store',
    },
  })

export const runShare = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs/:run/share',
  summary: 'Download a run as one HTML file that needs no server',
  async answer({ studio, ask, run }): Promise<Response> {
    const { id } = await run()
    return download(await shareRun({ studio, ask }, id), id)
  },
})

export const comparisonShare = defineStudioEndpoint({
  method: 'get',
  path: '/api/comparison/share',
  summary: 'Download a comparison of runs as one HTML file that needs no server',
  query: comparedQuery,
  async answer({ studio, ask, query }): Promise<Response> {
    // An unknown run is an error of the request, with its own message.
    const ids = await Promise.all(comparedIds(query).map(async (id) => (await studio.runs.get(id)).id))
    return download(await shareComparison({ studio, ask }, ids), `comparison-of-${ids.length}-runs`)
  },
})
