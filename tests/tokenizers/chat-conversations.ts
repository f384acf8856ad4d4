// 200 conversations with tools, calls, results, reasoning and odd texts, the same on each machine, and the templates that they are
// rendered with: for chat-templates.test.ts, and for make_chat_golden.py through `node --import tsx` on this file.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createRandom, type Random } from '../../src/core/index.ts'
import { CHAT_TEMPLATES } from '../../src/tokenizers/index.ts'

const folder = join(import.meta.dirname, 'chat-templates')

/** Templates by name: those of the folder, and our presets. */
export const chatTemplates = (): Record<string, string> => ({
  ...Object.fromEntries(
    readdirSync(folder)
      .filter((name) => name.endsWith('.jinja'))
      .map((name) => [name.slice(0, -6), readFileSync(join(folder, name), 'utf8')]),
  ),
  ...CHAT_TEMPLATES,
})

/** What a conversation is rendered with. */
export interface GoldenChat {
  messages: { role: string; [field: string]: unknown }[]
  /** `tools`, `add_generation_prompt` and variables of some templates. */
  variables: Record<string, unknown>
}

const texts = [
  ...['Hello?', '  spaces around  ', 'two\n\nlines\n', '', '\n', 'tab\tand "quotes" and \'single\'', 'back\\slash'],
  ...['Größe 日本語 🙂 \u00a0x', '<b>&amp;</b>', '{{ not a template }} {% if %}', '</think>\n\nanswer', 'STOP here'],
  ...[
    '<think>\nhm\n</think>\n\nYes.',
    '<tool_response>\nx\n</tool_response>',
    'skip me',
    'end \u2028 \u007f \u0001',
    '100 %',
  ],
]
const values: unknown[] = [
  ...['x', 'é"\n', '', 0, 1, -3, 2.5, 1e-7, 1.5e300, 123456789012, true, false, null, [], {}, [1, [2, 'a']]],
  { a: { b: [null, 1.25] }, 'key with "quotes"': 'v' },
]
const schemas: unknown[] = [
  { type: 'object', properties: { city: { type: 'string', description: 'City & country' } }, required: ['city'] },
  {
    type: 'object',
    properties: { n: { type: 'integer', default: 1 }, items: { type: 'array', items: { type: 'number' } } },
  },
  { type: 'object', properties: {} },
  {
    type: 'object',
    properties: { Unit: { enum: ['c', 'f', 1] }, any: { type: ['string', 'null'] }, keys: { type: 'boolean' } },
  },
]

const pick = <Value>(random: Random, list: readonly Value[]): Value => list[random.integer(list.length)]
const chance = (random: Random, share: number): boolean => random.integer(1000) < 1000 * share

const makeTool = (random: Random, i: number) => ({
  type: 'function',
  function: {
    name: `tool_${i}`,
    ...(chance(random, 0.8) ? { description: pick(random, texts) } : {}),
    ...(chance(random, 0.9) ? { parameters: pick(random, schemas) } : {}),
    ...(chance(random, 0.2) ? { return: { type: 'string' } } : {}),
  },
})

const makeArguments = (random: Random) =>
  Object.fromEntries(['a', 'b', 'items', 'Z'].slice(0, random.integer(5)).map((key) => [key, pick(random, values)]))

const makeCall = (random: Random, id: string) => ({
  ...(chance(random, 0.95) ? { id } : {}),
  type: 'function',
  function: {
    name: pick(random, ['tool_0', 'tool_1', 'search']),
    arguments: chance(random, 0.1) ? JSON.stringify(makeArguments(random)) : makeArguments(random),
  },
})

/** A question and its answer, with calls of tools before it or not. */
const makeExchange = (random: Random, at: number): GoldenChat['messages'] => {
  const answer = {
    role: 'assistant',
    content: pick(random, texts),
    ...(chance(random, 0.3) ? { reasoning_content: pick(random, texts) } : {}),
  }
  const question = { role: 'user', content: pick(random, texts) }
  if (chance(random, 0.5)) return [question, answer]
  const ids = Array.from({ length: 1 + random.integer(chance(random, 0.3) ? 3 : 1) }, (_, i) => `call${at}000${i}`)
  const content = pick(random, ['', null, 'Let me look.', undefined])
  const calls = {
    role: 'assistant',
    tool_calls: ids.map((id) => makeCall(random, id)),
    ...(content === undefined ? {} : { content }),
  }
  const results = ids.map((id) => ({ role: 'tool', name: 'tool_0', content: pick(random, texts), tool_call_id: id }))
  return [question, calls, ...results, ...(chance(random, 0.9) ? [answer] : [])]
}

const makeChat = (random: Random): GoldenChat => {
  const exchanges = Array.from({ length: 1 + random.integer(3) }, (_, at) => makeExchange(random, at))
  const messages = [
    ...(chance(random, 0.5) ? [{ role: 'system', content: pick(random, texts) }] : []),
    ...exchanges.flat(),
    ...(chance(random, 0.3) ? [{ role: 'user', content: pick(random, texts) }] : []),
    // What templates refuse or write in a way of their own.
    ...(chance(random, 0.05) ? [{ role: 'narrator', content: 'x' }] : []),
    ...(chance(random, 0.05) ? [{ role: 'user' }] : []),
    ...(chance(random, 0.05)
      ? [
          {
            role: 'user',
            content: [
              { type: 'text', text: ' part ' },
              { type: 'text', text: 'two' },
            ],
          },
        ]
      : []),
  ]
  return {
    messages,
    variables: {
      tools: chance(random, 0.75) ? Array.from({ length: 1 + random.integer(3) }, (_, i) => makeTool(random, i)) : null,
      add_generation_prompt: chance(random, 0.5),
      ...(chance(random, 0.2) ? { enable_thinking: false } : {}),
      ...(chance(random, 0.2) ? { builtin_tools: ['search', 'interpreter'] } : {}),
      ...(chance(random, 0.2) ? { date_string: '5 May 2025' } : {}),
    },
  }
}

/** The conversations, in order. */
export const goldenChats = (): GoldenChat[] => {
  const random = createRandom('chats')
  return Array.from({ length: 200 }, () => makeChat(random))
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  process.stdout.write(JSON.stringify({ templates: chatTemplates(), chats: goldenChats() }))
