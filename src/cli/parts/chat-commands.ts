// What a line of a chat asks for beside an answer: lines that begin with a slash. Each command is an entry here.
import { appendFile } from 'node:fs/promises'
import { ConfigError, didYouMean } from '../../core/index.ts'
import type { Conversation } from './conversation.ts'

export interface CommandOutcome {
  /** What a person is told. */
  text?: string
  /** Whether the last message is to be answered again. */
  answer?: boolean
  /** Whether the chat ends. */
  leave?: boolean
}

interface ChatCommand {
  usage: string
  does: string
  run(rest: string, conversation: Conversation): CommandOutcome | Promise<CommandOutcome>
}

const commands: { readonly [name: string]: ChatCommand } = {
  adapter: {
    usage: '/adapter [NAME]',
    does: 'answer with this adapter, or say which there are',
    run(name, conversation) {
      if (name !== '') conversation.useAdapter(name)
      const { adapter, adapterNames } = conversation
      return { text: adapterNames.map((one) => (one === adapter ? `[${one}]` : one)).join(' ') }
    },
  },
  system: {
    usage: '/system [TEXT]',
    does: 'what the model is told beforehand, from the next answer on; `/system -` takes it away',
    run(text, conversation) {
      if (text !== '') conversation.system = text === '-' ? undefined : text
      return { text: conversation.system ?? '(nothing)' }
    },
  },
  reset: {
    usage: '/reset',
    does: 'forget what was said',
    run(_, conversation) {
      conversation.reset()
      return { text: 'What was said is forgotten.' }
    },
  },
  retry: {
    usage: '/retry',
    does: 'answer the last message again; with --sample otherwise',
    run(_, conversation) {
      conversation.takeBack()
      return { answer: true }
    },
  },
  save: {
    usage: '/save FILE',
    does: 'add the conversation to a file of JSON lines, which `finetune --task instructions` reads',
    async run(file, conversation) {
      if (file === '') throw new ConfigError('Expected a file after `/save`, got none.')
      if (conversation.messages.length === 0) throw new ConfigError('Expected something said before `/save`.')
      await appendFile(file, `${JSON.stringify({ messages: conversation.messages })}\n`)
      return { text: `${conversation.messages.length} messages added to ${file}` }
    },
  },
  help: {
    usage: '/help',
    does: 'say this',
    run: () => ({ text: chatHelp() }),
  },
  quit: {
    usage: '/quit',
    does: 'leave, as Ctrl-D does; Ctrl-C stops an answer, and leaves where there is none',
    run: () => ({ leave: true }),
  },
}

export const chatHelp = (): string => {
  const width = Math.max(...Object.values(commands).map(({ usage }) => usage.length))
  return [
    ...Object.values(commands).map(({ usage, does }) => `  ${usage.padEnd(width)}  ${does}`),
    '  A line that ends in \\ goes on in the next one; //TEXT is a message that begins with a slash.',
  ].join('\n')
}

/** @throws ConfigError for an unknown command, or one that cannot be done now */
export const runChatCommand = async (line: string, conversation: Conversation): Promise<CommandOutcome> => {
  const [, name, rest] = /^\/?(\S*)\s*(.*)$/s.exec(line) ?? []
  const names = Object.keys(commands)
  if (!Object.hasOwn(commands, name))
    throw new ConfigError(
      `Expected one of ${names.map((one) => `/${one}`).join(', ')}, got "/${name}".${didYouMean(name, names)}`,
    )
  return commands[name].run(rest.trim(), conversation)
}
