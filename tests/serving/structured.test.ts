// Structured output and tools with a random model, which would never write JSON by itself; and adapters that come and go while
// requests run.
import { cpSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunningServer } from '../../src/serving/index.ts'
import { liveTensors } from '../../src/tensor/index.ts'
import { type ModelFolders, makeFolders, startServer, toolTemplate } from './fixture.ts'

let folders: ModelFolders
let server: RunningServer
let client: OpenAI

beforeAll(async () => {
  folders = await makeFolders({ chatTemplate: toolTemplate, maxPositions: 2048 })
  mkdirSync(join(folders.folder, 'adapters'))
  for (const name of ['low', 'other'])
    cpSync(folders[name as 'low'], join(folders.folder, 'adapters', name), { recursive: true })
  symlinkSync(folders.base, join(folders.folder, 'adapters', 'outside'))
  ;({ server, client } = await startServer({
    model: folders.base,
    adapterFolder: join(folders.folder, 'adapters'),
    prefixCacheBytes: 1e7,
  }))
})
afterAll(async () => {
  await server.close()
  folders.remove()
})

const messages = [{ role: 'user' as const, content: 'Who sails?' }]
const chat = (more: object) =>
  client.chat.completions.create({
    model: 'base',
    messages,
    max_tokens: 400,
    ...more,
  } as never) as never as Promise<OpenAI.ChatCompletion>

const schema = {
  type: 'object',
  properties: {
    ship: { type: 'string', maxLength: 6 },
    crew: { type: 'array', items: { type: 'integer' }, maxItems: 2 },
    storm: { type: 'boolean' },
  },
  required: ['ship', 'crew', 'storm'],
  additionalProperties: false,
}
const format = (given: object) => ({
  response_format: { type: 'json_schema', json_schema: { name: 'x', schema: given } },
})

describe('response_format', () => {
  it('makes every text valid by its schema, streamed or not, alone or in a crowd', async () => {
    const request = (seed: number) => ({ ...format(schema), seed, temperature: 1.5 })
    const alone = []
    for (let seed = 0; seed < 4; seed++) alone.push((await chat(request(seed))).choices[0])
    const crowd = await Promise.all([0, 1, 2, 3].map(async (seed) => (await chat(request(seed))).choices[0]))
    expect(crowd).toEqual(alone)
    for (const { message, finish_reason: reason } of alone) {
      expect(reason).toBe('stop')
      const value = JSON.parse(message.content ?? '') as { ship: string; crew: number[]; storm: boolean }
      expect(Object.keys(value)).toEqual(['ship', 'crew', 'storm'])
      expect(value.ship.length).toBeLessThanOrEqual(12)
      expect(value.crew.every(Number.isInteger) && value.crew.length <= 2).toBe(true)
      expect(typeof value.storm).toBe('boolean')
    }
    expect(new Set(alone.map(({ message }) => message.content)).size).toBeGreaterThan(1)
  })

  it('takes any object, and refuses a schema that is impossible or cannot be held', async () => {
    const { choices } = await chat({
      response_format: { type: 'json_object' },
      temperature: 0,
      logit_bias: {},
      max_tokens: 5,
    })
    expect(choices[0].message.content).toMatch(/^\{/)
    await expect(
      chat(format({ type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] })),
    ).rejects.toMatchObject({ status: 400, code: 'invalid_schema' })
    await expect(chat(format({ type: 'string', pattern: '(x)\\1' }))).rejects.toThrow(/pattern/)
    const dated = { type: 'object', properties: { day: { type: 'string', format: 'date' } }, required: ['day'] }
    const [{ message }] = (await chat({ ...format(dated), temperature: 1.5, seed: 1 })).choices
    expect(message.content).toMatch(/"\d{4}-\d\d-\d\d"/)
    expect((await chat({ max_tokens: 1 })).choices).toHaveLength(1)
  })
})

const tools = [
  {
    type: 'function',
    function: {
      name: 'sail',
      description: 'Sails.',
      parameters: { type: 'object', properties: { to: { enum: ['Rome', 'Oslo'] } }, required: ['to'] },
    },
  },
  { type: 'function', function: { name: 'rest' } },
]

describe('tools', () => {
  it('are called with valid arguments where a call is required, streamed or not', async () => {
    const given = { tools, tool_choice: { type: 'function', function: { name: 'sail' } }, seed: 3 }
    const { choices } = await chat(given)
    const [call] = choices[0].message.tool_calls as { id: string; function: { name: string; arguments: string } }[]
    expect(choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } })
    expect(call.function.name).toBe('sail')
    expect(['Rome', 'Oslo']).toContain((JSON.parse(call.function.arguments) as { to: string }).to)
    const stream = (await client.chat.completions.create({
      model: 'base',
      messages,
      max_tokens: 400,
      ...given,
      stream: true,
    } as never)) as never as AsyncIterable<OpenAI.ChatCompletionChunk>
    const deltas = []
    let reason: string | null = null
    for await (const {
      choices: [choice],
    } of stream) {
      deltas.push(...(choice.delta.tool_calls ?? []))
      reason = choice.finish_reason ?? reason
    }
    expect(deltas.map((delta) => delta.function)).toEqual([call.function])
    expect(reason).toBe('tool_calls')
    const any = await chat({ tools, tool_choice: 'required', temperature: 1.5, seed: 1 })
    expect(any.choices[0].message.tool_calls).toHaveLength(1)
    const rest = { mode: 'required', tools: [{ type: 'function', function: { name: 'rest' } }] }
    const some = await chat({ tools, tool_choice: { type: 'allowed_tools', allowed_tools: rest }, seed: 1 })
    expect(some.choices[0].message.tool_calls).toMatchObject([{ function: { name: 'rest', arguments: '{}' } }])
    // The answer of the tool goes back in.
    const again = await chat({
      tools,
      max_tokens: 4,
      messages: [...messages, choices[0].message, { role: 'tool', tool_call_id: call.id, content: 'done' }],
    })
    expect(again.usage?.prompt_tokens).toBeGreaterThan(20)
  })

  it('come back as OpenAI and its clients give them', async () => {
    const call = {
      id: 'call_1',
      type: 'function',
      function: { name: 'rest', arguments: '', parsed_arguments: {} },
    }
    const answer = { role: 'assistant', content: null, tool_calls: [call], annotations: [], audio: null, parsed: null }
    const request = (more: object) =>
      chat({
        max_tokens: 1,
        messages: [...messages, { ...answer, ...more }, { role: 'tool', tool_call_id: 'call_1', content: 'done' }],
      })
    const plain = await request({})
    const thinking = await request({ reasoning_content: 'Hm.', function_call: null, refusal: null })
    expect(thinking.usage?.prompt_tokens).toBe(plain.usage?.prompt_tokens)
    await expect(request({ thoughts: 'Hm.' })).rejects.toThrow(/thoughts/)
  })

  it('are text where the model writes none, and refused where they do not fit', async () => {
    const { choices } = await chat({ tools, max_tokens: 8, temperature: 0 })
    const plain = await chat({ tools, tool_choice: 'none', max_tokens: 8, temperature: 0 })
    expect(choices[0].message.tool_calls).toBeUndefined()
    expect(choices[0].message.content).not.toBe(plain.choices[0].message.content)
    await expect(chat({ tool_choice: 'required' })).rejects.toMatchObject({ status: 400, param: 'tool_choice' })
    await expect(chat({ tools, tool_choice: { type: 'function', function: { name: 'fly' } } })).rejects.toThrow(
      /sail, rest.*got fly/,
    )
    const unknown = { mode: 'auto', tools: [{ type: 'function', function: { name: 'fly' } }] }
    await expect(chat({ tools, tool_choice: { type: 'allowed_tools', allowed_tools: unknown } })).rejects.toThrow(
      /got fly/,
    )
    await expect(chat({ tools: [tools[0], tools[0]] })).rejects.toThrow(/twice/)
  })
})

/** Tensors that are still in use: those of loading are dropped by the collector. */
const tensorsAfterCollection = async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let i = 0; i < 3; i++) {
    collect()
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return liveTensors()
}

const post = async (path: string, body: object) => {
  const response = await fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return { status: response.status, body: (await response.json()) as { error?: { code: string; message: string } } }
}

describe('adapters', () => {
  const text = async (model: string) =>
    (
      await client.completions.create({
        model,
        prompt: 'The ship sailed on and the captain',
        max_tokens: 6,
        temperature: 0,
      })
    ).choices[0].text

  it('are loaded, replaced and removed while requests run, and none answers for another', async () => {
    const load = (name: string, path: string) => post('/v1/load_lora_adapter', { lora_name: name, lora_path: path })
    expect((await load('pet', 'low')).status).toBe(200)
    const low = await text('pet')
    const taken = await post('/v1/load_lora_adapter', { lora_name: 'pet', lora_path: 'other', load_inplace: false })
    expect([taken.status, taken.body.error?.code]).toEqual([400, 'adapter_exists'])
    expect(await text('pet')).toBe(low)
    expect((await load('pet', 'other')).status).toBe(200)
    const other = await text('pet')
    expect(new Set([low, other, await text('base')]).size).toBe(3)
    const before = await tensorsAfterCollection()
    let stop = false
    const answers: string[] = []
    const clients = Array.from({ length: 2 }, async () => {
      while (!stop) answers.push(await text('pet'))
    })
    for (let i = 0; i < 4; i++) expect((await load('pet', i % 2 === 0 ? 'low' : 'other')).status).toBe(200)
    stop = true
    await Promise.all(clients)
    expect([...new Set(answers)].every((one) => one === low || one === other)).toBe(true)
    expect(await text('pet')).toBe(other)
    expect(await text('pet')).toBe(other)
    expect(await tensorsAfterCollection()).toBeLessThan(before + 20)
    expect((await post('/v1/unload_lora_adapter', { lora_name: 'pet' })).status).toBe(200)
    await expect(text('pet')).rejects.toMatchObject({ status: 404 })
  })

  it('outside the folder, under other names or without files are refused', async () => {
    const refused = async (name: string, path: string) => {
      const { status, body } = await post('/v1/load_lora_adapter', { lora_name: name, lora_path: path })
      expect(JSON.stringify(body)).not.toContain(folders.folder)
      return [status, body.error?.code ?? null]
    }
    expect(await refused('x', '../low')).toEqual([400, 'path_not_allowed'])
    expect(await refused('x', 'outside')).toEqual([400, 'path_not_allowed'])
    expect(await refused('x', folders.low)).toEqual([400, 'path_not_allowed'])
    expect(await refused('x', 'nothing')).toEqual([400, 'path_not_allowed'])
    expect((await refused('../x', 'low'))[0]).toBe(400)
    expect((await refused('base', 'low'))[0]).toBe(400)
    rmSync(join(folders.folder, 'adapters', 'low', 'adapter_model.safetensors'))
    expect(await refused('x', 'low')).toEqual([400, 'adapter_not_loaded'])
    expect((await post('/v1/unload_lora_adapter', { lora_name: 'base' })).status).toBe(400)
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['base'])
  })
})

describe('contents that are no text', () => {
  it('are refused by name', async () => {
    const image = { type: 'image_url', image_url: { url: 'data:,' } }
    const content = [{ type: 'text', text: 'Who?' }, image]
    await expect(chat({ messages: [{ role: 'user', content }] })).rejects.toMatchObject({
      status: 400,
      code: 'unsupported_content',
      param: 'messages[0].content[1].type',
      message: expect.stringMatching(/is of the type image_url: this server reads text only/),
    })
    const audio = { type: 'input_audio', input_audio: { data: '', format: 'wav' } }
    await expect(chat({ messages: [{ role: 'user', content: [audio] }] })).rejects.toThrow(/the type input_audio/)
    const input = [{ role: 'user' as const, content: [{ type: 'input_image' as const, detail: 'auto' as const }] }]
    await expect(client.responses.create({ model: 'base', input })).rejects.toThrow(
      /`input\[0\].content\[0\]` is of the type input_image/,
    )
  })
})

describe('variables of the template', () => {
  const post = async (path: string, body: object) => {
    const response = await fetch(`${server.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'base', messages, ...body }),
    })
    return (await response.json()) as { prompt: string; count: number; error?: { message: string } }
  }

  it('are those of the request, which shows and counts the prompt with its tools', async () => {
    const [plain, withTools] = [await post('/apply-template', {}), await post('/apply-template', { tools })]
    expect(plain.prompt).not.toContain('Sails.')
    expect(withTools.prompt).toContain('Sails.')
    const { usage } = await chat({ tools, max_tokens: 1, chat_template_kwargs: { enable_thinking: false } })
    expect((await post('/tokenize', { tools })).count).toBe(usage?.prompt_tokens)
    await expect(chat({ chat_template_kwargs: { messages: [] } })).rejects.toThrow(/got `messages`, which comes from/)
    const { error } = await post('/tokenize', { messages: undefined, prompt: 'x', tools })
    expect(error?.message).toMatch(/an effect beside `messages` only/)
  })
})
