// Prompts and completions as token ids. The expected ids come from the tokenizer's vocabulary, by hand: bytes, and the merges "ho", "hi",
// "Ġho" and "Ġhi". Each bug that alignment.md lists for data (a.8) has a test.
import { describe, expect, it } from 'vitest'
import { type CompletionEncoderOptions, createCompletionEncoder, type Turn } from '../../../src/tasks/index.ts'
import { Tokenizer } from '../../../src/tokenizers/index.ts'
import { chatTokenizer, chatTokenizerJson } from '../chat-tokenizer.ts'

const user = (content: string): Turn => ({ role: 'user', content })
const assistant = (content: string): Turn => ({ role: 'assistant', content })
const settings: CompletionEncoderOptions = { maxLength: 64, tooLong: 'truncate' }

/** Adds the start token to every text, as Llama's tokenizers do. */
const startingTokenizer = (): Tokenizer =>
  new Tokenizer(
    {
      ...chatTokenizerJson(),
      post_processor: {
        type: 'TemplateProcessing',
        single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
        pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 0 } }],
        special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
      },
    },
    {
      special: () => ({ bos: { token: '<s>', id: 0 }, eos: { token: '</s>', id: 1 }, additional: [] }),
    },
  )

describe('completions of raw text', () => {
  const tokenizer = startingTokenizer()
  const encoder = createCompletionEncoder(tokenizer, settings)
  const names = (ids: ArrayLike<number>) => Array.from(ids, (id) => tokenizer.idToToken(id))

  it('are the prompt with one start token, then the completion with one end token', () => {
    const { ids, promptTokens, starts, truncatedTokens } = encoder.completion('hi', ' ho')!
    expect(names(ids)).toEqual(['<s>', 'hi', 'Ġho', '</s>'])
    expect({ promptTokens, starts, truncatedTokens }).toEqual({ promptTokens: 2, starts: [0], truncatedTokens: 0 })
    expect(encoder.prompt('hi')).toEqual([...ids.slice(0, 2)])
    expect(encoder.endTokens('hi')).toEqual([1])
  })

  it('do not double start and end tokens that the text has already', () => {
    const once = encoder.completion('hi', ' ho')!.ids
    expect(encoder.completion('<s>hi', ' ho</s>')!.ids).toEqual(once)
    expect(encoder.completion('<s><s>hi', '<s> ho</s></s>')!.ids).toEqual(once)
  })

  it('keep the boundary: a word that prompt and completion share stays split where generation splits it', () => {
    // Encoded together, "h" and "o" would be one token.
    expect(names(tokenizer.encodeIds('ho'))).toEqual(['ho'])
    const { ids, promptTokens } = encoder.completion('h', 'o')!
    expect(names(ids)).toEqual(['<s>', 'h', 'o', '</s>'])
    expect(promptTokens).toBe(2)
  })

  it('have an end token even where they are empty, and need a tokenizer that has one', () => {
    expect(names(encoder.completion('hi', '')!.ids)).toEqual(['<s>', 'hi', '</s>'])
    expect(() => createCompletionEncoder(new Tokenizer(chatTokenizerJson()), settings)).toThrow(
      /Expected a tokenizer with an end-of-text token/,
    )
  })

  it('refuse turns beside text', () => {
    expect(() => encoder.completion('hi', [assistant('ho')], { file: 'a.jsonl', line: 3 })).toThrow(
      /a\.jsonl:3.*text and turns/,
    )
  })
})

describe('completions of tokenizers that mark the beginning of a text', () => {
  // A space is put before the first word, as SentencePiece does.
  const json = chatTokenizerJson()
  const marking = new Tokenizer(
    { ...json, pre_tokenizer: { ...json.pre_tokenizer, add_prefix_space: true } },
    { special: () => ({ eos: { token: '</s>', id: 1 }, additional: [] }) },
  )
  it('continue the prompt: they do not begin with a space of their own', () => {
    const encoder = createCompletionEncoder(marking, settings)
    const names = (ids: ArrayLike<number>) => Array.from(ids, (id) => marking.idToToken(id))
    expect(names(encoder.completion('hi', 'hi')!.ids)).toEqual(['Ġhi', 'hi', '</s>'])
    expect(names(encoder.completion('hi', ' hi')!.ids)).toEqual(['Ġhi', 'Ġhi', '</s>'])
  })
})

describe('completions of turns', () => {
  const tokenizer = chatTokenizer({ eos: '<|im_end|>' })
  const encoder = createCompletionEncoder(tokenizer, { ...settings, template: 'chatml' })
  const text = (ids: ArrayLike<number>) => tokenizer.decode(Array.from(ids))

  it('go through the chat template, with the end of the turn inside the completion and nothing after it', () => {
    const { ids, promptTokens } = encoder.completion([user('hi')], [assistant('ho')])!
    expect(text(ids.subarray(0, promptTokens))).toBe('<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n')
    expect(text(ids.subarray(promptTokens))).toBe('ho<|im_end|>')
    expect(encoder.prompt([user('hi')])).toEqual([...ids.subarray(0, promptTokens)])
    expect(encoder.endTokens([user('hi')])).toEqual([ids.at(-1)])
  })

  it('have exactly one start token, from the template', () => {
    for (const template of ['llama3', 'mistral', 'plain']) {
      const starting = startingTokenizer()
      const { ids } = createCompletionEncoder(starting, { ...settings, template }).completion(
        [user('hi')],
        [assistant('ho')],
      )!
      expect(ids[0], template).toBe(0)
      expect(ids.filter((id) => id === 0).length, template).toBe(1)
      expect(ids.at(-1), template).toBe(template === 'llama3' ? 7 : 1)
    }
  })

  it('read special tokens in messages as text', () => {
    const { ids, promptTokens } = encoder.completion([user('hi')], [assistant('ho<|im_end|>ho')])!
    expect(ids.subarray(promptTokens).filter((id) => id === ids.at(-1))).toHaveLength(1)
    expect(text(ids.subarray(promptTokens))).toBe('ho<|im_end|>ho<|im_end|>')
  })

  it('are one answer, after the system prompt if one is set', () => {
    expect(() => encoder.completion([user('hi')], [assistant('ho'), user('hi')])).toThrow(
      /one turn of the assistant as a completion, got assistant, user/,
    )
    const withSystem = createCompletionEncoder(tokenizer, { ...settings, template: 'chatml', system: 'hi' })
    expect(text(withSystem.prompt([user('ho')])!)).toMatch(/^<\|im_start\|>system\nhi<\|im_end\|>\n/)
    expect(withSystem.prompt([{ role: 'system', content: 'hi' }, user('ho')])).toEqual(withSystem.prompt([user('ho')]))
  })

  it('lose the oldest turns of a prompt that is too long', () => {
    const short = createCompletionEncoder(tokenizer, { ...settings, template: 'chatml', maxPromptLength: 20 })
    const newest = [user('hi')]
    const { ids, promptTokens, truncatedTokens } = short.completion(
      [user('ho ho ho'), assistant('ho'), ...newest],
      [assistant('ho')],
    )!
    expect([...ids.subarray(0, promptTokens)]).toEqual(short.prompt(newest))
    expect(truncatedTokens).toBeGreaterThan(0)
    expect(short.truncated).toEqual({ prompts: 1, completions: 0 })
  })
})

describe('what is too long', () => {
  const tokenizer = startingTokenizer()
  const create = (tooLong: 'truncate' | 'drop' | 'error', more: object = {}) =>
    createCompletionEncoder(tokenizer, { maxLength: 5, tooLong, ...more })
  const five = 'abcdefghi'.slice(0, 5)

  it('is truncated at the end of the completion, whose end token is then missing', () => {
    const encoder = create('truncate')
    const { ids, promptTokens, truncatedTokens } = encoder.completion('a', five)!
    expect(tokenizer.decode(ids)).toBe('<s>aabc')
    expect({ promptTokens, truncatedTokens }).toEqual({ promptTokens: 2, truncatedTokens: 3 })
    expect(encoder.truncated).toEqual({ prompts: 0, completions: 1 })
  })

  it('keeps the end of a prompt behind its start token', () => {
    const encoder = create('truncate', { maxPromptLength: 3 })
    expect(tokenizer.decode(encoder.prompt(five)!)).toBe('<s>de')
  })

  it('is dropped and counted where no token of the completion would remain', () => {
    for (const tooLong of ['truncate', 'drop'] as const) {
      const encoder = create(tooLong)
      expect(encoder.completion('abcd', 'a', { file: 'a.jsonl', line: 7 })).toBeUndefined()
      expect(encoder.skipped['no-room-for-completion']).toEqual({
        count: 1,
        first: expect.stringMatching(/a\.jsonl:7.*leaves tokens for its completion/),
      })
    }
    expect(() => create('error').completion('abcd', 'a')).toThrow(/leaves tokens for its completion/)
  })

  it('is dropped by choice, with a reason for prompts and for completions', () => {
    const encoder = create('drop', { maxPromptLength: 3 })
    expect(encoder.completion('abc', 'a')).toBeUndefined()
    expect(encoder.prompt('abc')).toBeUndefined()
    expect(encoder.completion('a', 'abc')).toBeUndefined()
    expect(encoder.completion('a', 'ab')).toBeDefined()
    expect(Object.entries(encoder.skipped).map(([reason, { count }]) => [reason, count])).toEqual([
      ['prompt-too-long', 2],
      ['completion-too-long', 1],
    ])
    expect(() => create('error', { maxPromptLength: 3 }).prompt('abc')).toThrow(/at most 3 tokens, got 4/)
    expect(() => create('drop', { maxPromptLength: 6 })).toThrow(/Expected 1 to 5 for `maxPromptLength`/)
  })
})
