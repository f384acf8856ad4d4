// Which models there are, and whether the server is up.
import { answeredLabels, answeredPaths } from '../models/answered-paths.ts'
import type { ServedModel } from '../models/served-models.ts'
import { maxModelLength } from '../models/text-limits.ts'
import { defineEndpoint } from './endpoint.ts'

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
