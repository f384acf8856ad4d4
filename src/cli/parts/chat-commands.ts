// The slash commands of `tunesmith chat`, one entry each.
import { appendFile } from 'node:fs/promises'
import { ConfigError, didYouMean } from '../../core/index.ts'
import type { Conversation } from '../../inference/index.ts'

export interface CommandOutcome {
  /** Text to show. */
  text?: string
  /** Whether to reply to the last message again. */
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
    does: 'switch to this adapter, or list the adapters',
    run(name, conversation) {
      if (name !== '') conversation.useAdapter(name)
      const { adapter, adapterNames } = conversation
      return { text: adapterNames.map((one) => (one === adapter ? `[${one}]` : one)).join(' ') }
    },
  },
  system: {
    usage: '/system [TEXT]',
    does: 'set the system prompt from the next reply on; `/system -` removes it',
    run(text, conversation) {
      if (text !== '') conversation.system = text === '-' ? undefined : text
      return { text: conversation.system ?? '(no system prompt)' }
    },
  },
  reset: {
    usage: '/reset',
    does: 'remove all messages',
    run(_, conversation) {
      conversation.reset()
      return { text: 'All messages removed.' }
    },
  },
  retry: {
    usage: '/retry',
    does: 'reply to the last message again (another reply with --sample)',
    run(_, conversation) {
      conversation.removeLastReply()
      return { answer: true }
    },
  },
  save: {
    usage: '/save FILE',
    does: 'append the conversation to a JSON lines file that `finetune --task instructions` reads',
    async run(file, conversation) {
      if (file === '') throw new ConfigError('`/save` needs a file: write `/save FILE`.')
      if (conversation.messages.length === 0)
        throw new ConfigError('`/save` needs at least one message: write one first.')
      await appendFile(file, `${JSON.stringify({ messages: conversation.messages })}\n`)
      return { text: `${conversation.messages.length} messages appended to ${file}` }
    },
  },
  help: {
    usage: '/help',
    does: 'show this list',
    run: () => ({ text: chatHelp() }),
  },
  quit: {
    usage: '/quit',
    does: 'leave, like Ctrl-D; Ctrl-C stops a reply, and leaves when none is being written',
    run: () => ({ leave: true }),
  },
}

const chatHelp = (): string => {
  const width = Math.max(...Object.values(commands).map(({ usage }) => usage.length))
  return [
    ...Object.values(commands).map(({ usage, does }) => `  ${usage.padEnd(width)}  ${does}`),
    '  A line that ends in \\ continues on the next one; //TEXT sends a message that begins with a slash.',
  ].join('\n')
}

/** Runs one slash command. @throws ConfigError for an unknown command, or one that is not possible now */
export const runChatCommand = async (line: string, conversation: Conversation): Promise<CommandOutcome> => {
  const [, typed, rest] = /^\/?(\S*)\s*(.*)$/s.exec(line) ?? []
  // What other programs call it.
  const name = typed === 'exit' || typed === 'bye' ? 'quit' : typed
  const names = Object.keys(commands)
  if (!Object.hasOwn(commands, name))
    throw new ConfigError(
      `Expected one of ${names.map((one) => `/${one}`).join(', ')}, got "/${name}".${didYouMean(name, names)}`,
    )
  return commands[name].run(rest.trim(), conversation)
}
