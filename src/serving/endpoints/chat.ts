// `/v1/chat/completions`: an answer to a conversation, whole or as events.
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { RankedToken } from '../../generation/index.ts'
import { type ChatMessage, encodeChatPrompt, type Tokenizer, turnEnds } from '../../tokenizers/index.ts'
import { badRequest } from '../http/errors.ts'
import type { ServedModel } from '../models/served-models.ts'
import { formatConstraint, responseFormat } from '../texts/output-format.ts'
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
import {
  type ChosenTools,
  chooseTools,
  mayBeCall,
  type ToolCall,
  toolCall,
  toolCallsOf,
  toolFields,
} from '../texts/tools.ts'
import { type Call, defineEndpoint, modelName } from './endpoint.ts'

const parts = z.array(z.strictObject({ type: z.literal('text'), text: z.string() })).min(1)
const content = z.union([z.string(), parts])

const message = z.strictObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: content.nullish(),
  name: z.string().max(256).nullish(),
  tool_calls: z.array(toolCall).max(128).nullish(),
  tool_call_id: z.string().max(256).nullish(),
  refusal: z.null().optional(),
})

/** Schema of a conversation. */
export const chatMessages = z.array(message).min(1).max(4096)

const body = z.strictObject({
  model: modelName,
  messages: chatMessages.describe('the conversation so far'),
  max_tokens: z.int().positive().nullish().describe('maximum number of new tokens (default: as many as fit)'),
  max_completion_tokens: z.int().positive().nullish().describe('the newer name of `max_tokens`'),
  logprobs: z.boolean().nullish().describe('log-probabilities of the new tokens'),
  top_logprobs: z.int().min(0).max(20).nullish().describe('most likely tokens to show for each new token'),
  response_format: responseFormat.nullish().describe('text, any JSON object, or JSON of a schema'),
  ...toolFields,
  ...samplingFields,
})

type Body = z.output<typeof body>

/** A call as templates take it: with its arguments as values. */
const callOf = ({ function: called, ...call }: ToolCall, where: string) => {
  try {
    return { ...call, function: { ...called, arguments: JSON.parse(called.arguments) as unknown } }
  } catch {
    throw badRequest(
      `Expected JSON for \`${where}.function.arguments\`, got another text.`,
      `${where}.function.arguments`,
    )
  }
}

/** The conversation as the template takes it. */
export const messagesOf = (given: z.output<typeof chatMessages>): ChatMessage[] =>
  given.map(({ role, content: text, name, tool_calls: calls, tool_call_id: id }, i) => {
    if (text == null && calls == null)
      throw badRequest(`Expected text for \`messages[${i}].content\`, got none.`, `messages[${i}].content`)
    return {
      role: role === 'developer' ? 'system' : role,
      content: text == null ? '' : typeof text === 'string' ? text : text.map((part) => part.text).join(''),
      ...(name == null ? {} : { name }),
      ...(id == null ? {} : { tool_call_id: id }),
      ...(calls == null ? {} : { tool_calls: calls.map((call, c) => callOf(call, `messages[${i}].tool_calls[${c}]`)) }),
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

/** The texts of a request, and the functions that they may call. */
interface Chat {
  runs: TextRun[]
  tools: ChosenTools
}

const startChat = (call: Call<Body>, model: ServedModel): Chat => {
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
  const { tokenizer } = model
  const tools = chooseTools(given, tokenizer, template)
  const format = formatConstraint(tokenizer, given.response_format)
  if (format !== undefined && tools.constraint !== undefined)
    throw badRequest('Expected either a required `tool_choice` or a `response_format`, got both.', 'response_format')
  const { forTemplate } = tools
  const ids = encodeChatPrompt(tokenizer, messages, {
    template,
    ...(forTemplate === undefined ? {} : { variables: { tools: forTemplate } }),
  })
  const requested = given.max_completion_tokens ?? given.max_tokens ?? undefined
  const maxNewTokens = newTokensOf(service, model, ids.length, requested, 'messages')
  const settings = textSettings(model, given, maxNewTokens, turnEnds(tokenizer, { template }))
  const constraint = tools.constraint ?? format
  if (constraint !== undefined)
    settings.processors.push(constraint.processor([settings.options.eosTokenIds ?? []].flat()))
  const n = given.n ?? 1
  service.admit(n)
  const topLogProbs = given.logprobs === true ? (given.top_logprobs ?? 0) : undefined
  return { runs: startTexts({ model, prompt: ids, n, ...settings, topLogProbs, signal }), tools }
}

const choiceOf = (
  { text, tokens, reason }: FinishedText,
  index: number,
  { model, tools, logprobs }: { model: ServedModel; tools: ChosenTools; logprobs: boolean },
) => {
  const called = toolCallsOf(text, tools.functions)
  return {
    index,
    message: {
      role: 'assistant',
      content: called === undefined ? text : null,
      refusal: null,
      ...(called === undefined ? {} : { tool_calls: called }),
    },
    logprobs: logprobs ? { content: tokens.map((token) => entryOf(model.tokenizer, token)), refusal: null } : null,
    finish_reason: called === undefined ? reason : 'tool_calls',
  }
}

/** Sends one text as events. A text that may be a call is sent when it is known. */
const streamChoice = async (
  call: Call<Body>,
  { run, index, tools }: { run: TextRun; index: number; tools: ChosenTools },
  send: (choice: object) => void,
): Promise<FinishedText> => {
  const { tokenizer } = run.model
  send({ index, delta: { role: 'assistant', content: '', refusal: null }, logprobs: null, finish_reason: null })
  let tokens: GeneratedToken[] = []
  let waiting = ''
  let begun = false
  const sendText = (delta: object) => {
    const logprobs =
      tokens.length === 0 ? null : { content: tokens.map((one) => entryOf(tokenizer, one)), refusal: null }
    tokens = []
    send({ index, delta, logprobs, finish_reason: null })
  }
  const finished = await readText(call.service, run, call.timedOut, ({ text, id, logProb, alternatives = [] }) => {
    if (id !== undefined && logProb !== undefined) tokens.push({ id, logProb, alternatives })
    waiting += text
    if (tools.functions.length > 0 && !begun && mayBeCall(waiting)) return
    if (waiting === '' && tokens.length === 0) return
    sendText({ content: waiting })
    begun = true
    waiting = ''
  })
  const called = toolCallsOf(finished.text, tools.functions)
  if (called !== undefined) sendText({ tool_calls: called.map((one, i) => ({ index: i, ...one })) })
  else if (waiting !== '' || tokens.length > 0) sendText({ content: waiting })
  send({ index, delta: {}, logprobs: null, finish_reason: called === undefined ? finished.reason : 'tool_calls' })
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
    const { runs, tools } = startChat(call, model)
    const head = { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model: model.name }
    if (given.stream !== true) {
      const texts = await Promise.all(runs.map((run) => readText(service, run, call.timedOut)))
      return Response.json({
        ...head,
        object: 'chat.completion',
        choices: texts.map((text, i) => choiceOf(text, i, { model, tools, logprobs: given.logprobs === true })),
        usage: usageOf(service, model, [texts]),
      })
    }
    const withUsage = given.stream_options?.include_usage === true
    return call.stream(async (send) => {
      const chunk = { ...head, object: 'chat.completion.chunk' }
      const sendChoice = (choice: object) =>
        send({ ...chunk, choices: [choice], ...(withUsage ? { usage: null } : {}) })
      const texts = await Promise.all(runs.map((run, index) => streamChoice(call, { run, index, tools }, sendChoice)))
      const usage = usageOf(service, model, [texts])
      if (withUsage) send({ ...chunk, choices: [], usage })
    })
  },
})
