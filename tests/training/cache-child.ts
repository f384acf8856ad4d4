// A process that encodes into the cache, to be killed on the way.
import { type DataSettings, openLargeData } from '../../src/runs/examples/large-data.ts'

/** What it encodes. */
export interface CacheWork {
  settings: DataSettings
  config: object
  request: Parameters<Awaited<ReturnType<typeof openLargeData>>['encode']>[0]
}

process.on('message', async ({ settings, config, request }: CacheWork) => {
  const { encode } = await openLargeData(settings, config, { say() {} })
  await encode(request)
  process.exit(0)
})
