// Which models there are, and whether the server is up; adapters that are loaded, replaced and removed while requests run, under vLLM's names.

import { realpath } from 'node:fs/promises'
import { isAbsolute, relative, resolve } from 'node:path'
import { z } from 'zod'
import { TunesmithError } from '../../core/index.ts'
import { ApiError, badRequest } from '../http/errors.ts'
import { answeredLabels, answeredPaths } from '../models/answered-paths.ts'
import type { ServedModel } from '../models/served-models.ts'
import type { Service } from '../service.ts'
import { defineEndpoint, maxModelLength } from './endpoint.ts'

const describe = (model: ServedModel) => {
  const { name, created, parent, text, tokenizer } = model
  return {
    id: name,
    object: 'model',
    created,
    owned_by: 'tunesmith',
    parent: parent ?? null,
    head: text.head,
    labels: answeredLabels(model),
    mask_token: tokenizer.special.mask?.token ?? null,
    parameters: text.model.parameterCount,
    max_model_len: maxModelLength(model),
    endpoints: answeredPaths(model),
  }
}

export const listModels = defineEndpoint({
  method: 'get',
  path: '/v1/models',
  summary: 'The models that requests can name',
  async answer({ service, signal }) {
    const { models } = service
    const data = models.names.map((name) => models.live(name)?.describe(signal) ?? describe(models.get(name)))
    return Response.json({ object: 'list', data: await Promise.all(data) })
  },
})

export const showModel = defineEndpoint({
  method: 'get',
  path: '/v1/models/:id{.+}',
  summary: 'One model',
  async answer(call) {
    const { service, signal } = call
    const { models } = service
    const name = call.param('id')
    return Response.json(await (models.live(name)?.describe(signal) ?? describe(models.get(name))))
  },
})

export const health = defineEndpoint({
  method: 'get',
  path: '/health',
  summary: 'Whether the server accepts requests: status 200, or 503 while it stops',
  answer: ({ service }) =>
    Response.json({ status: service.draining ? 'stopping' : 'ok' }, { status: service.draining ? 503 : 200 }),
})

export const metrics = defineEndpoint({
  method: 'get',
  path: '/metrics',
  summary: "Metrics in Prometheus' text format, under the names of vLLM",
  answer({ service }) {
    const { waiting, running } = service.load
    const { base, names } = service.models
    const labels = { model_name: base?.name ?? names[0] }
    service.metrics.waiting.set(labels, waiting)
    service.metrics.running.set(labels, running)
    service.metrics.models.set({}, names.length)
    const speculated = base?.engine.scheduler?.speculated
    if (speculated !== undefined && speculated.proposed > 0) {
      service.metrics.draftTokens.set(labels, speculated.proposed)
      service.metrics.acceptedTokens.set(labels, speculated.accepted)
    }
    return new Response(service.metrics.render(), {
      headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
    })
  },
})

/** @throws ApiError for a path outside the folder of adapters, or a server without one */
const folderOf = async ({ adapterFolder }: Service, path: string): Promise<string> => {
  if (adapterFolder === undefined)
    throw new ApiError(403, 'This server loads no adapters by request. Start it with `--adapter-folder`.', {
      code: 'loading_disabled',
    })
  const root = await realpath(adapterFolder)
  const found = await realpath(resolve(root, path)).catch(() => undefined)
  const inside = found === undefined ? '' : relative(root, found)
  if (found === undefined || inside === '' || inside.startsWith('..') || isAbsolute(inside))
    throw badRequest(
      'Expected a folder inside the folder of adapters for `lora_path`.',
      'lora_path',
      'path_not_allowed',
    )
  return found
}

export const loadAdapterByName = defineEndpoint({
  method: 'post',
  path: '/v1/load_lora_adapter',
  summary: 'Loads an adapter under a name; one of the same name is replaced for new requests',
  body: z.strictObject({
    lora_name: z.string().min(1).max(128).describe('name of the model in requests'),
    lora_path: z.string().min(1).max(1024).describe('folder, relative to the folder of adapters'),
    load_inplace: z
      .boolean()
      .nullish()
      .describe('whether an adapter of this name is replaced (default: true); otherwise it is an error'),
  }),
  async answer({ body, service }) {
    const folder = await folderOf(service, body.lora_path)
    if (body.load_inplace === false && service.models.names.includes(body.lora_name))
      throw badRequest(
        `There is a model \`${body.lora_name}\` already. Choose another name, or set \`load_inplace\` to true.`,
        'lora_name',
        'adapter_exists',
      )
    try {
      const { name, text } = await service.models.load(body.lora_name, folder)
      return Response.json({ status: 'loaded', model: name, head: text.head })
    } catch (error) {
      if (!(error instanceof TunesmithError)) throw error
      // Paths of the host are no business of a client.
      throw badRequest(error.message.replaceAll(folder, body.lora_path), 'lora_path', 'adapter_not_loaded')
    }
  },
})

export const unloadAdapterByName = defineEndpoint({
  method: 'post',
  path: '/v1/unload_lora_adapter',
  summary: 'Removes an adapter; requests that run finish with it',
  body: z.strictObject({ lora_name: z.string().min(1).max(128).describe('name of the model in requests') }),
  answer({ body, service }) {
    if (service.adapterFolder === undefined)
      throw new ApiError(403, 'This server removes no adapters by request. Start it with `--adapter-folder`.', {
        code: 'loading_disabled',
      })
    service.models.remove(body.lora_name)
    return Response.json({ status: 'removed', model: body.lora_name })
  },
})
