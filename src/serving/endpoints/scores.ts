// How well two texts fit: by a model that reads both together, by a reward model, or by the angle of their vectors.
import { z } from 'zod'
import type { Classification } from '../../inference/index.ts'
import { countTokens } from '../../tokenizers/index.ts'
import { badRequest } from '../http/errors.ts'
import { hasManyClasses } from '../models/answered-paths.ts'
import type { ServedModel } from '../models/served-models.ts'
import { type Call, defineEndpoint, embeddedTokens, modelName } from './endpoint.ts'
import {
  classifyAll,
  embed,
  inBatch,
  maxInputs,
  type ReadTokens,
  readTokens,
  textsOf,
  truncateField,
} from './text-tasks.ts'

const text = z.string().min(1)
const texts = z.union([text, z.array(text).min(1).max(maxInputs)])

/** The number of a classification: a value, or the probability of the last label, which is the positive one of two. */
const numberOf = (result: Classification): number => {
  if (result.value !== undefined) return result.value
  const shares = Object.values(result.probabilities)
  return shares[shares.length - 1]
}

const cosine = (a: Float32Array, b: Float32Array): number => {
  let [dot, aa, bb] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    dot += a[i] * b[i]
    aa += a[i] * a[i]
    bb += b[i] * b[i]
  }
  return aa * bb > 0 ? dot / Math.sqrt(aa * bb) : 0
}

interface Pairs {
  pairs: readonly (readonly [string, string])[]
  /** Which tokens are read; see `readTokens`. */
  limits: { wanted: number | null | undefined; param: string }
}

/** A way to score pairs. */
type Scorer = (
  call: Call,
  model: ServedModel,
  given: Pairs,
) => Promise<{ scores: number[]; usage: ReadTokens['usage'] }>

const byClass: Scorer = async (call, model, { pairs, limits }) => {
  if (hasManyClasses(model))
    throw badRequest(
      `Expected a model with a number or two classes, got \`${model.name}\` with ${model.text.labels.length} classes. Call /v1/classify.`,
      'model',
      'model_not_supported',
    )
  const { tokenizer, text: loaded } = model
  const areSeparate = loaded.model.headOptions.pairs === 'separate'
  const lengths = pairs.flatMap(([one, other]) =>
    areSeparate ? [countTokens(tokenizer, one), countTokens(tokenizer, other)] : [countTokens(tokenizer, one, other)],
  )
  const { maxTokens, usage } = readTokens(model, lengths, await loaded.maxInputTokens(), limits)
  const inputs = pairs.map(([one, other]) => ({ text: one, pair: other }))
  return { scores: (await classifyAll(call, model, inputs, maxTokens)).map(numberOf), usage }
}

/** The tokens that a template writes around prompts and completions are not counted. */
const byReward: Scorer = async (call, model, { pairs, limits }) => {
  const inputs = pairs.map(([prompt, completion]) => ({ prompt, completion }))
  const lengths = pairs.map((pair) => pair.reduce((sum, one) => sum + model.tokenizer.encodeIds(one).length, 0))
  const { maxTokens, usage } = readTokens(model, lengths, await model.text.maxInputTokens(), limits)
  const rewards = await inBatch(call, model, `reward ${maxTokens}`, inputs, (all, signal) =>
    model.text.reward(all, { maxLength: maxTokens, signal }),
  )
  return { scores: rewards.map(({ reward }) => reward), usage }
}

/** Each text is read once. */
const byAngle: Scorer = async (call, model, { pairs, limits }) => {
  const all = [...new Set(pairs.flat())]
  const lengths = all.map((one) => countTokens(model.tokenizer, one))
  const { maxTokens, usage } = readTokens(model, lengths, embeddedTokens(model), limits)
  const vectors = await embed(call, model, all, maxTokens)
  const of = new Map(all.map((one, i) => [one, vectors[i]]))
  const scores = pairs.map(([one, other]) => cosine(of.get(one) as Float32Array, of.get(other) as Float32Array))
  return { scores, usage }
}

/** Scorers by the head of the model; all others compare vectors. */
const scorers: Record<string, Scorer | undefined> = { 'sequence-classification': byClass, reward: byReward }

const scorePairs: Scorer = (call, model, given) => (scorers[model.text.head] ?? byAngle)(call, model, given)

export const score = defineEndpoint({
  method: 'post',
  path: '/v1/score',
  summary: 'How well pairs of texts fit: a number, a probability, a reward or a cosine, by the head of the model',
  body: z.strictObject({
    model: modelName,
    text_1: texts.describe('one text for all others, or a list of the same length'),
    text_2: texts.describe('texts to compare with, or completions for a reward model'),
    truncate_prompt_tokens: truncateField,
  }),
  async answer(call) {
    const model = call.model(call.body.model)
    const first = textsOf(call, model, call.body.text_1)
    const second = textsOf(call, model, call.body.text_2)
    if (first.length !== 1 && first.length !== second.length)
      throw badRequest(`Expected one text or ${second.length} texts for \`text_1\`, got ${first.length}.`, 'text_1')
    const pairs = second.map((other, i) => [first[first.length === 1 ? 0 : i], other] as const)
    const limits = { wanted: call.body.truncate_prompt_tokens, param: 'text_2' }
    const { scores, usage } = await scorePairs(call, model, { pairs, limits })
    return Response.json({
      object: 'list',
      data: scores.map((value, index) => ({ index, object: 'score', score: value })),
      model: model.name,
      usage,
    })
  },
})

export const rerank = defineEndpoint({
  method: 'post',
  path: '/v1/rerank',
  summary: 'Documents in the order in which they fit a query',
  body: z.strictObject({
    model: modelName,
    query: text.describe('search query'),
    documents: z.array(text).min(1).max(maxInputs).describe('texts to order'),
    top_n: z.int().positive().nullish().describe('number of documents to return (default: all)'),
    return_documents: z.boolean().nullish().describe('return the texts with the scores'),
    truncate_prompt_tokens: truncateField,
  }),
  async answer(call) {
    const { query, top_n: top, return_documents: withTexts } = call.body
    const model = call.model(call.body.model)
    const documents = textsOf(call, model, call.body.documents)
    textsOf(call, model, query)
    const { scores, usage } = await scorePairs(call, model, {
      pairs: documents.map((one) => [query, one] as const),
      limits: { wanted: call.body.truncate_prompt_tokens, param: 'documents' },
    })
    const results = scores
      .map((value, index) => ({
        index,
        relevance_score: value,
        ...(withTexts === true ? { document: { text: documents[index] } } : {}),
      }))
      .sort((a, b) => b.relevance_score - a.relevance_score || a.index - b.index)
      .slice(0, top ?? documents.length)
    return Response.json({ model: model.name, results, usage })
  },
})
