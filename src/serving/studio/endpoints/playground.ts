// The playground: models of runs, of checkpoints, in training, and of `--model`, asked through the ordinary endpoints of serving.
import { z } from 'zod'
import { listRunModels } from '../../../runs/index.ts'
import { ApiError } from '../../http/errors.ts'
import { liveModelName } from '../../live/live-model.ts'
import { type ForwardedRequest, forward, readLiveFile } from '../../live/live-run.ts'
import type { ModelSource } from '../../playground/model-hosts.ts'
import { fileVersion } from '../analysis/recent.ts'
import { defineStudioEndpoint } from '../endpoint.ts'
import type { RunEntry } from '../runs/run-entry.ts'
import type { Studio } from '../studio.ts'
import type { LoadedModel, PlaygroundModel, PlaygroundPath, PlaygroundState, RunModels } from '../types/api-types.ts'

const givenPrefix = 'given/'

/** Names the finished model in an id, where checkpoints have their step. */
const finishedVersion = 'model'

/** Models of a run that are offered, newest first. */
const maxModels = 200

const paths: Record<PlaygroundPath, true> = {
  '/v1/chat/completions': true,
  '/v1/completions': true,
  '/v1/fill': true,
  '/v1/classify': true,
  '/v1/tokens': true,
  '/v1/answer': true,
  '/v1/embeddings': true,
}
const pathNames = Object.keys(paths) as PlaygroundPath[]

const modelId = z.string().min(1).max(1000).describe('id of a model of the playground')

export const playgroundState = defineStudioEndpoint({
  method: 'get',
  path: '/api/playground/models',
  summary: 'List the models that the studio was started with, and those in memory',
  answer: ({ studio }): PlaygroundState => ({
    given: studio.models.map((model) => ({
      id: `${givenPrefix}${model}`,
      title: model,
      kind: 'given',
      step: null,
    })),
    loaded: studio.hosts.list,
    limit: studio.hosts.limit,
  }),
})

export const runModels = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs/:run/models',
  summary: 'List the models of a run: in training, finished, and checkpoints',
  async answer({ run }): Promise<RunModels> {
    const { id, folder } = await run()
    const models: PlaygroundModel[] = []
    if ((await readLiveFile(folder)) !== undefined)
      models.push({ id: `${id}@live`, title: 'in training', kind: 'live', step: null })
    for (const { step } of (await listRunModels(folder)).slice(0, maxModels))
      models.push(
        step === undefined
          ? { id: `${id}@${finishedVersion}`, title: 'finished model', kind: 'finished', step: null }
          : { id: `${id}@${step}`, title: `step ${step}`, kind: 'checkpoint', step },
      )
    return { models }
  },
})

/** Splits the id of a model of a run. @throws ApiError for one that names none */
const runOf = async (studio: Studio, id: string): Promise<{ run: RunEntry; version: string }> => {
  const at = id.lastIndexOf('@')
  if (at > 0) return { run: await studio.runs.get(id.slice(0, at)), version: id.slice(at + 1) }
  throw unknownModel(id)
}

const unknownModel = (id: string): ApiError =>
  new ApiError(404, `There is no model ${id.slice(0, 200)}. Choose one of the list.`, { code: 'model_not_found' })

/** The files of a run's model. @throws ApiError if there are none */
const sourceOf = async (id: string, { folder }: RunEntry, version: string): Promise<ModelSource> => {
  const model = (await listRunModels(folder)).find(({ step }) => String(step ?? finishedVersion) === version)
  const found = model && (await fileVersion(model.path))
  if (model === undefined || found === undefined) throw unknownModel(id)
  // A run that was deleted and trained again has other weights under the same name.
  return { model: model.path, version: found }
}

/** Sends a request to a model, wherever it is. @throws ApiError for one that is not there */
const askModel = async (studio: Studio, id: string, request: ForwardedRequest): Promise<Response> => {
  if (id.startsWith(givenPrefix)) {
    const model = id.slice(givenPrefix.length)
    if (!studio.models.includes(model)) throw unknownModel(id)
    return studio.hosts.ask(id, { model, version: '' }, request)
  }
  const { run, version } = await runOf(studio, id)
  if (version !== 'live') return studio.hosts.ask(id, await sourceOf(id, run, version), request)
  const address = await readLiveFile(run.folder)
  if (address === undefined)
    throw new ApiError(
      503,
      `The run ${run.id} is not in training now, or its command was not started with --ui. Choose its finished model, or a checkpoint.`,
      { code: 'training_ended' },
    )
  return forward(address, request)
}

const described = z.object({
  head: z.string(),
  labels: z.array(z.string()),
  mask_token: z.string().nullable(),
  parameters: z.number(),
  max_model_len: z.number(),
  endpoints: z.array(z.string()),
})

export const loadPlaygroundModel = defineStudioEndpoint({
  method: 'post',
  path: '/api/playground/load',
  summary: 'Load a model into memory and describe it',
  body: z.strictObject({ model: modelId }),
  async answer({ studio, body: { model }, signal }): Promise<LoadedModel | Response> {
    const response = await askModel(studio, model, { path: `/v1/models/${liveModelName}`, signal })
    if (!response.ok) return response
    const {
      head,
      labels,
      mask_token: mask,
      parameters,
      max_model_len: context,
      endpoints,
    } = described.parse(await response.json())
    const answered = pathNames.filter((path) => endpoints.includes(path))
    return { id: model, head, labels, mask, parameters, context, paths: answered }
  },
})

export const unloadPlaygroundModel = defineStudioEndpoint({
  method: 'post',
  path: '/api/playground/unload',
  summary: 'Free the memory of a model',
  body: z.strictObject({ model: modelId }),
  answer({ studio, body: { model } }) {
    studio.hosts.unload(model)
    return { unloaded: model }
  },
})

export const askPlayground = defineStudioEndpoint({
  method: 'post',
  path: '/api/playground/ask',
  summary: 'Ask a model through one of the paths of the serving API',
  body: z.strictObject({
    model: modelId,
    path: z.enum(pathNames).describe('path of the serving API'),
    request: z.record(z.string(), z.unknown()).describe('body of the path, without its model'),
  }),
  answer: ({ studio, body: { model, path, request }, signal }) =>
    askModel(studio, model, { path, body: { ...request, model: liveModelName }, signal }),
})
