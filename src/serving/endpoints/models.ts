// Which models there are, and whether the server is up.
import { answeredLabels, answeredPaths } from '../models/answered-paths.ts'
import type { ServedModel } from '../models/served-models.ts'
import { defineEndpoint } from './endpoint.ts'

const describe = (model: ServedModel) => {
  const { name, created, parent, text, tokenizer, context } = model
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
    max_model_len: context,
    endpoints: answeredPaths(model),
  }
}

export const listModels = defineEndpoint({
  method: 'get',
  path: '/v1/models',
  summary: 'The models that requests can name',
  answer: ({ service }) => Response.json({ object: 'list', data: service.models.list.map(describe) }),
})

export const showModel = defineEndpoint({
  method: 'get',
  path: '/v1/models/:id{.+}',
  summary: 'One model',
  answer: (call) => Response.json(describe(call.service.models.get(call.param('id')))),
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
    const labels = { model_name: service.models.base.name }
    service.metrics.waiting.set(labels, waiting)
    service.metrics.running.set(labels, running)
    service.metrics.models.set({}, service.models.list.length)
    const speculated = service.models.base.engine.scheduler?.speculated
    if (speculated !== undefined && speculated.proposed > 0) {
      service.metrics.draftTokens.set(labels, speculated.proposed)
      service.metrics.acceptedTokens.set(labels, speculated.accepted)
    }
    return new Response(service.metrics.render(), {
      headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
    })
  },
})
