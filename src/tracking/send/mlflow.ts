// Runs in an MLflow server, by its REST API (mlflow.org/docs/latest/rest-api.html).
import { z } from 'zod'
import type { RunDestination, SentRun, SentState, SentStep } from './destination.ts'
import { jsonCaller } from './json-caller.ts'

/** Tag by which a run that was sent before is found. */
const idTag = 'tunesmith.run'
const parentTag = 'mlflow.parentRunId'
// Limits of one request.
const [maxParams, maxMetrics, maxValue] = [100, 1000, 6000]

/** Options of `mlflowDestination`. */
export interface MlflowOptions {
  /** Address of the server. */
  url: string
  /** Name of the experiment. */
  experiment: string
  signal?: AbortSignal | undefined
}

/** What MLflow's own clients send with a request: a token, or a name with a password. */
const authorization = (): Record<string, string> => {
  const { MLFLOW_TRACKING_TOKEN: token, MLFLOW_TRACKING_USERNAME: user, MLFLOW_TRACKING_PASSWORD: word } = process.env
  if (token !== undefined) return { authorization: `Bearer ${token}` }
  if (user === undefined || word === undefined) return {}
  return { authorization: `Basic ${Buffer.from(`${user}:${word}`).toString('base64')}` }
}

const nothing = z.looseObject({})
const experimentAnswer = z.object({ experiment: z.object({ experiment_id: z.string() }) })
const createdExperiment = z.object({ experiment_id: z.string() })
const wholeStep = z.union([z.number(), z.string().transform(Number)]).default(0)
const runAnswer = z.object({
  info: z.object({ run_id: z.string() }),
  data: z
    .object({ metrics: z.array(z.object({ key: z.string(), step: wholeStep })).default([]) })
    .default({ metrics: [] }),
})

/** Letters of names that MLflow takes. */
const nameOf = (name: string): string => name.replace(/[^\w\-. /]/g, '_')

const piecesOf = <Item>(items: readonly Item[], size: number): Item[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))

const statuses: Readonly<Record<SentState, string>> = {
  running: 'RUNNING',
  finished: 'FINISHED',
  failed: 'FAILED',
  stopped: 'KILLED',
}

/** Sends a run to an MLflow server. A run that is there already gets what it lacks. */
export const mlflowDestination = (options: MlflowOptions): RunDestination => {
  const { url, experiment } = options
  const call = jsonCaller({
    name: 'an MLflow server',
    url,
    base: `${url.replace(/\/+$/, '')}/api/2.0/mlflow`,
    headers: authorization(),
    signal: options.signal,
  })
  let [run, experimentId] = ['', '']
  // The run of the sweep, below which MLflow shows its trials.
  let parent: string | undefined
  // The last step that the server has of each metric.
  let latest = new Map<string, number>()

  const findExperiment = async (): Promise<string> => {
    const name = encodeURIComponent(experiment)
    const found = await call(`experiments/get-by-name?experiment_name=${name}`, undefined, experimentAnswer, 404)
    if (found !== undefined) return found.experiment.experiment_id
    return (await call('experiments/create', { name: experiment }, createdExperiment))!.experiment_id
  }
  const findRun = async (id: string) => {
    const query = { experiment_ids: [experimentId], filter: `tags.\`${idTag}\` = '${id}'`, max_results: 1 }
    const found = await call('runs/search', query, z.object({ runs: z.array(runAnswer).default([]) }))
    return found!.runs.at(0)
  }
  const createRun = async ({ id, name, started, settings }: SentRun) => {
    const tags = [
      { key: idTag, value: id },
      { key: 'mlflow.runName', value: name },
      ...(parent === undefined ? [] : [{ key: parentTag, value: parent }]),
    ]
    const request = { experiment_id: experimentId, run_name: name, start_time: started, tags }
    const created = await call('runs/create', request, z.object({ run: runAnswer }))
    const params = Object.entries(settings).map(([key, value]) => ({
      key: nameOf(key),
      value: String(value).slice(0, maxValue),
    }))
    for (const part of piecesOf(params, maxParams))
      await call('runs/log-batch', { run_id: created!.run.info.run_id, params: part }, nothing)
    return created!.run
  }
  const setStatus = (id: string, state: SentState, time: number) =>
    call(
      'runs/update',
      { run_id: id, status: statuses[state], ...(state === 'running' ? {} : { end_time: time }) },
      nothing,
    )
  const openParent = async ({ group, started }: SentRun): Promise<string | undefined> => {
    if (group === undefined) return undefined
    const sweep = { id: `sweep ${group}`, name: group, started, settings: {} }
    const { info } = (await findRun(sweep.id)) ?? (await createRun(sweep))
    await setStatus(info.run_id, 'running', started)
    return info.run_id
  }

  return {
    async begin(sent) {
      experimentId = await findExperiment()
      parent = undefined
      parent = await openParent(sent)
      const known = await findRun(sent.id)
      // A trial that a search continues is running again.
      if (known !== undefined) await setStatus(known.info.run_id, 'running', sent.started)
      const { info, data } = known ?? (await createRun(sent))
      run = info.run_id
      latest = new Map(data.metrics.map(({ key, step }) => [key, step]))
    },
    async add(steps: readonly SentStep[]) {
      const metrics = steps.flatMap(({ step, time, values }) =>
        Object.entries(values).flatMap(([name, value]) => {
          const key = nameOf(name)
          if (step <= (latest.get(key) ?? -1)) return []
          return [{ key, value: Number.isFinite(value) ? value : String(value), timestamp: time, step }]
        }),
      )
      for (const part of piecesOf(metrics, maxMetrics))
        await call('runs/log-batch', { run_id: run, metrics: part }, nothing)
    },
    async end(state, time) {
      await setStatus(run, state, time)
      if (parent !== undefined && state !== 'running') await setStatus(parent, 'finished', time)
      return `${url.replace(/\/+$/, '')}/#/experiments/${experimentId}/runs/${run}`
    },
  }
}
