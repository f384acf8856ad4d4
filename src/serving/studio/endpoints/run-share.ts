// A run as one HTML file.
import { defineStudioEndpoint } from '../endpoint.ts'
import { shareRun } from '../share/share.ts'

export const runShare = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs/:run/share',
  summary: 'Download a run as one HTML file that needs no server',
  async answer({ studio, ask, run }): Promise<Response> {
    const { id } = await run()
    const name = `${id.replace(/[^\w.-]+/g, '-')}.html`
    return new Response(await shareRun({ studio, ask }, id), {
      headers: {
        'content-type': 'text/html; charset=utf-8',
        'content-disposition': `attachment; filename="${name}"`,
        'cache-control': 'no-store',
      },
    })
  },
})
