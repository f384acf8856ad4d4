// Renders chat templates with limits on size and time, because templates come from untrusted files; presets for tokenizers
// without one.
// Independent of the tokenizer.
import { ConfigError, TunesmithError } from '../../core/index.ts'
import { runPureWithTimeLimit } from '../time-limit.ts'
import { type Program, parseTemplate, type Rendered, runTemplate, TemplateError } from './jinja/template.ts'

const MAX_TEMPLATE = 256 * 1024
const MAX_MESSAGES = 10_000
const MAX_TEXT = 16 * 1024 * 1024
const MAX_RANGE = 100_000
const TIMEOUT_MS = 2000
const MAX_CACHED_TEMPLATES = 16

// The presets have the formats of OpenAI's ChatML, Meta's Llama 3, Mistral AI's instruct models and Stanford Alpaca.

const toolPrompt = String.raw`{{ 'You can call these tools, each described by a JSON object:\n<tools>\n' }}{% for tool in tools %}{{ tool | tojson + '\n' }}{% endfor %}{{ '</tools>\n\nTo call one, write:\n<tool_call>\n{"name": NAME, "arguments": OBJECT}\n</tool_call>' }}`

const toolCalls = String.raw`{% for call in message['tool_calls'] or [] %}{% if message['content'] or not loop.first %}{{ '\n' }}{% endif %}{{ '<tool_call>\n{"name": ' + call['function']['name'] | tojson + ', "arguments": ' + call['function']['arguments'] | tojson + '}\n</tool_call>' }}{% endfor %}`

const chatml = String.raw`{% if tools %}{{ '<|im_start|>system\n' }}{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] + '\n\n' }}{% endif %}${toolPrompt}{{ '<|im_end|>\n' }}{% endif %}{% for message in messages %}{% if not (tools and loop.first and message['role'] == 'system') %}{{ '<|im_start|>' + message['role'] + '\n' + (message['content'] or '') }}{% if message['role'] == 'assistant' %}${toolCalls}{% endif %}{{ '<|im_end|>\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`

const llama3 = `{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}`

// A system message is prepended to the next user message.
const mistral = `{% set ns = namespace(system='') %}{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{% set ns.system = message['content'] + '\\n\\n' %}{% elif message['role'] == 'user' %}{{ '[INST] ' + ns.system + message['content'] + ' [/INST]' }}{% set ns.system = '' %}{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] | trim + eos_token }}{% else %}{{ raise_exception('Only the roles system, user and assistant are known.') }}{% endif %}{% endfor %}`

const alpaca = `{% set ns = namespace(begun=false) %}{% for message in messages %}{% if message['role'] == 'system' %}{% set ns.begun = true %}{{ message['content'] + '\\n\\n' }}{% elif message['role'] == 'user' %}{% if not ns.begun %}{% set ns.begun = true %}{{ 'Below is an instruction that describes a task. Write a response that appropriately completes the request.\\n\\n' }}{% endif %}{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}{% elif message['role'] != 'assistant' %}{{ raise_exception('Only the roles system, user and assistant are known.') }}{% else %}{{ '### Response:\\n' + message['content'] + eos_token + '\\n\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}`

const plain = `{% for message in messages %}{% if message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] + eos_token + '\\n' }}{% elif message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\\n' }}{% else %}{{ message['content'] + '\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}`

// No roles: prompt, newline, completion.
const completion = `{% for message in messages %}{{ message['content'] }}{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% if not loop.last or message['role'] != 'assistant' %}{{ '\\n' }}{% endif %}{% endfor %}`

/** Preset chat templates by name, as Jinja source. */
export const CHAT_TEMPLATES = { chatml, llama3, mistral, alpaca, plain, completion } as const

/** Name of a preset chat template. */
export type ChatTemplateName = keyof typeof CHAT_TEMPLATES

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

// Parsed templates, the newest last.
const programs = new Map<string, Program>()

/** The Jinja source of a template: that of a preset if `template` is its name, else `template` itself. */
export const templateSource = (template: string): string =>
  Object.hasOwn(CHAT_TEMPLATES, template) ? CHAT_TEMPLATES[template as ChatTemplateName] : template

const programOf = (source: string): Program => {
  if (source.length > MAX_TEMPLATE)
    throw new ConfigError(
      `Expected at most ${MAX_TEMPLATE} characters for \`chat template\`, got ${source.length}. Shorten it.`,
    )
  let program = programs.get(source)
  if (program === undefined) {
    program = limited(() => parseTemplate(source))
    if (programs.size >= MAX_CACHED_TEMPLATES) programs.delete(programs.keys().next().value!)
    programs.set(source, program)
  }
  return program
}

/** Runs template code for at most two seconds, twice if need be, and turns its errors into ConfigError. */
const limited = <T>(work: () => T): T => {
  try {
    return runPureWithTimeLimit(work, TIMEOUT_MS)
  } catch (error) {
    if (error instanceof TunesmithError) throw error
    const message = (error as { message?: unknown } | null)?.message
    throw new ConfigError(
      `Cannot render the chat template with these messages: ${String(message ?? error)}. Check the template.`,
    )
  }
}

const range = (given: unknown[]): number[] => {
  const numbers = given.map((one) => {
    if (typeof one !== 'number') throw new TemplateError('range() takes integers')
    return one
  })
  const [start, stop, step = 1] = numbers.length === 1 ? [0, ...numbers] : numbers
  const count = Math.ceil((stop - start) / step)
  if (!(count <= MAX_RANGE))
    throw new ConfigError(`Expected at most ${MAX_RANGE} numbers for \`range\` in the chat template, got ${count}.`)
  return Array.from({ length: Math.max(0, count) }, (_, i) => start + i * step)
}

/** Python's `strftime` of now, in English. */
const formatNow = (format: string): string => {
  const now = new Date()
  const two = (value: number) => String(value).padStart(2, '0')
  const named = (options: Intl.DateTimeFormatOptions) => now.toLocaleString('en-US', options)
  const hour = now.getHours() % 12 === 0 ? 12 : now.getHours() % 12
  const day = Date.UTC(now.getFullYear(), now.getMonth(), now.getDate()) - Date.UTC(now.getFullYear(), 0, 1)
  const fields: Record<string, string> = {
    Y: String(now.getFullYear()),
    y: two(now.getFullYear() % 100),
    m: two(now.getMonth() + 1),
    d: two(now.getDate()),
    j: String(Math.round(day / 86_400_000) + 1).padStart(3, '0'),
    b: named({ month: 'short' }),
    B: named({ month: 'long' }),
    a: named({ weekday: 'short' }),
    A: named({ weekday: 'long' }),
    H: two(now.getHours()),
    I: two(hour),
    p: now.getHours() < 12 ? 'AM' : 'PM',
    M: two(now.getMinutes()),
    S: two(now.getSeconds()),
    '%': '%',
  }
  return format
    .replaceAll('%F', '%Y-%m-%d')
    .replaceAll('%T', '%H:%M:%S')
    .replace(/%-?([YymdjbBaAHIpMS%])/g, (whole, key: string) =>
      whole[1] === '-' ? fields[key].replace(/^0+(?=\d)/, '') : fields[key],
    )
}

/** Checks the number of messages and that each has a role. Throws ConfigError. */
const checkMessages = (messages: readonly ChatMessage[]): void => {
  if (!Array.isArray(messages) || messages.length > MAX_MESSAGES)
    throw new ConfigError(`Expected a list of at most ${MAX_MESSAGES} messages for \`messages\`.`)
  for (const [i, message] of messages.entries())
    if (typeof message?.role !== 'string')
      throw new ConfigError(`Expected a role for \`messages[${i}].role\`, got ${typeof message?.role}. Pass a string.`)
}

const functions = {
  range,
  strftime_now: ([format]: unknown[]) => formatNow(String(format)),
  raise_exception: ([message]: unknown[]) => {
    throw new ConfigError(`The chat template rejected these messages: ${String(message)}`)
  },
}

/** Renders a conversation, with the parts that belong to each message. Throws ConfigError as `renderChat` does. */
export const renderParts = (messages: readonly ChatMessage[], options: RenderOptions): Rendered => {
  checkMessages(messages)
  const program = programOf(templateSource(options.template))
  const variables = {
    bos_token: '',
    eos_token: '',
    // As transformers passes them: a template may ask whether they are None.
    tools: null,
    documents: null,
    ...options.variables,
    messages,
    add_generation_prompt: options.addGenerationPrompt ?? false,
  }
  const rendered = limited(() => runTemplate(program, variables, functions))
  if (rendered.text.length > MAX_TEXT)
    throw new ConfigError(
      `Expected at most ${MAX_TEXT} characters of rendered chat, got ${rendered.text.length}. Shorten the conversation.`,
    )
  return rendered
}

/** Renders a conversation as text. Throws ConfigError if the template rejects the messages or takes too long. */
export const renderChat = (messages: readonly ChatMessage[], options: RenderOptions): string =>
  renderParts(messages, options).text
