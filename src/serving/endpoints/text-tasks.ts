// What specialists say of texts: classes, entities, answers, filled masks and vectors.
import { z } from 'zod'
import type { Classification } from '../../inference/index.ts'
import { countTokens } from '../../tokenizers/index.ts'
import { badRequest, endedEarly } from '../http/errors.ts'
import { expectHead } from '../models/answered-paths.ts'
import type { ServedModel } from '../models/served-models.ts'
import { expectTokenIds, textList, tokenIds } from '../texts/token-text.ts'
import { type Call, defineEndpoint, embeddedTokens, modelName } from './endpoint.ts'

export const maxInputs = 2048
const text = z.string().min(1)
const texts = z.union([text, z.array(text).min(1).max(maxInputs)]).describe('one text, or a list of texts')
const user = z.string().max(512).nullish().describe('label of the end user; not used')

/** Computes inputs of a request in a batch with those of others. @throws ApiError for a request that is too large or too late */
export const inBatch = async <Input, Output>(
  call: Call,
  model: ServedModel,
  kind: string,
  inputs: readonly Input[],
  compute: (inputs: readonly Input[], signal: AbortSignal) => Promise<Output[]>,
): Promise<Output[]> => {
  call.service.admit(1)
  try {
    return await call.service.batcher.run(model, kind, inputs, compute, call.signal)
  } catch (error) {
    if (call.signal.aborted) throw endedEarly(call.timedOut(), 'Send fewer texts.')
    throw error
  }
}

/** The texts of a request, whose length is checked. */
export const textsOf = (call: Call, model: ServedModel, input: string | readonly string[]): string[] => {
  const all = [input].flat() as string[]
  for (const one of all) call.service.expectLength(one.length, model, 'input')
  return all
}

const usageOfLengths = (lengths: readonly number[]) => {
  const tokens = lengths.reduce((sum, length) => sum + length, 0)
  return { prompt_tokens: tokens, total_tokens: tokens }
}

/** The tokens of texts, as the answer states them. */
const usageOf = ({ tokenizer }: ServedModel, all: readonly string[]) =>
  usageOfLengths(all.map((one) => countTokens(tokenizer, one)))

/** Scales a vector to length one. */
const unit = (vector: Float32Array): Float32Array => {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
  return length > 0 ? vector.map((value) => value / length) : vector
}

/** Vectors of texts, of whose tokens at most `maxTokens` are read. */
export const embed = (
  call: Call,
  model: ServedModel,
  all: readonly (string | readonly number[])[],
  maxTokens: number,
): Promise<Float32Array[]> => {
  const batchTokens = call.service.batchTokens(model)
  return inBatch(call, model, `embed ${maxTokens}`, all, (inputs, signal) =>
    model.text.embed(inputs, { batchTokens, maxTokens, signal }),
  )
}

/** The field of requests whose texts may be cut. */
export const truncateField = z
  .union([z.literal(-1), z.int().positive()])
  .nullish()
  .describe('tokens of each text that are read, -1 for as many as the model reads (default: a longer text is an error)')

/** What is read of the texts of a request. */
export interface ReadTokens {
  maxTokens: number
  usage: { prompt_tokens: number; total_tokens: number }
}

/**
 * What is read of texts, of which a request may cut the longer ones.
 * @param most tokens of a text that the model reads
 * @throws ApiError for a text of more tokens that may not be cut
 */
export const readTokens = (
  { name }: ServedModel,
  lengths: readonly number[],
  most: number,
  { wanted, param }: { wanted: number | null | undefined; param: string },
): ReadTokens => {
  if (wanted != null && wanted > most)
    throw badRequest(
      `Expected at most ${most} for \`truncate_prompt_tokens\`, the tokens that ${name} reads of a text, got ${wanted}.`,
      'truncate_prompt_tokens',
    )
  const long = lengths.findIndex((length) => length > most)
  if (wanted == null && long >= 0)
    throw badRequest(
      `Expected at most ${most} tokens for \`${param}\`, as ${name} reads no more of a text, got ${lengths[long]} in input ${long}. Shorten the text, or set \`truncate_prompt_tokens\` to -1.`,
      param,
      'context_length_exceeded',
    )
  const maxTokens = wanted == null || wanted < 0 ? most : wanted
  return { maxTokens, usage: usageOfLengths(lengths.map((length) => Math.min(length, maxTokens))) }
}

/** Token ids without those beyond a limit, on the side where the tokenizer truncates texts. */
const truncated = ({ tokenizer }: ServedModel, ids: readonly number[], most: number): readonly number[] => {
  if (ids.length <= most) return ids
  return tokenizer.truncationSide === 'left' ? ids.slice(-most) : ids.slice(0, most)
}

export const embeddings = defineEndpoint({
  method: 'post',
  path: '/v1/embeddings',
  summary: 'A vector for each text',
  body: z.strictObject({
    model: modelName,
    input: z
      .union([text, z.array(text).min(1).max(maxInputs), tokenIds, z.array(tokenIds).min(1).max(maxInputs)])
      .describe('text, token ids, or a list of either'),
    encoding_format: z.enum(['float', 'base64']).nullish().describe('numbers, or little-endian float32 as base64'),
    dimensions: z.int().positive().nullish().describe('first elements of each vector, scaled to length one'),
    truncate_prompt_tokens: truncateField,
    user,
  }),
  async answer(call) {
    const { input, encoding_format: format, dimensions, truncate_prompt_tokens: truncate } = call.body
    const model = call.model(call.body.model)
    const all = textList(input)
    for (const [i, one] of all.entries())
      if (typeof one === 'string') call.service.expectLength(one.length, model, 'input')
      else expectTokenIds(model, one, 'input', i)
    const width = model.text.model.facts.hiddenSize
    if (dimensions != null && dimensions > width)
      throw badRequest(`Expected at most ${width} for \`dimensions\`, got ${dimensions}.`, 'dimensions')
    const lengths = all.map((one) => (typeof one === 'string' ? countTokens(model.tokenizer, one) : one.length))
    const limits = { wanted: truncate, param: 'input' }
    const { maxTokens, usage } = readTokens(model, lengths, embeddedTokens(model), limits)
    const read = all.map((one) => (typeof one === 'string' ? one : truncated(model, one, maxTokens)))
    const vectors = await embed(call, model, read, maxTokens)
    const data = vectors.map((whole, index) => {
      const vector = dimensions == null ? whole : unit(whole.slice(0, dimensions))
      const bytes = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength)
      return { object: 'embedding', index, embedding: format === 'base64' ? bytes.toString('base64') : [...vector] }
    })
    return Response.json({ object: 'list', data, model: model.name, usage })
  },
})

/** Classes of texts or pairs of texts, of whose tokens at most `maxTokens` are read. */
export const classifyAll = (
  call: Call,
  model: ServedModel,
  inputs: readonly (string | { text: string; pair: string })[],
  maxTokens: number,
): Promise<Classification[]> =>
  inBatch(call, model, `classify ${maxTokens}`, inputs, (all, signal) =>
    model.text.classify(all, { maxLength: maxTokens, signal }),
  )

export const classify = defineEndpoint({
  method: 'post',
  path: '/v1/classify',
  summary: 'The class of each text, its labels, or a number, by the head of the model',
  body: z.strictObject({ model: modelName, input: texts, truncate_prompt_tokens: truncateField, user }),
  async answer(call) {
    const model = call.model(call.body.model)
    expectHead(model, '/v1/classify')
    const all = textsOf(call, model, call.body.input)
    const lengths = all.map((one) => countTokens(model.tokenizer, one))
    const limits = { wanted: call.body.truncate_prompt_tokens, param: 'input' }
    const { maxTokens, usage } = readTokens(model, lengths, await model.text.maxInputTokens(), limits)
    const results = await classifyAll(call, model, all, maxTokens)
    const data = results.map((result, index) => ({
      index,
      ...result,
      ...(result.probabilities === undefined
        ? {}
        : { probs: Object.values(result.probabilities), num_classes: Object.keys(result.probabilities).length }),
    }))
    return Response.json({ object: 'list', data, model: model.name, usage })
  },
})

export const tokens = defineEndpoint({
  method: 'post',
  path: '/v1/tokens',
  summary: 'The entities of each text, such as names, with character offsets',
  body: z.strictObject({ model: modelName, input: texts, user }),
  async answer(call) {
    const model = call.model(call.body.model)
    expectHead(model, '/v1/tokens')
    const all = textsOf(call, model, call.body.input)
    const results = await inBatch(call, model, 'tokens', all, (inputs, signal) =>
      model.text.extract(inputs, { signal }),
    )
    const data = results.map((entities, index) => ({ index, entities }))
    return Response.json({ object: 'list', data, model: model.name, usage: usageOf(model, all) })
  },
})

const question = z.strictObject({ question: text, context: text })

export const answers = defineEndpoint({
  method: 'post',
  path: '/v1/answer',
  summary: 'The answer to each question as a span of its context',
  body: z.strictObject({
    model: modelName,
    input: z.union([question, z.array(question).min(1).max(maxInputs)]).describe('questions with their contexts'),
    user,
  }),
  async answer(call) {
    const model = call.model(call.body.model)
    expectHead(model, '/v1/answer')
    const questions = [call.body.input].flat()
    const all = textsOf(
      call,
      model,
      questions.flatMap((one) => [one.question, one.context]),
    )
    const results = await inBatch(call, model, 'answer', questions, (inputs, signal) =>
      model.text.answerAll(inputs, { signal }),
    )
    const data = results.map(({ answer, noAnswerProbability, alternatives = [], truncatedTokens }, index) => ({
      index,
      answer,
      no_answer_probability: noAnswerProbability ?? null,
      alternatives,
      ...(truncatedTokens === undefined ? {} : { truncated_tokens: truncatedTokens }),
    }))
    return Response.json({ object: 'list', data, model: model.name, usage: usageOf(model, all) })
  },
})

export const fill = defineEndpoint({
  method: 'post',
  path: '/v1/fill',
  summary: 'The most likely tokens for each mask of a text',
  body: z.strictObject({
    model: modelName,
    input: texts,
    top_k: z.int().min(1).max(100).nullish().describe('tokens for each mask (default: 5)'),
    user,
  }),
  async answer(call) {
    const model = call.model(call.body.model)
    expectHead(model, '/v1/fill')
    const topK = call.body.top_k ?? 5
    const all = textsOf(call, model, call.body.input)
    const results = await inBatch(call, model, `fill ${topK}`, all, async (inputs) =>
      inputs.map((one) => model.text.fillMask(one, { topK })),
    )
    const data = results.map(({ filled, masks }, index) => ({ index, filled, masks }))
    return Response.json({ object: 'list', data, model: model.name, usage: usageOf(model, all) })
  },
})
