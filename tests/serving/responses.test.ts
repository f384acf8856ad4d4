// `/v1/responses` by OpenAI's own client: the texts are those of `/v1/chat/completions`, whole or in events.
import type OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunningServer } from '../../src/serving/index.ts'
import { type ModelFolders, makeFolders, startServer } from './fixture.ts'

const template =
  '{% for message in messages %}{{ message.role }}: {{ message.content }}{% if message.tool_calls %}{{ message.tool_calls | tojson }}{% endif %}\n{% endfor %}{% if tools %}{{ tools | tojson }}\n{% endif %}{% if add_generation_prompt %}assistant: {% endif %}'

let folders: ModelFolders
let server: RunningServer
let client: OpenAI

beforeAll(async () => {
  folders = await makeFolders({ chatTemplate: template, maxPositions: 2048 })
  ;({ server, client } = await startServer({ model: folders.base }))
})
afterAll(async () => {
  await server.close()
  folders.remove()
})

type Request = Omit<OpenAI.Responses.ResponseCreateParamsNonStreaming, 'model'>
const respond = (more: Request & { seed?: number }) => client.responses.create({ model: 'base', ...more })
const sail = {
  type: 'function' as const,
  name: 'sail',
  parameters: { type: 'object', properties: { to: { enum: ['Rome', 'Oslo'] } }, required: ['to'] },
  strict: null,
}

describe('/v1/responses', () => {
  it('writes the text of a chat with the same messages and seed', async () => {
    const response = await respond({ instructions: 'Be brief.', input: 'Who sails?', max_output_tokens: 12, seed: 4 })
    const { choices, usage } = await client.chat.completions.create({
      model: 'base',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Who sails?' },
      ],
      max_tokens: 12,
      seed: 4,
    })
    expect(response.output_text).toBe(choices[0].message.content)
    expect(response.usage).toMatchObject({
      input_tokens: usage?.prompt_tokens,
      output_tokens: usage?.completion_tokens,
    })
    expect(response).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } })
  })

  it('sends in events what it answers whole, in the order that the client builds a response from', async () => {
    const request = { input: 'Who sails?', max_output_tokens: 16, seed: 2, temperature: 1.2 }
    const whole = await respond(request)
    const options = { stream_options: { include_obfuscation: false } }
    const stream = client.responses.stream({ model: 'base', ...request, ...options } as never)
    const kinds: string[] = []
    let text = ''
    const numbers: number[] = []
    for await (const event of stream as never as AsyncIterable<OpenAI.Responses.ResponseStreamEvent>) {
      if (kinds.at(-1) !== event.type) kinds.push(event.type)
      numbers.push(event.sequence_number)
      if (event.type === 'response.output_text.delta') text += event.delta
    }
    expect(text).toBe(whole.output_text)
    expect(numbers).toEqual(numbers.map((_, i) => i))
    expect(kinds).toEqual([
      ...['response.created', 'response.in_progress', 'response.output_item.added', 'response.content_part.added'],
      ...['response.output_text.delta', 'response.output_text.done', 'response.content_part.done'],
      ...['response.output_item.done', 'response.incomplete'],
    ])
    expect((await stream.finalResponse()).output_text).toBe(whole.output_text)
  })

  it('takes a whole conversation, with what it answered before and the results of functions', async () => {
    const first = await respond({ input: 'Where to?', tools: [sail], tool_choice: 'required', seed: 3 })
    const [call] = first.output
    expect(call).toMatchObject({ type: 'function_call', name: 'sail', status: 'completed' })
    if (call.type !== 'function_call') throw new Error('Expected a call.')
    expect(['Rome', 'Oslo']).toContain((JSON.parse(call.arguments) as { to: string }).to)
    const said = await respond({ input: 'Hello', max_output_tokens: 4, seed: 1 })
    const request = {
      input: [
        { role: 'user' as const, content: [{ type: 'input_text' as const, text: 'Where to?' }] },
        ...said.output,
        call,
        { type: 'function_call_output' as const, call_id: call.call_id, output: 'sailed' },
      ] as OpenAI.Responses.ResponseInput,
      max_output_tokens: 4,
      seed: 1,
    }
    const { choices, usage } = await client.chat.completions.create({
      model: 'base',
      messages: [
        { role: 'user', content: 'Where to?' },
        {
          role: 'assistant',
          content: said.output_text,
          tool_calls: [{ id: call.call_id, type: 'function', function: { name: 'sail', arguments: call.arguments } }],
        },
        { role: 'tool', tool_call_id: call.call_id, content: 'sailed' },
      ],
      max_tokens: 4,
      seed: 1,
    })
    const response = await respond(request)
    expect(response.output_text).toBe(choices[0].message.content)
    expect(response.usage?.input_tokens).toBe(usage?.prompt_tokens)
  })

  it('calls one of the allowed functions', async () => {
    const rest = { type: 'function' as const, name: 'rest', parameters: { type: 'object' as const }, strict: null }
    const choice = { type: 'allowed_tools' as const, mode: 'required' as const }
    const { output } = await respond({
      ...{ input: 'Where to?', tools: [rest, sail], seed: 1 },
      tool_choice: { ...choice, tools: [{ type: 'function', name: 'sail' }] },
    })
    expect(output).toMatchObject([{ type: 'function_call', name: 'sail' }])
  })

  it('sends a call in events', async () => {
    const stream = await client.responses.create({
      ...{ model: 'base', input: 'Where to?', tools: [sail], tool_choice: { type: 'function', name: 'sail' } },
      stream: true,
    })
    const kinds: string[] = []
    for await (const event of stream) kinds.push(event.type)
    expect(kinds.slice(2)).toEqual([
      ...['response.output_item.added', 'response.function_call_arguments.delta'],
      ...['response.function_call_arguments.done', 'response.output_item.done', 'response.completed'],
    ])
  })

  it('holds JSON of a schema, and gives log-probabilities when they are included', async () => {
    const schema = {
      ...{ type: 'object', properties: { storm: { type: 'boolean' } } },
      ...{ required: ['storm'], additionalProperties: false },
    }
    const { output_text: text } = await respond({
      input: 'Is there a storm?',
      text: { format: { type: 'json_schema', name: 'x', schema } },
      seed: 5,
    })
    expect(typeof (JSON.parse(text) as { storm: boolean }).storm).toBe('boolean')
    const { output } = await respond({
      ...{ input: 'Who sails?', max_output_tokens: 3, include: ['message.output_text.logprobs'], top_logprobs: 2 },
    })
    expect(output[0]).toMatchObject({ content: [{ logprobs: [{ top_logprobs: [{}, {}] }, {}, {}] }] })
  })

  it('refuses what it cannot do, by name', async () => {
    const refused = (more: object) => expect(respond({ input: 'x', ...more } as never)).rejects
    await refused({ previous_response_id: 'resp_1' }).toThrow(/not stored/)
    await refused({ store: true }).toMatchObject({ status: 400, param: 'store' })
    await refused({ background: true }).toThrow(/background/)
    await refused({ tools: [{ type: 'web_search' }] }).toMatchObject({ status: 400 })
    await refused({ max_tokens: 4 }).toThrow(/max_output_tokens|max_tokens/)
    await refused({ stream_options: { include_obfuscation: true } }).toThrow(/got true\. Events are never padded/)
    await refused({ stream_options: { include_usage: true } }).toThrow(/unknown key `include_usage`/)
    await refused({ input: '' }).toMatchObject({ status: 400 })
    await refused({ top_logprobs: 2 }).toThrow(/needs "message.output_text.logprobs" in `include`/)
    await refused({ parallel_tool_calls: false }).toThrow(/needs `tools`/)
  })
})
