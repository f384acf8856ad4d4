// Calls of tools in the text of a model, in the forms that chat templates teach: tags around JSON (Hermes, Qwen), a list after a marker
// (Mistral), or a text that is one JSON object (Llama).
import { show } from '../../core/index.ts'

/** A call of a tool. */
export interface ToolCall {
  name: string
  arguments: { readonly [name: string]: unknown }
}

/** The calls in a text. */
export interface ToolCalls {
  calls: ToolCall[]
  /** What looks like a call and is none, in sentences for the model. */
  faults: string[]
}

const open = '<tool_call>'
const close = '</tool_call>'
const listMark = '[TOOL_CALLS]'

const isObject = (value: unknown): value is { readonly [name: string]: unknown } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A call from JSON: `arguments` or `parameters`, as an object or as the text of one. */
const callFrom = (value: unknown): ToolCall | undefined => {
  if (!isObject(value) || typeof value.name !== 'string') return undefined
  const given = value.arguments ?? value.parameters ?? {}
  const own = typeof given === 'string' ? parse(given) : given
  return isObject(own) ? { name: value.name, arguments: own } : undefined
}

/** The texts between tags; a tag that is not closed holds the rest. */
const tagged = (text: string): string[] =>
  text
    .split(open)
    .slice(1)
    .map((part) => part.split(close)[0])

/** Finds the calls of tools in the text of a turn. A text without any has neither calls nor faults. */
export const parseToolCalls = (text: string): ToolCalls => {
  const trimmed = text.trim()
  const at = trimmed.indexOf(listMark)
  const candidates: unknown[] = []
  if (trimmed.includes(open)) candidates.push(...tagged(trimmed).map((part) => parse(part) ?? part))
  else if (at >= 0) {
    const list = parse(trimmed.slice(at + listMark.length))
    if (Array.isArray(list)) candidates.push(...list)
    else candidates.push(list ?? trimmed.slice(at))
  } else {
    const value = parse(trimmed)
    // An answer may be JSON too: it is a call only if it has the form of one.
    if (callFrom(value) !== undefined) candidates.push(value)
  }
  const calls: ToolCall[] = []
  const faults: string[] = []
  for (const candidate of candidates) {
    const call = callFrom(candidate)
    if (call !== undefined) calls.push(call)
    else faults.push(`Expected {"name": …, "arguments": {…}} as a tool call, got ${show(candidate)}.`)
  }
  return { calls, faults }
}
