// `/v1/chat/completions`: an answer to a conversation, whole or as events.
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { ServedModel } from '../models/served-models.ts'
import {
  type AnswerForm,
  chatFields,
  entryOf,
  type FinishedAnswer,
  readAnswer,
  serviceFields,
  startChat,
} from '../texts/chat-run.ts'
import { type GeneratedToken, type TextRun, usageOf } from '../texts/text-run.ts'
import { type Call, defineEndpoint, modelName } from './endpoint.ts'

const body = z.strictObject({ model: modelName, ...chatFields, ...serviceFields })

type Body = z.output<typeof body>

const choiceOf = (
  { content, reasoning, tokens, reason, calls }: FinishedAnswer,
  index: number,
  { model, logprobs }: { model: ServedModel; logprobs: boolean },
) => ({
  index,
  message: {
    role: 'assistant',
    content: calls.length > 0 && content === '' ? null : content,
    refusal: null,
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  },
  logprobs: logprobs ? { content: tokens.map((token) => entryOf(model.tokenizer, token)), refusal: null } : null,
  finish_reason: calls.length === 0 ? reason : 'tool_calls',
})

/** Sends one text as events. A text that may be a call is sent when it is known. */
const streamChoice = async (
  call: Call<Body>,
  { run, index, form }: { run: TextRun; index: number; form: AnswerForm },
  send: (choice: object) => void,
): Promise<FinishedAnswer> => {
  const { tokenizer } = run.model
  const sendDelta = (delta: object, tokens: readonly GeneratedToken[] = []) => {
    const logprobs =
      tokens.length === 0 ? null : { content: tokens.map((one) => entryOf(tokenizer, one)), refusal: null }
    send({ index, delta, logprobs, finish_reason: null })
  }
  sendDelta({ role: 'assistant', content: '', refusal: null })
  let called = 0
  const answer = await readAnswer(call, run, form, (part, tokens) => {
    if (part.kind === 'call') sendDelta({ tool_calls: [{ index: called++, ...part.call }] }, tokens)
    else sendDelta({ [part.kind === 'content' ? 'content' : 'reasoning_content']: part.text }, tokens)
  })
  send({ index, delta: {}, logprobs: null, finish_reason: called === 0 ? answer.reason : 'tool_calls' })
  return answer
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
    verbosity: 'the models have no such setting.',
    web_search_options: 'the server reaches no other host.',
  },
  async answer(call) {
    const { body: given } = call
    const model = call.model(given.model)
    const { runs, form } = startChat(call, given, model)
    const head = { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model: model.name }
    if (given.stream !== true) {
      const texts = await Promise.all(runs.map((run) => readAnswer(call, run, form)))
      return Response.json({
        ...head,
        object: 'chat.completion',
        choices: texts.map((text, i) => choiceOf(text, i, { model, logprobs: given.logprobs === true })),
        usage: usageOf(call, model, [texts]),
      })
    }
    const withUsage = given.stream_options?.include_usage === true
    return call.stream(async (send) => {
      const chunk = { ...head, object: 'chat.completion.chunk' }
      const sendChoice = (choice: object) =>
        send({ ...chunk, choices: [choice], ...(withUsage ? { usage: null } : {}) })
      const texts = await Promise.all(runs.map((run, index) => streamChoice(call, { run, index, form }, sendChoice)))
      const usage = usageOf(call, model, [texts])
      if (withUsage) send({ ...chunk, choices: [], usage })
    })
  },
})
