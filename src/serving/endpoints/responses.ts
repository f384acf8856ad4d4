// `/v1/responses`: an answer in OpenAI's newer form, as far as it maps to a conversation. Nothing is stored.
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { badRequest } from '../http/errors.ts'
import {
  type ChatRequest,
  chatFields,
  entryOf,
  type FinishedAnswer,
  readAnswer,
  serviceFields,
  startChat,
} from '../texts/chat-run.ts'
import { messagesOfInput, responseInput } from '../texts/response-items.ts'
import { samplingFields } from '../texts/sampling.ts'
import { type GeneratedToken, type TextRun, usageOf } from '../texts/text-run.ts'
import { type ChosenTools, functionName } from '../texts/tools.ts'
import { type Call, defineEndpoint, modelName } from './endpoint.ts'

const format = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text') }),
  z.strictObject({ type: z.literal('json_object') }),
  z.strictObject({
    type: z.literal('json_schema'),
    name: z.string().max(64),
    description: z.string().nullish(),
    schema: z.record(z.string(), z.unknown()),
    strict: z.boolean().nullish(),
  }),
])

const tool = z.strictObject({
  type: z.literal('function'),
  name: functionName,
  description: z.string().nullish(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
  strict: z.boolean().nullish(),
})

const withLogprobs = 'message.output_text.logprobs'

const { temperature, top_p, top_k, min_p, seed, stream, user } = samplingFields

const body = z.strictObject({
  model: modelName,
  input: responseInput.describe('a text, or messages, calls and their results'),
  instructions: z.string().nullish().describe('system message before the input'),
  max_output_tokens: chatFields.max_tokens,
  text: z.strictObject({ format: format.nullish() }).nullish().describe('text, any JSON object, or JSON of a schema'),
  tools: z.array(tool).max(128).nullish().describe('functions that the model may call'),
  tool_choice: z
    .union([z.enum(['none', 'auto', 'required']), z.strictObject({ type: z.literal('function'), name: functionName })])
    .nullish()
    .describe('whether the model must call a function, and which (default: auto)'),
  parallel_tool_calls: chatFields.parallel_tool_calls,
  include: z.array(z.literal(withLogprobs)).nullish().describe('log-probabilities of the new tokens'),
  top_logprobs: chatFields.top_logprobs,
  truncation: z.literal('disabled').nullish().describe('inputs are never shortened'),
  ...serviceFields,
  ...{ temperature, top_p, top_k, min_p, seed, stream, user },
})

type Body = z.output<typeof body>

/** The request as one of a chat. */
const chatOf = (given: Body): ChatRequest => {
  if (given.top_logprobs != null && !given.include?.length)
    throw badRequest(`\`top_logprobs\` needs "${withLogprobs}" in \`include\`: add it.`, 'top_logprobs')
  const { tool_choice: choice, text } = given
  const form = text?.format
  return {
    messages: messagesOfInput(given.input, given.instructions),
    max_completion_tokens: given.max_output_tokens,
    ...(given.include?.length ? { logprobs: true } : {}),
    top_logprobs: given.top_logprobs,
    response_format:
      form?.type === 'json_schema'
        ? { type: 'json_schema', json_schema: { name: form.name, schema: form.schema, strict: form.strict } }
        : form,
    tools: given.tools?.map(({ type, ...called }) => ({ type, function: called })),
    tool_choice:
      typeof choice === 'object' && choice !== null ? { type: 'function', function: { name: choice.name } } : choice,
    parallel_tool_calls: given.parallel_tool_calls,
    temperature: given.temperature,
    top_p: given.top_p,
    top_k: given.top_k,
    min_p: given.min_p,
    seed: given.seed,
  }
}

/** One request: its answer is built item by item, whether it is sent in events or whole. */
class ResponseBuilder {
  readonly #call: Call<Body>
  readonly #run: TextRun
  readonly #tools: ChosenTools
  readonly #head: object
  readonly #messageId = `msg_${randomUUID().replaceAll('-', '')}`
  readonly #send: (event: object) => void
  #sequence = 0

  constructor(call: Call<Body>, { run, tools }: { run: TextRun; tools: ChosenTools }, send: (event: object) => void) {
    this.#call = call
    this.#run = run
    this.#tools = tools
    this.#send = (event) => send({ ...event, sequence_number: this.#sequence++ })
    const { body: given } = call
    this.#head = {
      id: `resp_${randomUUID().replaceAll('-', '')}`,
      object: 'response',
      created_at: Math.floor(Date.now() / 1000),
      model: run.model.name,
      ...{ error: null, instructions: given.instructions ?? null, metadata: given.metadata ?? {} },
      ...{ max_output_tokens: given.max_output_tokens ?? null, parallel_tool_calls: given.parallel_tool_calls ?? true },
      ...{ previous_response_id: null, store: false, background: false, truncation: 'disabled' },
      ...{ temperature: given.temperature ?? null, top_p: given.top_p ?? null, user: given.user ?? null },
      text: { format: given.text?.format ?? { type: 'text' } },
      ...{ tools: given.tools ?? [], tool_choice: given.tool_choice ?? 'auto' },
    }
  }

  /** Reads the answer to its end, and sends it. @returns the response */
  async answer(): Promise<object> {
    const open = { ...this.#head, status: 'in_progress', incomplete_details: null, output: [], usage: null }
    this.#send({ type: 'response.created', response: open })
    this.#send({ type: 'response.in_progress', response: open })
    let begun = false
    const answer = await readAnswer(this.#call, this.#run, this.#tools, (text, tokens) => {
      if (!begun) this.#beginMessage()
      begun = true
      this.#send({
        ...{ type: 'response.output_text.delta', item_id: this.#messageId, output_index: 0, content_index: 0 },
        delta: text,
        logprobs: this.#logprobs(tokens),
      })
    })
    const output = answer.calls === undefined ? [this.#endMessage(answer, begun)] : this.#calls(answer.calls)
    const isWhole = answer.calls !== undefined || answer.reason === 'stop'
    const response = {
      ...this.#head,
      status: isWhole ? 'completed' : 'incomplete',
      incomplete_details: isWhole ? null : { reason: 'max_output_tokens' },
      output,
      usage: this.#usage(answer),
    }
    this.#send({ type: isWhole ? 'response.completed' : 'response.incomplete', response })
    return response
  }

  #logprobs(tokens: readonly GeneratedToken[]): object[] {
    return tokens.map((token) => entryOf(this.#run.model.tokenizer, token))
  }

  #beginMessage(): void {
    const item = { id: this.#messageId, type: 'message', role: 'assistant', status: 'in_progress', content: [] }
    this.#send({ type: 'response.output_item.added', output_index: 0, item })
    const part = { type: 'output_text', text: '', annotations: [], logprobs: [] }
    this.#send({
      ...{ type: 'response.content_part.added', item_id: this.#messageId, output_index: 0, content_index: 0 },
      part,
    })
  }

  #endMessage({ text, tokens, reason }: FinishedAnswer, begun: boolean): object {
    if (!begun) this.#beginMessage()
    const at = { item_id: this.#messageId, output_index: 0, content_index: 0 }
    const logprobs = this.#logprobs(tokens)
    const part = { type: 'output_text', text, annotations: [], logprobs }
    this.#send({ type: 'response.output_text.done', ...at, text, logprobs })
    this.#send({ type: 'response.content_part.done', ...at, part })
    const status = reason === 'stop' ? 'completed' : 'incomplete'
    const item = { id: this.#messageId, type: 'message', role: 'assistant', status, content: [part] }
    this.#send({ type: 'response.output_item.done', output_index: 0, item })
    return item
  }

  #calls(calls: NonNullable<FinishedAnswer['calls']>): object[] {
    return calls.map(({ id: callId, function: { name, arguments: given } }, index) => {
      const id = `fc_${randomUUID().replaceAll('-', '')}`
      const item = { id, type: 'function_call', call_id: callId, name, arguments: given, status: 'completed' }
      const at = { item_id: id, output_index: index }
      this.#send({
        type: 'response.output_item.added',
        output_index: index,
        item: { ...item, arguments: '', status: 'in_progress' },
      })
      this.#send({ type: 'response.function_call_arguments.delta', ...at, delta: given })
      this.#send({ type: 'response.function_call_arguments.done', ...at, name, arguments: given })
      this.#send({ type: 'response.output_item.done', output_index: index, item })
      return item
    })
  }

  #usage(answer: FinishedAnswer): object {
    const usage = usageOf(this.#call, this.#run.model, [[answer]])
    return {
      input_tokens: usage.prompt_tokens,
      input_tokens_details: usage.prompt_tokens_details,
      output_tokens: usage.completion_tokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: usage.total_tokens,
    }
  }
}

export const responses = defineEndpoint({
  method: 'post',
  path: '/v1/responses',
  summary: "An answer to an input, in OpenAI's newer form",
  body,
  unsupported: {
    previous_response_id: 'responses are not stored. Send the whole conversation as `input`.',
    conversation: 'conversations are not stored. Send the whole conversation as `input`.',
    background: 'a response lives as long as its request.',
    prompt: 'prompts are not stored. Send the text.',
    reasoning: 'the models have no such setting.',
    max_tool_calls: 'the server runs no tools.',
  },
  async answer(call) {
    const { body: given } = call
    const { runs, tools } = startChat(call, chatOf(given), call.model(given.model))
    const [run] = runs
    if (given.stream !== true)
      return Response.json(await new ResponseBuilder(call, { run, tools }, () => undefined).answer())
    return call.stream(async (send) => {
      await new ResponseBuilder(call, { run, tools }, send).answer()
    })
  },
})
