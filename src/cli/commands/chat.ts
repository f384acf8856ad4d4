// `tunesmith chat`: a conversation with a model in the terminal, or line by line with a program. The work is `chat` of src/inference.
import { z } from 'zod'
import { ConfigError, formatDuration, show, TunesmithError } from '../../core/index.ts'
import { type GenerationOptions, generationSchema } from '../../generation/index.ts'
import { type ChatAnswer, chatWith, loadLanguageModel, parseAdapters } from '../../inference/index.ts'
import { CHAT_TEMPLATES } from '../../tokenizers/index.ts'
import { type CommandContext, defineCommand } from '../command.ts'
import { withFields, withoutDefaults } from '../flags.ts'
import { runChatCommand } from '../parts/chat-commands.ts'
import { type ChatInput, openChatInput } from '../parts/chat-input.ts'
import { countField, textField, textsField } from '../parts/fields.ts'
import { loadHooks, modelFields, taskField } from '../parts/model-flags.ts'

const {
  maxNewTokens: _maxNewTokens,
  noRepeatNgramSize,
  numBeams: _,
  numReturnSequences: __,
  lengthPenalty: ___,
  earlyStopping: ____,
  ...settings
} = withoutDefaults(generationSchema, "the model's own")

const options = withFields(
  z.strictObject({
    ...modelFields,
    task: taskField,
    system: textField('system prompt'),
    template: textField(
      `chat template: one of ${Object.keys(CHAT_TEMPLATES).join(', ')}, or Jinja source (default: the model's own)`,
    ),
    context: countField(
      'context window in tokens, the reply included (default: the length the model was trained with)',
    ),
    maxNewTokens: countField(
      "maximum number of tokens of a reply (default: the model's own, else until the context is full)",
    ),
    adapter: textsField('adapter as NAME=FOLDER, to switch to with /adapter; the first one starts active').meta({
      commas: false,
    }),
  }),
  { ...settings, noRepeatNgramSize: noRepeatNgramSize.meta({ flag: 'unique-ngram-size' }) },
)
type Options = z.output<typeof options>

export interface ChatResult {
  model: string
  answers: number
  newTokens: number
  /** Lines that failed. */
  faults: number
}

/** A line as a message or a command. @throws ConfigError for JSON that is neither */
const readLine = (
  line: string,
  json: boolean,
): { command: string } | { role: 'user' | 'system' | 'assistant'; content: string } => {
  if (!json) {
    if (line.startsWith('//')) return { role: 'user', content: line.slice(1) }
    return line.startsWith('/') ? { command: line } : { role: 'user', content: line }
  }
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    throw new ConfigError(`Expected a line of JSON, got ${show(line.slice(0, 60))}.`)
  }
  const { role, content, command } = (typeof value === 'object' && value !== null ? value : {}) as Record<
    string,
    unknown
  >
  if (typeof command === 'string') return { command }
  if ((role === 'user' || role === 'system' || role === 'assistant') && typeof content === 'string')
    return { role, content }
  throw new ConfigError(
    `Expected {"role": "user", "content": "…"}, a role of system or assistant, or {"command": "reset"}, got ${show(line.slice(0, 60))}.`,
  )
}

const describe = ({
  newTokens,
  tokensPerSecond,
  promptTokens,
  reusedTokens,
  secondsToFirst,
  finishReason,
}: ChatAnswer) => {
  const reused = reusedTokens === 0 ? '' : ` (${reusedTokens} cached)`
  return `  ${newTokens} tokens, ${tokensPerSecond.toFixed(1)}/s; prompt ${promptTokens} tokens${reused}, ${formatDuration(secondsToFirst * 1000)}; ${finishReason}`
}

/** What cut a reply off, and what to do; undefined for one that ended by itself. */
const describeCut = ({ cutBy, newTokens, promptTokens }: ChatAnswer, asked: number | undefined): string | undefined => {
  if (cutBy === undefined) return undefined
  if (cutBy === 'context')
    return `The reply was cut: prompt and reply fill the context of ${promptTokens + newTokens} tokens. Start anew with /reset, or shorten the messages.`
  const limit = asked === undefined ? "`max_new_tokens` in the model's generation_config.json" : '`--max-new-tokens`'
  return `The reply was cut after ${newTokens} tokens, the limit by ${limit}. For longer replies, set \`--max-new-tokens\` higher.`
}

/** The chat, with lines from any source. */
export const runChat = async (given: Options, context: CommandContext, source: ChatInput): Promise<ChatResult> => {
  const {
    use: _,
    model: where,
    task,
    revision,
    device,
    weights,
    system,
    template,
    adapter,
    context: length,
    ...rest
  } = given
  parseAdapters(adapter)
  const hooks = loadHooks(context)
  const loaded = await loadLanguageModel({ model: where, task, revision, device, weights }, hooks)
  const chatting = {
    system,
    template,
    context: length,
    adapters: adapter,
    generation: rest as GenerationOptions,
    device,
  }
  const conversation = await chatWith(loaded, chatting, hooks)
  const { json, signal } = context
  const result: ChatResult = { model: where, answers: 0, newTokens: 0, faults: 0 }
  if (source.typed) {
    const others = conversation.adapterNames.length > 1 ? `, adapters ${conversation.adapterNames.join(', ')}` : ''
    context.log(`${where}${others}. /help lists the commands; Ctrl-D leaves.`)
  }
  let dropped = 0

  const answer = async () => {
    const stop = new AbortController()
    source.onInterrupt = () => {
      const first = !stop.signal.aborted
      stop.abort()
      return first
    }
    try {
      const reply = await conversation.answer(
        (text) => {
          if (!json) context.write(text)
        },
        AbortSignal.any([signal, stop.signal]),
      )
      result.answers++
      result.newTokens += reply.newTokens
      if (json) context.emit(reply)
      else {
        context.write('\n')
        if (reply.droppedMessages > dropped)
          context.log(`  The context is full: the first ${reply.droppedMessages} messages were dropped.`)
        context.log(describe(reply))
        const cut = describeCut(reply, chatting.generation.maxNewTokens)
        if (cut !== undefined) context.warn(cut)
      }
      dropped = reply.droppedMessages
    } finally {
      source.onInterrupt = () => false
    }
  }

  try {
    source.prompt()
    for await (const line of source) {
      if (signal.aborted) break
      try {
        if (line.trim() !== '') {
          const input = readLine(line, json)
          if ('command' in input) {
            const { text, answer: again, leave } = await runChatCommand(input.command, conversation)
            if (leave) break
            if (again) await answer()
            else if (json) context.emit({ command: input.command, text })
            else if (text !== undefined) context.log(text)
          } else {
            conversation.add(input)
            if (input.role === 'user') await answer()
          }
        }
      } catch (error) {
        if (signal.aborted || !(error instanceof TunesmithError || (error as NodeJS.ErrnoException).code !== undefined))
          throw error
        result.faults++
        if (json) context.emit({ error: (error as Error).message })
        else context.warn((error as Error).message)
      }
      source.prompt()
    }
  } finally {
    source.close()
  }
  return result
}

export const chat = defineCommand({
  name: 'chat',
  summary: 'Chat with a model; /help lists the commands',
  example: 'tunesmith chat --model runs/assistant --system "Answer in one sentence." --adapter medical=runs/medical',
  notes: [
    'Lines may come from a pipe: one message each. With --json they are {"role": "user", "content": "…"} or {"command": "reset"}, and each reply is a line of JSON with its rate in tokens per second.',
  ],
  options,
  run: (given, _args, context) => runChat(given, context, openChatInput(process.stdin, process.stdout, context.signal)),
  render: () => '',
  exitCode: ({ faults }) => (faults > 0 ? 1 : 0),
})
