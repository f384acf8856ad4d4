// Messages as people have them, as turns: OpenAI's fields, ShareGPT's `from` and `value`, content in parts, calls of tools and their
// results, reasoning, and the weight of a turn in the loss. What is not text is refused by name.
import { show } from '../../core/index.ts'
import { type Checked, fault } from '../records/columns.ts'
import { type Fields, isFields } from '../records/row.ts'
import type { ToolCall, ToolDefinition, Turn, TurnRole } from './turns.ts'

/** Names of the roles in known data sets. */
const roleNames: { readonly [name: string]: TurnRole } = {
  system: 'system',
  developer: 'system',
  user: 'user',
  human: 'user',
  prompter: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  bot: 'assistant',
  model: 'assistant',
  function_call: 'assistant',
  tool: 'tool',
  ipython: 'tool',
  function: 'tool',
  observation: 'tool',
}

/** The role whose text is a call, or a list of calls, as JSON. */
const callRole = 'function_call'

/** Parts of a content, and columns of a row, that are not text. */
const otherMedia = /^(input_)?(image|images|image_url|image_urls|video|videos|video_url|audio|audios|audio_url|file)$/

const refuseMedia = (name: string, where: string) =>
  fault('not-text', `Expected text, got "${name}" in ${where}: models here read text only. Remove it, or the record.`)

/** The fault of a row with images, video or audio in a column of their own. */
export const mediaIn = (values: Fields): ReturnType<typeof fault> | undefined => {
  const filled = (value: unknown) =>
    value !== undefined && value !== null && value !== '' && !(Array.isArray(value) && value.length === 0)
  const column = Object.keys(values).find((name) => otherMedia.test(name) && name !== 'file' && filled(values[name]))
  return column === undefined ? undefined : refuseMedia(column, 'a column of the row')
}

/** The text of a content: a text, or a list of texts and text parts. */
const textOf = (content: unknown, role: TurnRole): Checked<string> => {
  if (typeof content === 'string') return { value: content }
  if (!Array.isArray(content))
    return fault('no-text', `Expected text for the turn of the ${role}, got ${show(content)}.`)
  const texts: string[] = []
  for (const part of content as unknown[]) {
    const { type, text } = isFields(part) ? part : { type: undefined, text: part }
    const media = isFields(part)
      ? [String(type), ...Object.keys(part)].find((name) => otherMedia.test(name))
      : undefined
    if (media !== undefined) return refuseMedia(media, `the turn of the ${role}`)
    if (typeof text !== 'string')
      return fault('no-text', `Expected text parts for the turn of the ${role}, got ${show(part)}.`)
    texts.push(text)
  }
  return { value: texts.join('') }
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The arguments of a call: an object, or one as JSON text. */
const argumentsOf = (value: unknown, name: string): Checked<Fields> => {
  if (value === undefined || value === null || value === '') return { value: {} }
  const found = typeof value === 'string' ? parsed(value) : value
  if (isFields(found)) return { value: found }
  return fault(
    'tool-arguments',
    `Expected an object, or one as JSON text, for the arguments of the call of "${name}", got ${show(value)}.`,
  )
}

const callOf = (call: unknown): Checked<ToolCall> => {
  const given = isFields(call) ? call : {}
  const called = isFields(given.function) ? given.function : given
  const { name } = called
  if (typeof name !== 'string' || name === '')
    return fault('tool-call', `Expected a call of a tool with the name of a function, got ${show(call)}.`)
  const found = argumentsOf(called.arguments ?? called.parameters, name)
  if ('fault' in found) return found
  const { id } = given
  return {
    value: {
      ...(typeof id === 'string' ? { id } : {}),
      type: 'function',
      function: { name, arguments: found.value },
    },
  }
}

/** All values of a list, or the first fault. */
const eachOf = <Value>(list: readonly unknown[], check: (one: unknown) => Checked<Value>): Checked<Value[]> => {
  const values: Value[] = []
  for (const one of list) {
    const checked = check(one)
    if ('fault' in checked) return checked
    values.push(checked.value)
  }
  return { value: values }
}

const callsOf = (list: unknown): Checked<ToolCall[]> => {
  if (!Array.isArray(list)) return fault('tool-call', `Expected a list of calls for \`tool_calls\`, got ${show(list)}.`)
  return eachOf(list, callOf)
}

const isMissing = (value: unknown): boolean => value === undefined || value === null

/** The calls of a message: its `tool_calls`, its one `function_call`, or its text for the role of that name. */
const callsIn = (message: Fields, role: string, content: unknown): Checked<ToolCall[]> => {
  if (role === callRole) {
    const found = typeof content === 'string' ? parsed(content) : content
    if (found === undefined)
      return fault('tool-call', `Expected a call as JSON for the role ${callRole}, got ${show(content)}.`)
    return callsOf(Array.isArray(found) ? found : [found])
  }
  if (!isMissing(message.tool_calls)) return callsOf(message.tool_calls)
  return isMissing(message.function_call) ? { value: [] } : callsOf([message.function_call])
}

/** The weight of a turn: `weight`, or `train` with true or false. */
const weightOf = ({ weight, train }: Fields, role: TurnRole): Checked<number | undefined> => {
  if (!isMissing(train) && typeof train !== 'boolean')
    return fault('turn-weight', `Expected true or false for \`train\` of a turn, got ${show(train)}.`)
  if (!isMissing(weight) && !(typeof weight === 'number' && weight >= 0 && Number.isFinite(weight)))
    return fault('turn-weight', `Expected a number of at least 0 for \`weight\` of a turn, got ${show(weight)}.`)
  if (typeof weight === 'number' && typeof train === 'boolean' && weight > 0 !== train)
    return fault('turn-weight', `Expected \`weight\` and \`train\` of a turn to agree, got ${weight} and ${train}.`)
  const found = (weight as number | null | undefined) ?? (isMissing(train) ? undefined : Number(train))
  if (role !== 'assistant' && found !== undefined && found > 0)
    return fault('turn-weight', `Expected no weight for a turn of the ${role}, got ${found}: only answers are trained.`)
  return { value: role === 'assistant' ? found : undefined }
}

const reasoningNames = ['reasoning_content', 'thinking', 'reasoning'] as const

const reasoningOf = (message: Fields): Checked<string | undefined> => {
  const name = reasoningNames.find((one) => !isMissing(message[one]))
  if (name === undefined || message[name] === '') return { value: undefined }
  const value = message[name]
  return typeof value === 'string' ? { value } : fault('no-text', `Expected text for \`${name}\`, got ${show(value)}.`)
}

export const turnOf = (name: unknown, content: unknown): Checked<Turn> => turnFrom({ role: name, content })

/** A turn from a message: `role` and `content`, or `from` and `value`, with the fields of OpenAI's messages. */
export const turnFrom = (message: unknown): Checked<Turn> => {
  const given = isFields(message) ? message : {}
  const name = given.role ?? given.from
  const key = typeof name === 'string' ? name.toLowerCase() : ''
  const role = Object.hasOwn(roleNames, key) ? roleNames[key] : undefined
  if (role === undefined)
    return fault('unknown-role', `Expected a role of ${Object.keys(roleNames).join(', ')}, got ${show(name)}.`)
  const written = given.content ?? given.value
  const calls = role === 'assistant' ? callsIn(given, key, written) : { value: [] }
  if ('fault' in calls) return calls
  const content =
    key === callRole || (calls.value.length > 0 && isMissing(written)) ? { value: '' } : textOf(written, role)
  if ('fault' in content) return content
  const weight = weightOf(given, role)
  if ('fault' in weight) return weight
  const reasoning: Checked<string | undefined> = role === 'assistant' ? reasoningOf(given) : { value: undefined }
  if ('fault' in reasoning) return reasoning
  const ofTool = role === 'tool' ? { name: given.name, tool_call_id: given.tool_call_id } : {}
  return {
    value: {
      role,
      content: content.value,
      ...(calls.value.length > 0 ? { tool_calls: calls.value } : {}),
      ...(reasoning.value === undefined ? {} : { reasoning_content: reasoning.value }),
      ...(typeof ofTool.name === 'string' ? { name: ofTool.name } : {}),
      ...(typeof ofTool.tool_call_id === 'string' ? { tool_call_id: ofTool.tool_call_id } : {}),
      ...(weight.value === undefined ? {} : { weight: weight.value }),
    },
  }
}

export const turnsFrom = (list: unknown, column: string): Checked<Turn[]> => {
  if (!Array.isArray(list)) return fault('no-text', `Expected messages in column "${column}", got ${show(list)}.`)
  return eachOf(list, turnFrom)
}

/** Tool definitions from a column: a list, or one as JSON text; each with `function`, or its fields alone. Undefined for none. */
export const toolsFrom = (value: unknown, column: string): Checked<ToolDefinition[] | undefined> => {
  if (isMissing(value) || value === '') return { value: undefined }
  const list = typeof value === 'string' ? parsed(value) : value
  if (!Array.isArray(list))
    return fault('tools', `Expected a list of tools, or one as JSON text, in column "${column}", got ${show(value)}.`)
  const tools: ToolDefinition[] = []
  for (const one of list as unknown[]) {
    const given = isFields(one) ? one : {}
    const described = isFields(given.function) ? given.function : given
    if (typeof described.name !== 'string' || described.name === '')
      return fault('tools', `Expected tools with the name of a function in column "${column}", got ${show(one)}.`)
    tools.push({
      type: 'function',
      ...(isFields(given.function) ? given : {}),
      function: described as ToolDefinition['function'],
    })
  }
  return { value: tools.length > 0 ? tools : undefined }
}
