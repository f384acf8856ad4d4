// Chats and completions through OpenAI's own client, against `generate` on the same model.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadModel, loadTokenizer } from '../../src/checkpoint/index.ts'
import { generate } from '../../src/generation/index.ts'
import type { RunningServer } from '../../src/serving/index.ts'
import { isBatchInvariant, liveTensors } from '../../src/tensor/index.ts'
import { applyChatTemplate, CHAT_TEMPLATES } from '../../src/tokenizers/index.ts'
import { away, sameBits, skippedAway } from '../device.ts'
import { collectedTensors, type ModelFolders, makeFolders, startServer } from './fixture.ts'

let folders: ModelFolders
let server: RunningServer
let client: OpenAI

beforeAll(async () => {
  folders = await makeFolders()
  const specialists = { low: folders.low, other: folders.other }
  ;({ server, client } = await startServer({ model: folders.base, specialists, maxRows: 4, prefixCacheBytes: 1e7 }))
})
afterAll(async () => {
  await server.close()
  folders.remove()
  expect(isBatchInvariant()).toBe(false)
})

const messages = [{ role: 'user' as const, content: 'Where is the ship?' }]
const chat = (more: object = {}) =>
  client.chat.completions.create({
    model: 'base',
    messages,
    max_tokens: 12,
    ...more,
  } as never) as never as Promise<OpenAI.ChatCompletion>
const complete = (more: object = {}) =>
  client.completions.create({
    model: 'base',
    prompt: 'The ship',
    max_tokens: 12,
    ...more,
  } as never) as never as Promise<OpenAI.Completion>

/** The text of a stream, by choice, and its chunks. */
const streamed = async (body: object) => {
  const chunks: OpenAI.ChatCompletionChunk[] = []
  const stream = (await client.chat.completions.create({
    model: 'base',
    messages,
    max_tokens: 12,
    ...body,
    stream: true,
  } as never)) as never
  for await (const chunk of stream as AsyncIterable<OpenAI.ChatCompletionChunk>) chunks.push(chunk)
  const texts: string[] = []
  const reasons: (string | null)[] = []
  for (const { choices } of chunks)
    for (const { index, delta, finish_reason: reason } of choices) {
      texts[index] = (texts[index] ?? '') + (delta.content ?? '')
      if (reason !== null) reasons[index] = reason
    }
  return { chunks, texts, reasons }
}

describe('models', () => {
  it('are listed by name, without paths of the host', async () => {
    const list = await client.models.list()
    expect(list.data.map(({ id }) => id)).toEqual(['base', 'low', 'other'])
    expect(JSON.stringify(list.data)).not.toContain(folders.folder)
    expect((await client.models.retrieve('low')).id).toBe('low')
    await expect(client.models.retrieve('lov')).rejects.toThrow(/Did you mean `low`/)
  })
})

describe('chat completions', () => {
  it('answer what `generate` does on the rendered conversation', async () => {
    const model = await loadModel(folders.base)
    const tokenizer = await loadTokenizer(folders.base)
    const { ids } = applyChatTemplate(tokenizer, messages, {
      template: CHAT_TEMPLATES.plain,
      addGenerationPrompt: true,
    })
    const [wanted] = await generate(model, tokenizer, [ids], { maxNewTokens: 12 })
    const { choices, usage, object } = await chat({ temperature: 0 })
    expect(choices[0].message).toMatchObject({ role: 'assistant', content: wanted.text })
    expect(choices[0].finish_reason).toBe('length')
    expect(object).toBe('chat.completion')
    expect(usage).toMatchObject({ prompt_tokens: ids.length, completion_tokens: 12, total_tokens: ids.length + 12 })
  })

  it('stream the same text as whole answers, with the usage last', async () => {
    const settings = { seed: 5, temperature: 0.8, n: 3 }
    const whole = await chat(settings)
    const { chunks, texts, reasons } = await streamed({
      ...settings,
      stream_options: { include_usage: true, include_obfuscation: false },
    })
    expect(texts).toEqual(whole.choices.map(({ message }) => message.content))
    expect(reasons).toEqual(whole.choices.map((choice) => choice.finish_reason))
    expect(new Set(texts).size).toBe(3)
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 36 } })
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true)
    expect(chunks[0].choices[0].delta.role).toBe('assistant')
  })

  it('end before a stop string that spans tokens, streamed or not', async () => {
    const { choices } = await chat({ temperature: 0 })
    const text = choices[0].message.content ?? ''
    const stop = text.slice(4, 7)
    const whole = await chat({ temperature: 0, stop: [stop, 'never'] })
    expect(whole.choices[0].message.content).toBe(text.slice(0, text.indexOf(stop)))
    expect(whole.choices[0].finish_reason).toBe('stop')
    const { texts, reasons } = await streamed({ temperature: 0, stop })
    expect([texts[0], reasons[0]]).toEqual([whole.choices[0].message.content, 'stop'])
  })

  it('show log-probabilities whose tokens join to the text', async () => {
    const settings = { temperature: 0.7, seed: 1, logprobs: true, top_logprobs: 3 }
    const { choices } = await chat(settings)
    const content = choices[0].logprobs?.content ?? []
    expect(content).toHaveLength(12)
    const bytes = Buffer.from(content.flatMap((entry) => entry.bytes ?? []))
    expect(bytes.toString()).toBe(choices[0].message.content)
    for (const { logprob, top_logprobs: top } of content) {
      expect(top).toHaveLength(3)
      expect(top[0].logprob).toBeGreaterThanOrEqual(logprob)
      expect(top[0].logprob).toBeGreaterThanOrEqual(top[1].logprob)
    }
    const { chunks } = await streamed(settings)
    expect(chunks.flatMap((chunk) => chunk.choices[0].logprobs?.content ?? [])).toEqual(content)
    // Asking for log-probabilities changes no token.
    expect((await chat({ temperature: 0.7, seed: 1 })).choices[0].message).toEqual(choices[0].message)
  })

  it('obey biases and penalties', async () => {
    const tokenizer = await loadTokenizer(folders.base)
    const [a] = tokenizer.encode('s').ids
    const biased = await chat({ temperature: 0, logit_bias: { [a]: 100 } })
    expect(biased.choices[0].message.content).toBe('s'.repeat(12))
    const penalised = await chat({ temperature: 0, logit_bias: { [a]: 100 }, frequency_penalty: 2, max_tokens: 100 })
    expect(penalised.choices[0].message.content).not.toBe('s'.repeat(100))
    const banned = await chat({ temperature: 0, logit_bias: { [a]: -100 } })
    expect(banned.choices[0].message.content).not.toContain('s'.repeat(2))
    await expect(chat({ logit_bias: { 99999: 1 } })).rejects.toMatchObject({ status: 400, param: 'logit_bias' })
  })

  it('answer each specialist with its own adapter', async () => {
    const texts = await Promise.all(
      ['base', 'low', 'other'].map(async (model) => (await chat({ model, temperature: 0 })).choices[0].message.content),
    )
    expect(new Set(texts).size).toBe(3)
  })

  it('take messages in parts and the role developer', async () => {
    const parts = [
      { role: 'developer', content: 'Be brief.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Where is ' },
          { type: 'text', text: 'the ship?' },
        ],
      },
    ]
    const plain = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Where is the ship?' },
    ]
    const answer = async (given: object) => (await chat({ messages: given, temperature: 0 })).choices[0].message.content
    expect(await answer(parts)).toBe(await answer(plain))
  })
})

describe('completions', () => {
  it('continue texts and token ids alike, several in one request', async () => {
    const tokenizer = await loadTokenizer(folders.base)
    const ids = [...tokenizer.encode('The ship').ids]
    const one = await complete({ temperature: 0 })
    const same = await complete({ prompt: ids, temperature: 0 })
    const both = await complete({ prompt: ['A storm', 'The ship'], temperature: 0, n: 2 })
    expect(same.choices[0].text).toBe(one.choices[0].text)
    expect(both.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3])
    expect(both.choices[3].text).toBe(one.choices[0].text)
    expect((await complete({ prompt: [ids, ids], temperature: 0 })).choices[1].text).toBe(one.choices[0].text)
  })

  it.skipIf(away)(`echo prompts with log-probabilities, as lm-eval reads them${skippedAway(sameBits)}`, async () => {
    const tokenizer = await loadTokenizer(folders.base)
    const ids = [...tokenizer.encode('The ship').ids]
    const [s] = tokenizer.encode('s').ids
    // A text of known tokens, whose log-probabilities are those before the bias.
    const bias = { logit_bias: { [s]: 100 }, temperature: 0, logprobs: 2 }
    const whole = await complete({ ...bias, max_tokens: 6, echo: true })
    const given = await complete({ prompt: [...ids, s, s, s, s, s, s], echo: true, logprobs: 2, max_tokens: 0 })
    expect(whole.choices[0].text).toBe('The shipssssss')
    // Computed one by one and all at once: the same bits.
    expect(given.choices[0]).toEqual(whole.choices[0])
    const { token_logprobs: logProbs, top_logprobs: top, tokens, text_offset: offsets } = given.choices[0].logprobs!
    expect([logProbs?.[0], top?.[0]]).toEqual([null, null])
    expect(tokens?.join('')).toBe('The shipssssss')
    expect(offsets?.map((at, i) => given.choices[0].text.startsWith(tokens![i], at))).not.toContain(false)
    for (const [i, token] of tokens!.entries()) if (i > 0) expect(top![i][token]).toBe(logProbs![i])
  })

  it('echo a prompt as it was given, whatever tokens are put in front of it', async () => {
    const model = join(folders.folder, 'starting')
    cpSync(folders.base, model, { recursive: true })
    const file = join(model, 'tokenizer.json')
    const tokenizer = JSON.parse(readFileSync(file, 'utf8'))
    const [{ content, id }] = tokenizer.added_tokens
    const parts = [{ SpecialToken: { id: content, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }]
    const special_tokens = { [content]: { id: content, ids: [id], tokens: [content] } }
    const post_processor = { type: 'TemplateProcessing', single: parts, pair: parts, special_tokens }
    writeFileSync(file, JSON.stringify({ ...tokenizer, post_processor }))
    const other = await startServer({ model, name: 'starting' })
    try {
      const prompt = 'The  ship'
      const asked = { model: 'starting', prompt, echo: true, logprobs: 0, max_tokens: 0 }
      const [{ text, logprobs }] = (await other.client.completions.create(asked)).choices
      expect(text).toBe(prompt)
      expect(logprobs?.tokens?.[0]).toBe(content)
      expect(logprobs?.tokens?.slice(1).join('')).toBe(prompt)
      expect(logprobs?.text_offset?.slice(0, 2)).toEqual([0, 0])
      for (const [i, token] of logprobs!.tokens!.entries())
        if (i > 0) expect(prompt.startsWith(token, logprobs!.text_offset![i])).toBe(true)
    } finally {
      await other.server.close()
    }
  })

  it('end at tokens of the request also beside `ignore_eos`', async () => {
    const tokenizer = await loadTokenizer(folders.base)
    const [s] = tokenizer.encode('s').ids
    const more = { logit_bias: { [s]: 100 }, temperature: 0, ignore_eos: true, stop_token_ids: [s] }
    expect((await complete(more)).choices[0]).toMatchObject({ text: '', finish_reason: 'stop' })
  })

  it('refuse what they cannot do', async () => {
    for (const [more, param] of [
      [{ suffix: 'x' }, 'suffix'],
      [{ suffix: 'x', echo: true }, 'echo'],
      [{ suffix: 'x', prompt: [1] }, 'prompt'],
      [{ best_of: 3 }, 'best_of'],
      [{ max_tokens: 0 }, 'max_tokens'],
      [{ max_tokens: 300 }, 'prompt'],
      [{ prompt: [[99999]] }, 'prompt'],
      [{ temprature: 1 }, 'temprature'],
      [{ n: 0 }, 'n'],
    ] as const)
      await expect(complete(more), JSON.stringify(more)).rejects.toMatchObject({ status: 400, param })
    await expect(complete({ temprature: 1 })).rejects.toThrow(/Did you mean `temperature`/)
    await expect(complete({ max_tokens: 300 })).rejects.toMatchObject({ code: 'context_length_exceeded' })
  })
})

describe('answers in a crowd', () => {
  it.skipIf(away)(`are those of the same requests alone, streamed or not${skippedAway(sameBits)}`, async () => {
    const requests = Array.from({ length: 24 }, (_, i) => ({
      model: ['base', 'low', 'other'][i % 3],
      messages: [{ role: 'user', content: `${'Where is the ship? '.repeat(1 + (i % 4))}${i % 5}` }],
      seed: i,
      temperature: i % 4 === 0 ? 0 : 0.9,
      max_tokens: 4 + (i % 9),
      ...(i % 3 === 1 ? { logprobs: true, top_logprobs: 2 } : {}),
      ...(i % 5 === 2 ? { frequency_penalty: 0.5, top_p: 0.9 } : {}),
    }))
    const alone = []
    for (const request of requests) alone.push((await chat(request)).choices)
    const crowd = await Promise.all(
      requests.map(async (request, i) => {
        if (i % 2 === 0) return (await chat(request)).choices
        const { texts, reasons } = await streamed(request)
        return [{ message: { content: texts[0] }, finish_reason: reasons[0] }]
      }),
    )
    for (const [i, choices] of crowd.entries())
      expect([i, ...choices]).toMatchObject([
        i,
        ...alone[i].map((choice) =>
          i % 2 === 0 ? choice : { message: { content: choice.message.content }, finish_reason: choice.finish_reason },
        ),
      ])
  })

  it('leave no tensors behind', async () => {
    await chat({ temperature: 0 })
    const before = await collectedTensors()
    for (let i = 0; i < 3; i++) await chat({ temperature: 0 })
    expect(liveTensors()).toBe(before)
  })
})
