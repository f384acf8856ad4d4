// Reasoning and calls of functions in answers, by OpenAI's own client: a scheduler that writes given texts stands in for the
// model's.
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { GenerationHandle, TextPiece } from '../../src/generation/index.ts'
import { createApp, Service } from '../../src/serving/index.ts'
import { type ModelFolders, makeFolders, toolTemplate } from './fixture.ts'

// As Qwen 3 and DeepSeek R1 do: reasoning of earlier answers is written, and the prompt may begin that of the next one.
const template = toolTemplate
  .replace(
    '{{ message.content }}',
    '{% if message.reasoning_content %}<think>{{ message.reasoning_content }}</think>{% endif %}{{ message.content }}',
  )
  .replace('assistant: {% endif %}', 'assistant: {% if begun %}<think>\n{% endif %}{% endif %}')

let folders: ModelFolders
let service: Service
let client: OpenAI
let text = ''

/** Writes the text, three characters a token. */
const write = (): GenerationHandle => {
  const parts: TextPiece[] = [...text.matchAll(/[\s\S]{1,3}/g)].map(([part]) => ({ text: part, id: 5 }))
  const pieces: TextPiece[] = [...parts, { text: '', id: undefined, finishReason: 'eos' }]
  return {
    reusedTokens: 0,
    result: Promise.reject(new Error('not read')),
    cancel: () => undefined,
    async *[Symbol.asyncIterator]() {
      yield* pieces
    },
  }
}

beforeAll(async () => {
  folders = await makeFolders({ chatTemplate: template, maxPositions: 1024 })
  service = await Service.open({ model: folders.base, name: 'base' })
  const { model, release } = service.models.acquire('base')
  const { scheduler } = model.engine
  if (scheduler === undefined) throw new Error('Expected a scheduler.')
  const handle = () => {
    const written = write()
    written.result.catch(() => undefined)
    return written
  }
  scheduler.submit = handle
  scheduler.submitGroup = () => [handle()]
  release()
  const app = createApp(service)
  client = new OpenAI({
    baseURL: 'http://127.0.0.1/v1',
    apiKey: 'none',
    maxRetries: 0,
    fetch: async (url, init) => app.request(url as string, init),
  })
})
afterAll(() => {
  service.close()
  folders.remove()
})

const messages = [{ role: 'user' as const, content: 'Who sails?' }]
const tools = [{ type: 'function' as const, function: { name: 'sail', parameters: { type: 'object' } } }]
const called = '<tool_call>\n{"name": "sail", "arguments": {"to": "Oslo"}}\n</tool_call>'

type Message = OpenAI.ChatCompletionMessage & { reasoning_content?: string }

const chat = async (more: object = {}) =>
  (await client.chat.completions.create({ model: 'base', messages, ...more } as never)) as OpenAI.ChatCompletion

describe('/v1/chat/completions', () => {
  it('gives reasoning, content and calls apart, the same in events as whole', async () => {
    text = `<think>\nWhere to?\n</think>\n\nAye!\n\n${called}`
    const { choices } = await chat({ tools })
    const message = choices[0].message as Message
    expect(message).toMatchObject({ reasoning_content: 'Where to?', content: 'Aye!' })
    expect(message.tool_calls?.map((call) => call.type === 'function' && call.function)).toEqual([
      { name: 'sail', arguments: '{"to":"Oslo"}' },
    ])
    expect(choices[0].finish_reason).toBe('tool_calls')

    const stream = client.chat.completions.stream({ model: 'base', messages, tools })
    const thoughts: string[] = []
    stream.on('chunk', ({ choices: [choice] }) => {
      thoughts.push((choice.delta as { reasoning_content?: string }).reasoning_content ?? '')
    })
    const last = await stream.finalChatCompletion()
    expect(thoughts.join('')).toBe('Where to?')
    expect(last.choices[0].message.content).toBe('Aye!')
    expect(last.choices[0].message.tool_calls).toMatchObject([{ function: { arguments: '{"to":"Oslo"}' } }])
    expect(last.choices[0].finish_reason).toBe('tool_calls')

    // The answer goes back in as it came.
    text = 'Aye.'
    const again = await chat({
      tools,
      messages: [...messages, message, { role: 'tool', tool_call_id: 'x', content: 'ok' }],
    })
    expect(again.choices[0].message.content).toBe('Aye.')
  })

  it('leaves tags where a grammar holds the answer, or no reasoning is begun', async () => {
    text = 'Hm.\n</think>\nAye!'
    const begun = await chat({ chat_template_kwargs: { begun: true } })
    expect(begun.choices[0].message).toMatchObject({ reasoning_content: 'Hm.', content: 'Aye!' })
    expect((await chat()).choices[0].message.content).toBe(text)
    text = '{"a": 1}'
    const held = await chat({ chat_template_kwargs: { begun: true }, response_format: { type: 'json_object' } })
    expect(held.choices[0].message).toEqual({ role: 'assistant', content: '{"a": 1}', refusal: null })
  })
})

describe('/v1/responses', () => {
  it('gives an item for reasoning, content and each call, the same in events as whole', async () => {
    text = `<think>\nWhere to?\n</think>\n\nAye!\n${called}\n${called}`
    const request = {
      model: 'base',
      input: 'Who sails?',
      tools: [{ type: 'function' as const, name: 'sail', parameters: { type: 'object' }, strict: null }],
    }
    const whole = await client.responses.create(request)
    const kinds = ({ output }: { output: readonly { type: string }[] }) => output.map(({ type }) => type)
    expect(kinds(whole)).toEqual(['reasoning', 'message', 'function_call', 'function_call'])
    expect(whole.output[0]).toMatchObject({ content: [{ type: 'reasoning_text', text: 'Where to?' }], summary: [] })
    expect(whole.output_text).toBe('Aye!')
    expect(whole.usage?.output_tokens_details.reasoning_tokens).toBeGreaterThan(3)

    const streamed = await client.responses.stream(request).finalResponse()
    expect(kinds(streamed)).toEqual(kinds(whole))
    expect(streamed.output_text).toBe('Aye!')

    text = 'Aye.'
    const input = [
      { role: 'user' as const, content: 'Who?' },
      ...(whole.output as OpenAI.Responses.ResponseInputItem[]),
    ]
    const again = await client.responses.create({ ...request, input })
    const plain = await client.responses.create({
      ...request,
      input: input.filter((item) => item.type !== 'reasoning'),
    })
    expect(again.output_text).toBe('Aye.')
    expect(again.usage?.input_tokens).toBeGreaterThan(plain.usage?.input_tokens ?? 0)
  })
})
