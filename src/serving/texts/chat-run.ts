// A conversation as texts of the scheduler: what every endpoint with messages has in common.
import { z } from 'zod'
import type { RankedToken } from '../../generation/index.ts'
import { type ChatMessage, encodeChatPrompt, type Tokenizer, turnEnds } from '../../tokenizers/index.ts'
import { badRequest } from '../http/errors.ts'
import type { ServedModel } from '../models/served-models.ts'
import type { Service } from '../service.ts'
import { AnswerParser, type AnswerPart, beginsThinking, knowsThinking, type Thinking } from './answer-parser.ts'
import {
  type FinishedText,
  type GeneratedToken,
  newTokensOf,
  readText,
  samplingFields,
  schedulerOf,
  startTexts,
  type TextRun,
  textSettings,
} from './text-run.ts'
import { tokenEntry } from './token-text.ts'
import {
  type CallableFunctions,
  chooseTools,
  formatConstraint,
  responseFormat,
  type ToolCall,
  toolCall,
  toolFields,
} from './tools.ts'

/** Schema of parts that hold no text, of some types. */
export const otherParts = <const Types extends readonly [string, ...string[]]>(types: Types) =>
  z.looseObject({ type: z.enum(types) })

/** A part of a content. */
type Part = { type: string; text: string } | { type: string; [field: string]: unknown }

const hasText = (part: Part): part is { type: string; text: string } => typeof part.text === 'string'

/** The text of a content. @param where its name in errors @throws ApiError for a part of another kind */
export const textOf = (content: string | readonly Part[], where: string): string => {
  if (typeof content === 'string') return content
  return content
    .map((part, i) => {
      if (hasText(part)) return part.text
      throw badRequest(
        `\`${where}[${i}]\` is of the type ${part.type}: this server reads text only. Remove the part, or describe it in words.`,
        `${where}[${i}].type`,
        'unsupported_content',
      )
    })
    .join('')
}

const part = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text'), text: z.string() }),
  otherParts(['image_url', 'input_audio', 'file', 'refusal']),
])
const parts = z.array(part).min(1)
const content = z.union([z.string(), parts])

const message = z.strictObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: content.nullish(),
  name: z.string().max(256).nullish(),
  tool_calls: z.array(toolCall).max(128).nullish(),
  tool_call_id: z.string().max(256).nullish(),
  refusal: z.null().optional(),
  reasoning_content: z.string().nullish(),
  // What OpenAI's service and its clients put into an answer, and send back with it.
  annotations: z.array(z.unknown()).max(0).nullish(),
  audio: z.null().optional(),
  function_call: z.null().optional(),
  parsed: z.unknown().optional(),
})

/** Schema of a conversation. */
export const chatMessages = z.array(message).min(1).max(4096)

/** Tokens at the end of a prompt that have the tag of reasoning, where it has one. */
const tagTokens = 16

/** Variables of templates that come from other fields, or are the conversation itself. */
const ownVariables = ['messages', 'tools', 'add_generation_prompt', 'bos_token', 'eos_token']

/** Fields that change how the chat template writes a conversation. */
export const templateFields = {
  chat_template_kwargs: z
    .record(z.string().max(256), z.unknown())
    .nullish()
    .describe('variables of the chat template, such as `enable_thinking`'),
}

/** Variables of the template from the request. @throws ApiError for a name that another field has */
export const variablesOf = (
  { chat_template_kwargs: given }: { chat_template_kwargs?: Record<string, unknown> | null | undefined },
  tools?: readonly object[],
): { variables?: Record<string, unknown> } => {
  const reserved = ownVariables.find((name) => given != null && Object.hasOwn(given, name))
  if (reserved !== undefined)
    throw badRequest(
      `Expected variables of the template alone, got \`${reserved}\`, which comes from the request or the tokenizer. Remove it.`,
      'chat_template_kwargs',
    )
  const variables = { ...given, ...(tools === undefined ? {} : { tools }) }
  return Object.keys(variables).length === 0 ? {} : { variables }
}

/** Fields of a request for an answer to a conversation. */
export const chatFields = {
  messages: chatMessages.describe('the conversation so far'),
  max_tokens: z.int().positive().nullish().describe('maximum number of new tokens (default: as many as fit)'),
  max_completion_tokens: z.int().positive().nullish().describe('the newer name of `max_tokens`'),
  logprobs: z.boolean().nullish().describe('log-probabilities of the new tokens'),
  top_logprobs: z.int().min(0).max(20).nullish().describe('most likely tokens to show for each new token'),
  response_format: responseFormat.nullish().describe('text, any JSON object, or JSON of a schema'),
  ...toolFields,
  ...templateFields,
  ...samplingFields,
}

/** Fields that OpenAI's clients send for its own service. Those that are accepted here change nothing in the text. */
export const serviceFields = {
  store: z.literal(false).nullish().describe('answers are never stored'),
  metadata: z.record(z.string().max(64), z.string().max(512)).nullish().describe('labels of the request'),
  service_tier: z.enum(['auto', 'default']).nullish().describe('all requests are equal; see `priority`'),
  safety_identifier: z.string().max(512).nullish().describe('label of the end user; not used'),
  prompt_cache_key: z.string().max(512).nullish().describe('not used: prompts are cached by their tokens'),
}

/** The values of the fields. */
export type ChatRequest = z.output<z.ZodObject<typeof chatFields>>

/** A call as templates take it: with its arguments as values. */
const callOf = ({ function: { name, arguments: text }, ...call }: ToolCall, where: string) => {
  try {
    // Of a function without parameters, streams have no text.
    return { ...call, function: { name, arguments: (text === '' ? {} : JSON.parse(text)) as unknown } }
  } catch {
    throw badRequest(
      `Expected JSON for \`${where}.function.arguments\`, got another text.`,
      `${where}.function.arguments`,
    )
  }
}

/** The conversation as the template takes it. */
export const messagesOf = (given: z.output<typeof chatMessages>): ChatMessage[] =>
  given.map(({ role, content: text, name, tool_calls: calls, tool_call_id: id, reasoning_content: thought }, i) => {
    if (text == null && calls == null)
      throw badRequest(`Expected text for \`messages[${i}].content\`, got none.`, `messages[${i}].content`)
    return {
      role: role === 'developer' ? 'system' : role,
      content: text == null ? '' : textOf(text, `messages[${i}].content`),
      ...(name == null ? {} : { name }),
      ...(id == null ? {} : { tool_call_id: id }),
      ...(thought == null ? {} : { reasoning_content: thought }),
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

/** A token with its alternatives, as OpenAI shows it. */
export const entryOf = (tokenizer: Tokenizer, token: GeneratedToken) => ({
  ...tokenEntry(tokenizer, token),
  top_logprobs: token.alternatives.map((one: RankedToken) => tokenEntry(tokenizer, one)),
})

/** What the text of an answer may have beside content. */
export interface AnswerForm {
  tools: CallableFunctions
  thinking: Thinking
}

/** The texts of a request, and the form of all of them. */
interface Chat {
  runs: TextRun[]
  form: AnswerForm
}

/** An answer that a grammar holds is content from its start. */
const thinkingOf = (template: string, prompt: () => string, isConstrained: boolean): Thinking => {
  if (isConstrained || !knowsThinking(template)) return 'none'
  return beginsThinking(prompt()) ? 'begun' : 'possible'
}

/** Starts the texts of a request. @throws ApiError for settings that do not fit the model or each other */
export const startChat = (
  { service, signal }: { service: Service; signal: AbortSignal },
  given: ChatRequest,
  model: ServedModel,
): Chat => {
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
    ...variablesOf(given, forTemplate),
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
  const thinking = thinkingOf(template, () => tokenizer.decode(ids.slice(-tagTokens)), constraint !== undefined)
  return { runs: startTexts({ model, prompt: ids, n, ...settings, topLogProbs, signal }), form: { tools, thinking } }
}

/** An answer that is done, with its parts. */
export interface FinishedAnswer extends FinishedText {
  /** Empty where the template has no reasoning, or the model wrote none. */
  reasoning: string
  /** Tokens before the end of the reasoning. */
  reasoningTokens: number
  content: string
  calls: ToolCall[]
}

/**
 * Reads an answer to its end.
 * @param onPart called with each part of the text and the tokens since the part before it; a text that may be the start of a
 *   tag or of a call is given when it is known
 */
export const readAnswer = async (
  { service, timedOut }: { service: Service; timedOut: () => boolean },
  run: TextRun,
  { tools, thinking }: AnswerForm,
  onPart: (part: AnswerPart, tokens: GeneratedToken[]) => void = () => undefined,
): Promise<FinishedAnswer> => {
  const parser = new AnswerParser(tools, thinking)
  const answer = { reasoning: '', reasoningTokens: 0, content: '', calls: [] as ToolCall[] }
  let tokens: GeneratedToken[] = []
  const pass = (parts: readonly AnswerPart[]) => {
    const isUnseen = parts.length === 0 && tokens.length > 0 && !parser.isWaiting
    const empty = { kind: parser.isThinking ? ('reasoning' as const) : ('content' as const), text: '' }
    for (const part of isUnseen ? [empty] : parts) {
      if (part.kind === 'call') answer.calls.push(part.call)
      else answer[part.kind] += part.text
      const given = tokens
      tokens = []
      onPart(part, given)
    }
  }
  const finished = await readText(service, run, timedOut, ({ text, id, logProb, alternatives = [] }) => {
    if (id !== undefined && logProb !== undefined) tokens.push({ id, logProb, alternatives })
    const parts = parser.read(text)
    if (id !== undefined && parser.isThinking) answer.reasoningTokens++
    pass(parts)
  })
  pass(parser.end())
  return { ...finished, ...answer }
}
