// Tools: functions that a model may ask its caller to run. A call that is required is held by a grammar, so that its arguments
// are valid by the schema of the function, as texts of a `response_format` are; a call that the model chooses itself is recognised in its text.

import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { Constraint } from '../grammar/constrain.ts'
import { anyJsonObject, jsonSchemaGrammar } from '../grammar/json-schema.ts'
import { choice, literal, type Node, sequence } from '../grammar/nodes.ts'
import { badRequest } from '../http/errors.ts'

/** Fields of a format that is JSON of a schema. */
export const schemaFields = {
  name: z.string().max(64),
  description: z.string().nullish(),
  schema: z.record(z.string(), z.unknown()),
  strict: z.boolean().nullish(),
}

/** Formats without a schema. */
export const plainFormats = [
  z.strictObject({ type: z.literal('text') }),
  z.strictObject({ type: z.literal('json_object') }),
] as const

/** Schema of `response_format`. */
export const responseFormat = z.discriminatedUnion('type', [
  ...plainFormats,
  z.strictObject({ type: z.literal('json_schema'), json_schema: z.strictObject(schemaFields) }),
])

/** Constraints that were made, by tokenizer and by the text of what they were made from. */
const known = new WeakMap<Tokenizer, Map<string, Constraint>>()
const maxKnown = 32

/**
 * A constraint, kept for the next request with the same one: the tokens that it allows are computed once.
 * @param key names the grammar
 * @throws ApiError for a schema that no text can follow, or that is not supported
 */
const constraintOf = (tokenizer: Tokenizer, key: string, param: string, grammar: () => Node): Constraint => {
  const own = known.get(tokenizer) ?? new Map<string, Constraint>()
  known.set(tokenizer, own)
  let found = own.get(key)
  if (found === undefined) {
    try {
      found = new Constraint(grammar(), tokenizer, param)
    } catch (error) {
      if (error instanceof ConfigError) throw badRequest(error.message, param, 'invalid_schema')
      throw error
    }
    if (own.size >= maxKnown) own.delete(own.keys().next().value as string)
    own.set(key, found)
  }
  return found
}

/** The constraint of a format; undefined for text. */
export const formatConstraint = (
  tokenizer: Tokenizer,
  format: z.output<typeof responseFormat> | null | undefined,
): Constraint | undefined => {
  const param = 'response_format'
  switch (format?.type) {
    case 'json_object':
      return constraintOf(tokenizer, 'json_object', param, () => anyJsonObject)
    case 'json_schema': {
      const { schema } = format.json_schema
      const where = `${param}.json_schema.schema`
      return constraintOf(tokenizer, JSON.stringify(schema), where, () => jsonSchemaGrammar(schema, where))
    }
    default:
      return undefined
  }
}

/** Name of a function, as OpenAI allows it. */
export const functionName = z.string().regex(/^[\w-]{1,64}$/)

/** Fields of a function. */
export const functionFields = {
  name: functionName,
  description: z.string().nullish(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
  strict: z.boolean().nullish(),
}

const namedFunction = z.strictObject({ type: z.literal('function'), function: z.strictObject({ name: functionName }) })

/** Modes of a choice among some of the functions. */
export const allowedMode = z.enum(['auto', 'required'])

/** Fields of a chat with tools. */
export const toolFields = {
  tools: z
    .array(z.strictObject({ type: z.literal('function'), function: z.strictObject(functionFields) }))
    .max(128)
    .nullish()
    .describe('functions that the model may call'),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      namedFunction,
      z.strictObject({
        type: z.literal('allowed_tools'),
        allowed_tools: z.strictObject({ mode: allowedMode, tools: z.array(namedFunction).min(1).max(128) }),
      }),
    ])
    .nullish()
    .describe('whether the model must call a function, and which it may call (default: auto)'),
  parallel_tool_calls: z
    .boolean()
    .nullish()
    .describe('whether an answer may be several calls (default: true); a required call is always one'),
}

/** A call in a message of the conversation. */
export const toolCall = z.strictObject({
  id: z.string(),
  type: z.literal('function'),
  function: z.strictObject({
    name: z.string(),
    arguments: z.string(),
    // openai's `parse` adds it to what it returns; the arguments say the same.
    parsed_arguments: z.unknown().optional(),
  }),
})

/** A call in an answer. */
export type ToolCall = z.output<typeof toolCall>

type Tools = z.output<(typeof toolFields)['tools']>
type ToolChoice = z.output<(typeof toolFields)['tool_choice']>
type Function = NonNullable<Tools>[number]['function']

/** Functions that an answer may call. */
export interface CallableFunctions {
  functions: readonly Function[]
  /** Maximum number of calls in an answer; further ones are left out. */
  maxCalls: number
}

/** The tools of a request. */
interface ChosenTools extends CallableFunctions {
  /** As the template takes them; undefined for none. */
  forTemplate: object[] | undefined
  /** Of a call that is required. */
  constraint: Constraint | undefined
}

const noParameters = { type: 'object', properties: {}, additionalProperties: false }

/** A call as it is written by a model that must call one of some functions. */
const callGrammar = (functions: readonly Function[]) =>
  choice(
    ...functions.map(({ name, parameters }) =>
      sequence(
        literal(`{"name": ${JSON.stringify(name)}, "arguments": `),
        jsonSchemaGrammar(parameters ?? noParameters, `the parameters of ${name}`),
        literal('}'),
      ),
    ),
  )

/** What a choice says: whether a call is required, and the names of the functions that may be called, if not all. */
const readChoice = (choice: NonNullable<ToolChoice>): { isRequired: boolean; names?: readonly string[] } => {
  if (typeof choice === 'string') return { isRequired: choice === 'required' }
  if (choice.type === 'function') return { isRequired: true, names: [choice.function.name] }
  const { mode, tools } = choice.allowed_tools
  return { isRequired: mode === 'required', names: tools.map((tool) => tool.function.name) }
}

/**
 * @param template source of the chat template
 * @throws ApiError for a choice without tools, an unknown function, or a template that writes no tools
 */
export const chooseTools = (
  given: { tools?: Tools; tool_choice?: ToolChoice; parallel_tool_calls?: boolean | null },
  tokenizer: Tokenizer,
  template: string,
): ChosenTools => {
  const tools = given.tools ?? []
  const wanted = given.tool_choice ?? 'auto'
  const none: ChosenTools = { forTemplate: undefined, functions: [], constraint: undefined, maxCalls: 0 }
  if (tools.length === 0) {
    if (given.parallel_tool_calls != null)
      throw badRequest('`parallel_tool_calls` needs `tools`: name some functions.', 'parallel_tool_calls')
    if (given.tool_choice != null && given.tool_choice !== 'none' && given.tool_choice !== 'auto')
      throw badRequest('`tool_choice` needs `tools`: name some functions.', 'tool_choice')
    return none
  }
  if (wanted === 'none') return none
  if (!/\btools\b/.test(template))
    throw badRequest(
      'The chat template of this model writes no tools, so that it would not know of them. Choose another model.',
      'tools',
      'model_not_supported',
    )
  const all = tools.map((tool) => tool.function)
  const twice = all.find(({ name }, i) => all.findIndex((other) => other.name === name) !== i)
  if (twice !== undefined) throw badRequest(`Expected different names for \`tools\`, got ${twice.name} twice.`, 'tools')
  const { isRequired, names } = readChoice(wanted)
  const unknown = names?.find((name) => !all.some((one) => one.name === name))
  if (unknown !== undefined)
    throw badRequest(
      `Expected names of \`tools\` for \`tool_choice\` (${all.map(({ name }) => name).join(', ')}), got ${unknown}.`,
      'tool_choice',
    )
  const named = all.filter(({ name }) => names === undefined || names.includes(name))
  const constraint = isRequired
    ? constraintOf(tokenizer, `tools ${JSON.stringify(named)}`, 'tools', () => callGrammar(named))
    : undefined
  const maxCalls = given.parallel_tool_calls === false ? 1 : Number.POSITIVE_INFINITY
  return { forTemplate: tools, functions: named, constraint, maxCalls }
}

const idOf = () => `call_${randomUUID().replaceAll('-', '').slice(0, 24)}`

/** A call as models write it: `arguments` by most, `parameters` by Llama 3. */
const asCall = (value: unknown, functions: readonly Function[]): ToolCall | undefined => {
  if (typeof value !== 'object' || value === null) return undefined
  const { name, arguments: given, parameters } = value as Record<string, unknown>
  const values = given ?? parameters ?? {}
  if (!functions.some((one) => one.name === name) || typeof values !== 'object') return undefined
  return { id: idOf(), type: 'function', function: { name: String(name), arguments: JSON.stringify(values) } }
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A call in JSON; undefined for another text. */
export const callOf = (text: string, functions: readonly Function[]): ToolCall | undefined =>
  asCall(parsed(text), functions)

/** The calls of a text that is one call in JSON, or a list of them; undefined for another text. */
export const callsOf = (text: string, functions: readonly Function[]): ToolCall[] | undefined => {
  const calls = [parsed(text)].flat().map((value) => asCall(value, functions))
  return calls.length === 0 || calls.includes(undefined) ? undefined : (calls as ToolCall[])
}
