// Runs in a server of Weights & Biases. The requests are those that wandb 0.31 makes when it uploads an offline run: one by GraphQL for the run
// with its settings, then rows of its history by their number, and the end.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import type { RunDestination, SentRun, SentState, SentStep } from './destination.ts'
import { jsonCaller } from './json-caller.ts'
import { exitCodes, historyRow } from './wandb-rows.ts'

/** Options of `wandbServerDestination`. */
export interface WandbServerOptions {
  /** Address of the server's API: https://api.wandb.ai, or that of a server of your own. */
  url: string
  project: string
  /** User or team; the owner of the key if left out. */
  entity?: string | undefined
  signal?: AbortSignal | undefined
}

const mutation = `mutation UpsertBucket($name: String, $project: String, $entity: String, $groupName: String, $displayName: String, $config: JSONString) {
  upsertBucket(input: {name: $name, groupName: $groupName, modelName: $project, entityName: $entity, displayName: $displayName, config: $config}) {
    bucket { name project { name entity { name } } historyLineCount }
  }
}`

const upserted = z.object({
  data: z.object({
    upsertBucket: z.object({
      bucket: z.object({
        project: z.object({ name: z.string(), entity: z.object({ name: z.string() }) }),
        historyLineCount: z.number().nullish(),
      }),
    }),
  }),
})

const nothing = z.looseObject({})

/** The page of a run is not on the host of the API of wandb.ai. */
const pagesOf = (url: string): string => url.replace(/^https:\/\/api\.wandb\.ai\b/, 'https://wandb.ai')

/**
 * Sends a run to a server of W&B. Rows that are there already are left out: the server counts them.
 * @throws ConfigError without WANDB_API_KEY
 */
export const wandbServerDestination = ({ url, project, entity, signal }: WandbServerOptions): RunDestination => {
  const key = process.env.WANDB_API_KEY
  if (key === undefined || key === '')
    throw new ConfigError('A server of W&B needs a key: set WANDB_API_KEY, or leave `url` out to write offline files.')
  const base = url.replace(/\/+$/, '')
  const headers = { authorization: `Basic ${Buffer.from(`api:${key}`).toString('base64')}` }
  const call = jsonCaller({ name: 'a W&B server', url, base, headers, signal })
  let started = 0
  let path = ''
  // Rows that the server has, and rows that were read.
  let [known, row] = [0, 0]
  const stream = (body: object) => call(`files/${path}/file_stream`, body, nothing)
  return {
    async begin(run: SentRun) {
      const config = Object.fromEntries(Object.entries(run.settings).map(([name, value]) => [name, { value }]))
      const variables = {
        name: run.id,
        project,
        entity: entity ?? null,
        groupName: run.group ?? null,
        displayName: run.name,
        config: JSON.stringify(config),
      }
      const request = { query: mutation, variables, operationName: 'UpsertBucket' }
      const { bucket } = (await call('graphql', request, upserted))!.data.upsertBucket
      path = [bucket.project.entity.name, bucket.project.name, run.id].map(encodeURIComponent).join('/')
      started = run.started
      ;[known, row] = [bucket.historyLineCount ?? 0, 0]
    },
    async add(steps: readonly SentStep[]) {
      const rows = steps.map((step) => JSON.stringify(historyRow(step, started)))
      const fresh = rows.slice(Math.max(0, known - row))
      row += rows.length
      if (fresh.length === 0) return
      const offset = row - fresh.length
      const summary = { offset: 0, content: [rows.at(-1)] }
      await stream({
        files: { 'wandb-history.jsonl': { offset, content: fresh }, 'wandb-summary.json': summary },
      })
    },
    async end(state: SentState) {
      if (state !== 'running') await stream({ complete: true, exitcode: exitCodes[state] })
      const [owner, name, id] = path.split('/')
      return `${pagesOf(base)}/${owner}/${name}/runs/${id}`
    },
  }
}
