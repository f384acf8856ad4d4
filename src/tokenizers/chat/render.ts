// Renders chat templates with limits on size and time, because templates come from untrusted files.
// Independent of the tokenizer.
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja'
import { ConfigError, TunesmithError } from '../../core/index.ts'
import { runWithTimeLimit } from '../time-limit.ts'
import { CHAT_TEMPLATES, type ChatTemplateName } from './presets.ts'

const MAX_TEMPLATE = 256 * 1024
const MAX_MESSAGES = 10_000
const MAX_TEXT = 16 * 1024 * 1024
const MAX_RANGE = 100_000
const TIMEOUT_MS = 2000
const MAX_CACHED_TEMPLATES = 16

/** One message of a conversation; further fields are passed to the template. */
export interface ChatMessage {
  /** `system`, `user`, `assistant` or another role of the template. */
  role: string
  content?: unknown
  [field: string]: unknown
}

/** Options of `renderChat`. */
export interface RenderOptions {
  /** Jinja source, or the name of a preset. */
  template: string
  /** Append the start of an assistant turn, so that a model continues with its answer. */
  addGenerationPrompt?: boolean
  /** More template variables: bos_token, eos_token, tools, date_string … */
  variables?: Readonly<Record<string, unknown>>
}

type Program = ReturnType<typeof parse>

// Parsed templates, the newest last.
const programs = new Map<string, Program>()

/** The Jinja source of a template: that of a preset if `template` is its name, else `template` itself. */
export const templateSource = (template: string): string =>
  Object.hasOwn(CHAT_TEMPLATES, template) ? CHAT_TEMPLATES[template as ChatTemplateName] : template

const parseTemplate = (source: string): Program => {
  if (source.length > MAX_TEMPLATE)
    throw new ConfigError(
      `Expected at most ${MAX_TEMPLATE} characters for \`chat template\`, got ${source.length}. Shorten it.`,
    )
  let program = programs.get(source)
  if (program === undefined) {
    program = runTemplate(() => parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })))
    if (programs.size >= MAX_CACHED_TEMPLATES) programs.delete(programs.keys().next().value!)
    programs.set(source, program)
  }
  return program
}

/** Runs template code for at most two seconds and turns its errors into ConfigError. */
const runTemplate = <T>(work: () => T): T => {
  try {
    return runWithTimeLimit(work, TIMEOUT_MS)
  } catch (error) {
    if (error instanceof TunesmithError) throw error
    const message = (error as { message?: unknown } | null)?.message
    throw new ConfigError(
      `Cannot render the chat template with these messages: ${String(message ?? error)}. Check the template.`,
    )
  }
}

const range = (first: number, second?: number, step = 1): number[] => {
  const [start, stop] = second === undefined ? [0, first] : [first, second]
  const count = Math.ceil((stop - start) / step)
  if (!(count <= MAX_RANGE))
    throw new ConfigError(`Expected at most ${MAX_RANGE} numbers for \`range\` in the chat template, got ${count}.`)
  return Array.from({ length: Math.max(0, count) }, (_, i) => start + i * step)
}

const formatNow = (format: string): string => {
  const now = new Date()
  const two = (value: number) => String(value).padStart(2, '0')
  const month = (style: 'long' | 'short') => now.toLocaleString('en-US', { month: style })
  const fields: Record<string, string> = {
    Y: String(now.getFullYear()),
    m: two(now.getMonth() + 1),
    d: two(now.getDate()),
    b: month('short'),
    B: month('long'),
    H: two(now.getHours()),
    M: two(now.getMinutes()),
    S: two(now.getSeconds()),
  }
  return format.replace(/%([YmdbBHMS])/g, (_, key: string) => fields[key])
}

/** Checks the number of messages and that each has a role. Throws ConfigError. */
export const checkMessages = (messages: readonly ChatMessage[]): void => {
  if (!Array.isArray(messages) || messages.length > MAX_MESSAGES)
    throw new ConfigError(`Expected a list of at most ${MAX_MESSAGES} messages for \`messages\`.`)
  for (const [i, message] of messages.entries())
    if (typeof message?.role !== 'string')
      throw new ConfigError(`Expected a role for \`messages[${i}].role\`, got ${typeof message?.role}. Pass a string.`)
}

/** Renders a conversation as text. Throws ConfigError if the template rejects the messages or takes too long. */
export const renderChat = (messages: readonly ChatMessage[], options: RenderOptions): string => {
  checkMessages(messages)
  const program = parseTemplate(templateSource(options.template))
  const text = runTemplate(() => {
    const environment = new Environment()
    const globals: Record<string, unknown> = {
      true: true,
      false: false,
      none: null,
      True: true,
      False: false,
      None: null,
      range,
      strftime_now: formatNow,
      raise_exception: (message: unknown) => {
        throw new ConfigError(`The chat template rejected these messages: ${String(message)}`)
      },
      bos_token: '',
      eos_token: '',
      ...options.variables,
      messages,
      add_generation_prompt: options.addGenerationPrompt ?? false,
    }
    for (const [name, value] of Object.entries(globals)) environment.set(name, value)
    return (new Interpreter(environment).run(program) as { value: string }).value
  })
  if (text.length > MAX_TEXT)
    throw new ConfigError(
      `Expected at most ${MAX_TEXT} characters of rendered chat, got ${text.length}. Shorten the conversation.`,
    )
  return text
}
