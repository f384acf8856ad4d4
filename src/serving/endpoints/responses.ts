// `/v1/responses`: an answer in OpenAI's newer form, as far as it maps to a conversation. Nothing is stored.
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { badRequest } from '../http/errors.ts'
import {
  type AnswerForm,
  type ChatRequest,
  chatFields,
  entryOf,
  type FinishedAnswer,
  readAnswer,
  serviceFields,
  startChat,
} from '../texts/chat-run.ts'
import { messagesOfInput, responseInput } from '../texts/response-items.ts'
import { type GeneratedToken, samplingFields, type TextRun, usageOf, withoutObfuscation } from '../texts/text-run.ts'
import { allowedMode, functionFields, functionName, plainFormats, schemaFields, type ToolCall } from '../texts/tools.ts'
import { type Call, defineEndpoint, modelName } from './endpoint.ts'

const format = z.discriminatedUnion('type', [
  ...plainFormats,
  z.strictObject({ type: z.literal('json_schema'), ...schemaFields }),
])

const tool = z.strictObject({ type: z.literal('function'), ...functionFields })

const withLogprobs = 'message.output_text.logprobs'

const { temperature, top_p, top_k, min_p, seed, stream, user } = samplingFields

const namedFunction = z.strictObject({ type: z.literal('function'), name: functionName })

const body = z.strictObject({
  model: modelName,
  input: responseInput.describe('a text, or messages, calls and their results'),
  instructions: z.string().nullish().describe('system message before the input'),
  max_output_tokens: chatFields.max_tokens,
  text: z.strictObject({ format: format.nullish() }).nullish().describe('text, any JSON object, or JSON of a schema'),
  tools: z.array(tool).max(128).nullish().describe('functions that the model may call'),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      namedFunction,
      z.strictObject({
        type: z.literal('allowed_tools'),
        mode: allowedMode,
        tools: z.array(namedFunction).min(1).max(128),
      }),
    ])
    .nullish()
    .describe('whether the model must call a function, and which it may call (default: auto)'),
  parallel_tool_calls: chatFields.parallel_tool_calls,
  include: z.array(z.literal(withLogprobs)).nullish().describe('log-probabilities of the new tokens'),
  top_logprobs: chatFields.top_logprobs,
  stream_options: z
    .strictObject({ include_obfuscation: withoutObfuscation.nullish() })
    .nullish()
    .describe('options of events'),
  truncation: z.literal('disabled').nullish().describe('inputs are never shortened'),
  ...serviceFields,
  ...{ temperature, top_p, top_k, min_p, seed, stream, user },
})

type Body = z.output<typeof body>

const choiceOf = (choice: Body['tool_choice']): ChatRequest['tool_choice'] => {
  if (typeof choice !== 'object' || choice === null) return choice
  if (choice.type === 'function') return { type: 'function', function: { name: choice.name } }
  const tools = choice.tools.map(({ name }) => ({ type: 'function' as const, function: { name } }))
  return { type: 'allowed_tools', allowed_tools: { mode: choice.mode, tools } }
}

const chatOf = (given: Body): ChatRequest => {
  if (given.top_logprobs != null && !given.include?.length)
    throw badRequest(`\`top_logprobs\` needs "${withLogprobs}" in \`include\`: add it.`, 'top_logprobs')
  const form = given.text?.format
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
    tool_choice: choiceOf(given.tool_choice),
    parallel_tool_calls: given.parallel_tool_calls,
    temperature: given.temperature,
    top_p: given.top_p,
    top_k: given.top_k,
    min_p: given.min_p,
    seed: given.seed,
  }
}

/** The item of text that is written. */
interface OpenItem {
  kind: 'reasoning' | 'content'
  id: string
  text: string
  logprobs: object[]
}

const newId = (prefix: string): string => `${prefix}_${randomUUID().replaceAll('-', '')}`

/** One request: its answer is built item by item, whether it is sent in events or whole. */
class ResponseBuilder {
  readonly #call: Call<Body>
  readonly #run: TextRun
  readonly #form: AnswerForm
  readonly #head: object
  readonly #output: object[] = []
  readonly #send: (event: object) => void
  #open: OpenItem | undefined
  #sequence = 0

  constructor(call: Call<Body>, { run, form }: { run: TextRun; form: AnswerForm }, send: (event: object) => void) {
    this.#call = call
    this.#run = run
    this.#form = form
    this.#send = (event) => send({ ...event, sequence_number: this.#sequence++ })
    const { body: given } = call
    this.#head = {
      id: newId('resp'),
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
    const answer = await readAnswer(this.#call, this.#run, this.#form, (part, tokens) => {
      if (part.kind === 'call') this.#addCall(part.call)
      else this.#addText(part, tokens)
    })
    const isWhole = answer.calls.length > 0 || answer.reason === 'stop'
    if (this.#open === undefined && this.#output.length === 0) this.#begin('content')
    this.#end(answer.reason === 'stop' ? 'completed' : 'incomplete')
    const response = {
      ...this.#head,
      status: isWhole ? 'completed' : 'incomplete',
      incomplete_details: isWhole ? null : { reason: 'max_output_tokens' },
      output: this.#output,
      usage: this.#usage(answer),
    }
    this.#send({ type: isWhole ? 'response.completed' : 'response.incomplete', response })
    return response
  }

  #addText({ kind, text }: { kind: OpenItem['kind']; text: string }, tokens: readonly GeneratedToken[]): void {
    if (this.#open !== undefined && this.#open.kind !== kind) this.#end('completed')
    const item = this.#open ?? this.#begin(kind)
    item.text += text
    const at = { item_id: item.id, output_index: this.#output.length, content_index: 0 }
    if (kind === 'reasoning') {
      this.#send({ type: 'response.reasoning_text.delta', ...at, delta: text })
      return
    }
    const logprobs = tokens.map((token) => entryOf(this.#run.model.tokenizer, token))
    item.logprobs.push(...logprobs)
    this.#send({ type: 'response.output_text.delta', ...at, delta: text, logprobs })
  }

  #begin(kind: OpenItem['kind']): OpenItem {
    const open = { kind, id: newId(kind === 'content' ? 'msg' : 'rs'), text: '', logprobs: [] }
    this.#open = open
    const at = { output_index: this.#output.length }
    const { item, part } = this.#shown(open, 'in_progress')
    this.#send({ type: 'response.output_item.added', ...at, item: { ...item, content: [] } })
    this.#send({ type: 'response.content_part.added', item_id: open.id, ...at, content_index: 0, part })
    return open
  }

  /** Ends the item of text that is open, if one is. */
  #end(status: 'completed' | 'incomplete'): void {
    if (this.#open === undefined) return
    const { kind, id, text, logprobs } = this.#open
    const at = { item_id: id, output_index: this.#output.length, content_index: 0 }
    const { item, part } = this.#shown(this.#open, status)
    if (kind === 'reasoning') this.#send({ type: 'response.reasoning_text.done', ...at, text })
    else this.#send({ type: 'response.output_text.done', ...at, text, logprobs })
    this.#send({ type: 'response.content_part.done', ...at, part })
    this.#send({ type: 'response.output_item.done', output_index: this.#output.length, item })
    this.#output.push(item)
    this.#open = undefined
  }

  /** An item of text as the client gets it. */
  #shown({ kind, id, text, logprobs }: OpenItem, status: string): { item: object; part: object } {
    if (kind === 'reasoning') {
      const part = { type: 'reasoning_text', text }
      return { item: { id, type: 'reasoning', status, summary: [], content: [part] }, part }
    }
    const part = { type: 'output_text', text, annotations: [], logprobs }
    return { item: { id, type: 'message', role: 'assistant', status, content: [part] }, part }
  }

  #addCall({ id: callId, function: { name, arguments: given } }: ToolCall): void {
    this.#end('completed')
    const id = newId('fc')
    const item = { id, type: 'function_call', call_id: callId, name, arguments: given, status: 'completed' }
    const index = { output_index: this.#output.length }
    const added = { ...item, arguments: '', status: 'in_progress' }
    this.#send({ type: 'response.output_item.added', ...index, item: added })
    this.#send({ type: 'response.function_call_arguments.delta', item_id: id, ...index, delta: given })
    this.#send({ type: 'response.function_call_arguments.done', item_id: id, ...index, name, arguments: given })
    this.#send({ type: 'response.output_item.done', ...index, item })
    this.#output.push(item)
  }

  #usage(answer: FinishedAnswer): object {
    const usage = usageOf(this.#call, this.#run.model, [[answer]])
    return {
      input_tokens: usage.prompt_tokens,
      input_tokens_details: usage.prompt_tokens_details,
      output_tokens: usage.completion_tokens,
      output_tokens_details: { reasoning_tokens: answer.reasoningTokens },
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
    const { runs, form } = startChat(call, chatOf(given), call.model(given.model))
    const [run] = runs
    if (given.stream !== true)
      return Response.json(await new ResponseBuilder(call, { run, form }, () => undefined).answer())
    return call.stream(async (send) => {
      await new ResponseBuilder(call, { run, form }, send).answer()
    })
  },
})
