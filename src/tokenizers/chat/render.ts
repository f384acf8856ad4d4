// Renders chat templates with bounds on size and time: a template comes from a file and may be anything.
// It knows no tokenizer.
import { createContext, Script } from 'node:vm'
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja'
import { ConfigError, TunesmithError } from '../../core/index.ts'
import { CHAT_TEMPLATES, type ChatTemplateName } from './presets.ts'

const MAX_TEMPLATE = 256 * 1024
const MAX_MESSAGES = 10_000
const MAX_TEXT = 16 * 1024 * 1024
const MAX_RANGE = 100_000
const TIMEOUT_MS = 2000
const MAX_KEPT = 16

export interface ChatMessage {
  role: string
  content?: unknown
  [field: string]: unknown
}

export interface RenderOptions {
  /** Jinja source, or the name of a preset. */
  template: string
  /** Ends the text with the beginning of an answer. */
  addGenerationPrompt?: boolean
  /** Further variables of the template: bos_token, eos_token, tools, date_string … */
  variables?: Readonly<Record<string, unknown>>
}

type Program = ReturnType<typeof parse>

// Parsed templates, the latest last.
const programs = new Map<string, Program>()

/** The Jinja source for a preset's name; any other text is source itself. */
export const templateSource = (template: string): string =>
  Object.hasOwn(CHAT_TEMPLATES, template) ? CHAT_TEMPLATES[template as ChatTemplateName] : template

const parseTemplate = (source: string): Program => {
  if (source.length > MAX_TEMPLATE)
    throw new ConfigError(`Expected at most ${MAX_TEMPLATE} characters for \`chat template\`, got ${source.length}.`)
  let program = programs.get(source)
  if (program === undefined) {
    program = bounded(() => parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })))
    if (programs.size >= MAX_KEPT) programs.delete(programs.keys().next().value!)
    programs.set(source, program)
  }
  return program
}

// The time limit of a script holds for everything that it calls. One context for all: making one takes longer than most templates.
const caller = new Script('work()')
const held: { work?: () => unknown } = createContext({})

/** Runs foreign logic for at most two seconds, and makes what it throws an error of ours. */
const bounded = <T>(work: () => T): T => {
  try {
    held.work = work
    return caller.runInContext(held, { timeout: TIMEOUT_MS }) as T
  } catch (error) {
    if (error instanceof TunesmithError) throw error
    const message = (error as { message?: unknown } | null)?.message
    throw new ConfigError(`Expected a chat template that renders these messages, got: ${String(message ?? error)}`)
  }
}

const range = (first: number, second?: number, step = 1): number[] => {
  const [start, stop] = second === undefined ? [0, first] : [first, second]
  const count = Math.ceil((stop - start) / step)
  if (!(count <= MAX_RANGE)) throw new ConfigError(`Expected at most ${MAX_RANGE} numbers for \`range\`, got ${count}.`)
  return Array.from({ length: Math.max(0, count) }, (_, i) => start + i * step)
}

const today = (format: string): string => {
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

export const checkMessages = (messages: readonly ChatMessage[]): void => {
  if (!Array.isArray(messages) || messages.length > MAX_MESSAGES)
    throw new ConfigError(`Expected a list of at most ${MAX_MESSAGES} messages for \`messages\`.`)
  for (const [i, message] of messages.entries())
    if (typeof message?.role !== 'string')
      throw new ConfigError(`Expected a role for \`messages[${i}].role\`, got ${typeof message?.role}. Name it.`)
}

/** The text of a conversation. Throws ConfigError when the template refuses the messages or takes too long. */
export const renderChat = (messages: readonly ChatMessage[], options: RenderOptions): string => {
  checkMessages(messages)
  const program = parseTemplate(templateSource(options.template))
  const text = bounded(() => {
    const environment = new Environment()
    const globals: Record<string, unknown> = {
      true: true,
      false: false,
      none: null,
      True: true,
      False: false,
      None: null,
      range,
      strftime_now: today,
      raise_exception: (message: unknown) => {
        throw new ConfigError(`Expected messages that the chat template takes. It says: ${String(message)}`)
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
    throw new ConfigError(`Expected at most ${MAX_TEXT} characters of chat, got ${text.length}.`)
  return text
}
