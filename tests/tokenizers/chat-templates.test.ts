// Chat templates render as in transformers: 200 conversations with tools, by templates in the formats of Llama 3, Qwen 2.5 and 3, Gemma and
// Mistral, by one with the rest of Jinja's features, and by our presets. Expected texts and errors are from make_chat_golden.py.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { renderWithSpans } from '../../src/tokenizers/chat/spans.ts'
import { renderChat } from '../../src/tokenizers/index.ts'
import { chatTemplates, type GoldenChat, goldenChats } from './chat-conversations.ts'

const golden = JSON.parse(
  gunzipSync(readFileSync(join(import.meta.dirname, 'fixtures', 'chats.json.gz'))).toString(),
) as { hashes: Record<string, string[]>; whole: Record<string, string[]> }
const chats = goldenChats()

const rendered = (template: string, { messages, variables }: GoldenChat): string => {
  const { add_generation_prompt: addGenerationPrompt, ...others } = variables
  try {
    return renderChat(messages, {
      template,
      addGenerationPrompt: addGenerationPrompt === true,
      variables: { ...others, bos_token: '<s>', eos_token: '</s>' },
    })
  } catch (error) {
    return `!${(error as Error).message}`
  }
}

/** As the fixture has it: the beginning of a hash, or the reason of an error, which ours says in a sentence of its own. */
const shown = (text: string, expected: string): string => {
  if (!text.startsWith('!')) return createHash('sha256').update(text).digest('hex').slice(0, 12)
  return expected.startsWith('!') && text.includes(expected.slice(1)) ? expected : text
}

describe('chat templates', () => {
  it('of the fixture are those of the folder and the presets', () => {
    expect(Object.keys(golden.hashes).sort()).toEqual(Object.keys(chatTemplates()).sort())
  })

  it.each(Object.entries(chatTemplates()))(
    'write the texts and give the errors of transformers: %s',
    (name, template) => {
      const texts = chats.map((chat) => rendered(template, chat))
      expect(texts.slice(0, 3).map((text, i) => (text.startsWith('!') ? golden.whole[name][i] : text))).toEqual(
        golden.whole[name],
      )
      expect(texts.map((text, i) => shown(text, golden.hashes[name][i]))).toEqual(golden.hashes[name])
    },
  )

  const ends = { qwen2: '<|im_end|>', qwen3: '<|im_end|>', chatml: '<|im_end|>', llama: '<|eot_id|>' }
  it.each(Object.entries(ends))('show where each answer is, with its calls and reasoning: %s', (name, end) => {
    const template = chatTemplates()[name]
    let count = 0
    for (const [i, chat] of chats.entries()) {
      const isPlain = chat.messages.every(({ role, content }) => role !== 'narrator' && typeof content === 'string')
      if (golden.hashes[name][i].startsWith('!') || !isPlain || chat.variables.builtin_tools !== undefined) continue
      const { bos_token, eos_token, ...variables } = { bos_token: '<s>', eos_token: '</s>', ...chat.variables }
      const options = { template, variables: { ...variables, bos_token, eos_token } }
      // An answer that has the end token in its text would end early.
      const { text, spans } = renderWithSpans(chat.messages, options, [end, '</s>'])
      const answers = chat.messages.filter(({ role }) => role === 'assistant')
      expect(spans).toHaveLength(answers.length)
      for (const [at, [start, stop]] of spans.entries()) {
        const answer = text.slice(start, stop)
        expect(answer.endsWith(end) && !/<\|(im_start|start_header_id)\|>/.test(answer)).toBe(true)
        const { content, tool_calls: calls } = answers[at] as unknown as {
          content: string
          tool_calls?: { function: { name: string } }[]
        }
        if (calls !== undefined) expect(answer).toContain(calls[0].function.name)
        else expect(answer).toContain(content.split('</think>').at(-1)?.trim())
        count++
      }
    }
    expect(count).toBeGreaterThan(100)
  })
})
