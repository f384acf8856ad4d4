// `/v1/chat/completions`: an answer to a conversation, whole or as events.
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { RankedToken } from '../../generation/index.ts'
import { applyChatTemplate, type ChatMessage, type Tokenizer, turnEnds } from '../../tokenizers/index.ts'
import { badRequest } from '../http/errors.ts'
import type { ServedModel } from '../models/served-models.ts'
import { samplingFields, textSettings } from '../texts/sampling.ts'
import {
  type FinishedText,
  type GeneratedToken,
  newTokensOf,
  readText,
  schedulerOf,
  startTexts,
  type TextRun,
  usageOf,
} from '../texts/text-run.ts'
import { tokenEntry } from '../texts/token-text.ts'
import { type Call, defineEndpoint } from './endpoint.ts'

const parts = z.array(z.strictObject({ type: z.literal('text'), text: z.string() })).min(1)
const content = z.union([z.string(), parts])

const message = z.strictObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: content.nullish(),
  name: z.string().max(256).nullish(),
})

/** Schema of a conversation. */
export const chatMessages = z.array(message).min(1).max(4096)

const body = z.strictObject({
  model: z.string().describe('name of a model'),
  messages: chatMessages.describe('the conversation so far'),
  max_tokens: z.int().positive().nullish().describe('maximum number of new tokens (default: as many as fit)'),
  max_completion_tokens: z.int().positive().nullish().describe('the newer name of `max_tokens`'),
  logprobs: z.boolean().nullish().describe('log-probabilities of the new tokens'),
  top_logprobs: z.int().min(0).max(20).nullish().describe('most likely tokens to show for each new token'),
  ...samplingFields,
})

type Body = z.output<typeof body>

/** The conversation as the template takes it. */
export const messagesOf = (given: z.output<typeof chatMessages>): ChatMessage[] =>
  given.map(({ role, content: text, name }, i) => {
    if (text == null)
      throw badRequest(`Expected text for \`messages[${i}].content\`, got none.`, `messages[${i}].content`)
    return {
      role: role === 'developer' ? 'system' : role,
      content: typeof text === 'string' ? text : text.map((part) => part.text).join(''),
      ...(name == null ? {} : { name }),
    }
  })

/** @throws ApiError for a model without a chat template */
export const templateOf = ({ template, name }: ServedModel): string => {
  if (template !== undefined) return template
  throw badRequest(
    `The model \`${name}\` has no chat template. Start the server with \`--template\`, or call /v1/completions.`,
    'model',
    'model_not_supported',
  )
}

const entryOf = (tokenizer: Tokenizer, token: GeneratedToken) => ({
  ...tokenEntry(tokenizer, token),
  top_logprobs: token.alternatives.map((one: RankedToken) => tokenEntry(tokenizer, one)),
})

const startChat = (call: Call<Body>, model: ServedModel): TextRun[] => {
  const { body: given, service, signal } = call
  if (given.max_tokens != null && given.max_completion_tokens != null)
    throw badRequest('Expected either `max_tokens` or `max_completion_tokens`, got both.', 'max_tokens')
  if (given.top_logprobs != null && given.logprobs !== true)
    throw badRequest('`top_logprobs` needs `logprobs`: set it to true.', 'top_logprobs')
  schedulerOf(model)
  const template = templateOf(model)
  const messages = messagesOf(given.messages)
  const characters = messages.reduce((sum, { content: text }) => sum + String(text).length, 0)
  service.expectLength(characters, model, 'messages')
  const { ids } = applyChatTemplate(model.tokenizer, messages, { template, addGenerationPrompt: true })
  const requested = given.max_completion_tokens ?? given.max_tokens ?? undefined
  const maxNewTokens = newTokensOf(service, model, ids.length, requested, 'messages')
  const settings = textSettings(model, given, maxNewTokens, turnEnds(model.tokenizer, { template }))
  const n = given.n ?? 1
  service.admit(n)
  const topLogProbs = given.logprobs === true ? (given.top_logprobs ?? 0) : undefined
  return startTexts({ model, prompt: ids, n, ...settings, topLogProbs, signal })
}

const choiceOf = ({ text, tokens, reason }: FinishedText, index: number, model: ServedModel, logprobs: boolean) => ({
  index,
  message: { role: 'assistant', content: text, refusal: null },
  logprobs: logprobs ? { content: tokens.map((token) => entryOf(model.tokenizer, token)), refusal: null } : null,
  finish_reason: reason,
})

/** Sends one text as events. */
const streamChoice = async (
  call: Call<Body>,
  run: TextRun,
  index: number,
  send: (choice: object) => void,
): Promise<FinishedText> => {
  const { tokenizer } = run.model
  send({ index, delta: { role: 'assistant', content: '', refusal: null }, logprobs: null, finish_reason: null })
  let tokens: GeneratedToken[] = []
  const finished = await readText(call.service, run, call.timedOut, ({ text, id, logProb, alternatives = [] }) => {
    if (id !== undefined && logProb !== undefined) tokens.push({ id, logProb, alternatives })
    if (text === '' && tokens.length === 0) return
    const logprobs =
      tokens.length === 0 ? null : { content: tokens.map((one) => entryOf(tokenizer, one)), refusal: null }
    tokens = []
    send({ index, delta: { content: text }, logprobs, finish_reason: null })
  })
  send({ index, delta: {}, logprobs: null, finish_reason: finished.reason })
  return finished
}

export const chatCompletions = defineEndpoint({
  method: 'post',
  path: '/v1/chat/completions',
  summary: 'An answer to a conversation',
  body,
  unsupported: {
    functions: 'use `tools`.',
    function_call: 'use `tool_choice`.',
    audio: 'models of text only.',
    modalities: 'models of text only.',
    prediction: 'texts are always generated.',
    reasoning_effort: 'the models have no such setting.',
    web_search_options: 'the server reaches no other host.',
  },
  async answer(call) {
    const { body: given, service } = call
    const model = call.model(given.model)
    const runs = startChat(call, model)
    const head = { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model: model.name }
    if (given.stream !== true) {
      const texts = await Promise.all(runs.map((run) => readText(service, run, call.timedOut)))
      return Response.json({
        ...head,
        object: 'chat.completion',
        choices: texts.map((text, i) => choiceOf(text, i, model, given.logprobs === true)),
        usage: usageOf(service, model, [texts]),
      })
    }
    const withUsage = given.stream_options?.include_usage === true
    return call.stream(async (send) => {
      const chunk = { ...head, object: 'chat.completion.chunk' }
      const sendChoice = (choice: object) =>
        send({ ...chunk, choices: [choice], ...(withUsage ? { usage: null } : {}) })
      const texts = await Promise.all(runs.map((run, i) => streamChoice(call, run, i, sendChoice)))
      const usage = usageOf(service, model, [texts])
      if (withUsage) send({ ...chunk, choices: [], usage })
    })
  },
})
