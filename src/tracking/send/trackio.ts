// Sends runs to a server of trackio, which is `trackio show` on this machine or another one. It keeps them in its own files.
// Written against trackio 0.43, whose HTTP API has version 1.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import type { RunDestination, SentRun, SentState, SentStep } from './destination.ts'
import { jsonCaller } from './json-caller.ts'

/** Options of `trackioDestination`. */
export interface TrackioOptions {
  /** Address of the server, as `trackio show` prints it; with the token as `write_token`, unless TRACKIO_WRITE_TOKEN has it. */
  url: string
  project: string
  signal?: AbortSignal | undefined
}

const answer = z.object({ data: z.unknown(), error: z.null().optional() })

/** JSON has no such numbers; trackio stores and reads them as these texts. */
const numberOf = (value: number): number | string => (Number.isFinite(value) ? value : String(value))

/**
 * Sends a run to a server of trackio. Steps that are there already are left out by the server, which knows them by an id.
 * @throws ConfigError without a token
 */
export const trackioDestination = ({ url, project, signal }: TrackioOptions): RunDestination => {
  const address = new URL(url)
  const token = address.searchParams.get('write_token') ?? process.env.TRACKIO_WRITE_TOKEN
  if (token === null || token === undefined || token === '')
    throw new ConfigError(
      'trackio needs a token to write: set TRACKIO_WRITE_TOKEN, or give the `url` with `write_token` that `trackio show` prints.',
    )
  const base = `${address.origin}${address.pathname.replace(/\/+$/, '')}`
  const headers = { 'x-trackio-write-token': token }
  const call = jsonCaller({ name: 'a trackio server', url: base, base: `${base}/api`, headers, signal })
  let run: SentRun | undefined
  let latest: SentStep | undefined
  // trackio has no state of a run: it is a setting here. The server replaces settings, and leaves out steps that it has.
  const log = async (steps: readonly SentStep[], state: SentState): Promise<void> => {
    if (run === undefined || steps.length === 0) return
    const { id, name, started, settings, group } = run
    const config = {
      ...settings,
      state,
      ...(group !== undefined && { _Group: group }),
      _Created: new Date(started).toISOString(),
    }
    const logs = steps.map(({ step, values }) => ({
      project,
      run: name,
      run_id: id,
      step,
      log_id: `${id}-${step}`,
      metrics: Object.fromEntries(Object.entries(values).map(([key, value]) => [key, numberOf(value)])),
      config,
    }))
    await call('bulk_log', { args: [], kwargs: { logs, hf_token: null } }, answer)
  }
  return {
    async begin(sent) {
      run = sent
      latest = undefined
    },
    async add(steps: readonly SentStep[]) {
      latest = steps.at(-1) ?? latest
      await log(steps, 'running')
    },
    async end(state) {
      if (latest !== undefined && state !== 'running') await log([latest], state)
      return `${base}/?project=${encodeURIComponent(project)}`
    },
  }
}
