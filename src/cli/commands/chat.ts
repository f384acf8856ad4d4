// `tunesmith chat`: a conversation with a model in the terminal, or line by line with a program. Knows no architecture.
import { z } from 'zod'
import { ConfigError, formatDuration, show, TunesmithError } from '../../core/index.ts'
import { type GenerationOptions, generationSchema, withDefaults } from '../../generation/index.ts'
import { contextLength, type Model } from '../../models/index.ts'
import { CHAT_TEMPLATES } from '../../tokenizers/index.ts'
import { type CommandContext, defineCommand } from '../command.ts'
import { withFields, withoutDefaults } from '../flags.ts'
import { runChatCommand } from '../parts/chat-commands.ts'
import { type ChatInput, openChatInput } from '../parts/chat-input.ts'
import { type ChatAnswer, Conversation } from '../parts/conversation.ts'
import { generationDefaults } from '../parts/generation-defaults.ts'
import { AdapterChoice, parseAdapters } from '../parts/named-adapters.ts'
import { modelFields, openLanguageModel } from '../parts/open-model.ts'

const {
  noRepeatNgramSize,
  numBeams: _,
  numReturnSequences: __,
  lengthPenalty: ___,
  earlyStopping: ____,
  ...settings
} = withoutDefaults(generationSchema, "the model's own default")

const options = withFields(
  z.strictObject({
    ...modelFields,
    system: z.string().optional().describe('what the model is told beforehand'),
    template: z
      .string()
      .optional()
      .describe(
        `how messages are written: ${Object.keys(CHAT_TEMPLATES).join(', ')}, or Jinja source; the model's own unless given`,
      ),
    context: z
      .int()
      .positive()
      .optional()
      .describe('tokens that the model sees at most, its answer included; as many as it was trained with unless given'),
    adapter: z
      .array(z.string())
      .default([])
      .describe('an adapter for this model as NAME=FOLDER, to switch to by /adapter; the first one answers first')
      .meta({ commas: false }),
  }),
  { ...settings, noRepeatNgramSize: noRepeatNgramSize.meta({ flag: 'unique-ngram-size' }) },
)
type Options = z.output<typeof options>

export interface ChatResult {
  model: string
  answers: number
  newTokens: number
  /** Lines that could not be done. */
  faults: number
}

/** What a line asks for. @throws ConfigError for a line of JSON that is none of these */
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
  keptTokens,
  secondsToFirst,
  finishReason,
}: ChatAnswer) => {
  const kept = keptTokens === 0 ? '' : `, ${keptTokens} of them kept`
  return `  ${newTokens} tokens, ${tokensPerSecond.toFixed(1)} a second; prompt of ${promptTokens} tokens${kept}, ${formatDuration(secondsToFirst * 1000)}; ended by ${finishReason}`
}

/** Rotary positions have no end, but what lies beyond the trained ones is guesswork. @throws ConfigError for more than there are */
const contextOf = (model: Model, asked: number | undefined): number | undefined => {
  const { maxPositions } = model.facts
  if (asked !== undefined && maxPositions !== undefined && asked > maxPositions)
    throw new ConfigError(
      `Expected at most ${maxPositions} for \`--context\`, all that the model has positions for, got ${asked}.`,
    )
  return asked ?? contextLength(model)
}

/** The chat itself, with lines from anywhere. */
export const runChat = async (given: Options, context: CommandContext, source: ChatInput): Promise<ChatResult> => {
  const { model: where, revision, device, system, template, adapter, context: length, ...rest } = given
  const adapters = parseAdapters(adapter)
  const ready = await openLanguageModel({ model: where, revision, device }, context)
  if (!ready.model.facts.causal)
    throw new ConfigError(
      `Expected a model that reads and writes in one text for \`chat\`, got ${ready.model.definition.type}. Use \`generate\` for one with an encoder and a decoder.`,
    )
  const choice = await AdapterChoice.open(ready, adapters, device, context)
  const conversation = new Conversation(ready.model, choice, {
    template,
    system,
    context: contextOf(ready.model, length),
    settings: withDefaults(await generationDefaults(ready), rest as GenerationOptions),
  })
  const { json, signal } = context
  const result: ChatResult = { model: where, answers: 0, newTokens: 0, faults: 0 }
  if (source.typed) {
    const others = conversation.adapterNames.length > 1 ? `, adapters ${conversation.adapterNames.join(', ')}` : ''
    context.log(`${where}${others}. /help says what there is; Ctrl-D leaves.`)
  }
  let forgotten = 0

  const answer = async () => {
    const stop = new AbortController()
    source.onInterrupt = () => {
      const first = !stop.signal.aborted
      stop.abort()
      return first
    }
    try {
      const said = await conversation.answer(
        (text) => {
          if (!json) context.write(text)
        },
        AbortSignal.any([signal, stop.signal]),
      )
      result.answers++
      result.newTokens += said.newTokens
      if (json) context.emit(said)
      else {
        context.write('\n')
        if (said.forgottenMessages > forgotten)
          context.log(
            `  The model has no room for more: the first ${said.forgottenMessages} messages are out of its sight.`,
          )
        context.log(describe(said))
      }
      forgotten = said.forgottenMessages
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
          const asked = readLine(line, json)
          if ('command' in asked) {
            const { text, answer: again, leave } = await runChatCommand(asked.command, conversation)
            if (leave) break
            if (again) await answer()
            else if (json) context.emit({ command: asked.command, text })
            else if (text !== undefined) context.log(text)
          } else {
            conversation.add(asked)
            if (asked.role === 'user') await answer()
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
  summary: 'Talk with a model, its answers as they come; /help says what else there is',
  example: 'tunesmith chat --model runs/assistant --system "Answer in one sentence." --adapter medical=runs/medical',
  notes: [
    'Lines may come from a pipe: one message each. With --json they are {"role": "user", "content": "…"} or {"command": "reset"},',
    'and each answer is a line of JSON with its tokens a second.',
  ],
  options,
  run: (given, _args, context) => runChat(given, context, openChatInput(process.stdin, process.stdout, context.signal)),
  render: () => '',
  exitCode: ({ faults }) => (faults > 0 ? 1 : 0),
})
