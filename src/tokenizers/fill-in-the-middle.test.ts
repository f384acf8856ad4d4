import { describe, expect, it } from 'vitest'
import { findFimTokens, gapPrompt, layOutGap } from './fill-in-the-middle.ts'
import { loadTokenizer } from './loading.ts'

const added = (names: readonly string[], first: number) =>
  names.map((content, i) => ({
    id: first + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }))

/** Letters of SentencePiece with these special tokens from id 6 on, and a start token before each text. */
const tokenizerWith = (names: readonly string[], config: Record<string, string> = {}) =>
  loadTokenizer(
    {
      model: {
        type: 'Unigram',
        unk_id: 0,
        byte_fallback: false,
        vocab: ['<unk>', '▁', 'a', 'b', '▁a', '▁b'].map((piece, i) => [piece, -i]),
      },
      pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
      decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
      post_processor: {
        type: 'TemplateProcessing',
        single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
        pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
        special_tokens: { '<s>': { id: '<s>', ids: [6], tokens: ['<s>'] } },
      },
      added_tokens: added(['<s>', '</s>', ...names], 6),
    },
    { config: { bos_token: '<s>', eos_token: '</s>', ...config } },
  )

describe('fill-in-the-middle', () => {
  it('lays out the parts as the published code does', () => {
    const parts = { prefix: [10, 11], middle: [20], suffix: [30, 31] }
    const tokens = { prefix: 1, suffix: 2, middle: 3 }
    expect([...layOutGap(parts, tokens, 'psm')]).toEqual([1, 10, 11, 2, 30, 31, 3, 20])
    expect([...layOutGap(parts, tokens, 'spm', 9)]).toEqual([1, 2, 30, 31, 3, 10, 11, 20, 9])
    const empty = { prefix: [], middle: [], suffix: [] }
    expect([...layOutGap(empty, tokens, 'psm')]).toEqual([1, 2, 3])
  })

  it.each([
    [['<fim_prefix>', '<fim_suffix>', '<fim_middle>', '<|endoftext|>'], undefined, [7, 11]],
    [['<fim-prefix>', '<fim-suffix>', '<fim-middle>'], undefined, [7]],
    [['<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>', '<|file_separator|>'], undefined, [7, 11]],
    [['▁<PRE>', '▁<SUF>', '▁<MID>', '▁<EOT>'], 11, [11, 7]],
    [['<｜fim▁begin｜>', '<｜fim▁hole｜>', '<｜fim▁end｜>'], undefined, [7]],
  ])('finds the tokens of published models: %j', async (names, end, ends) => {
    expect(findFimTokens(await tokenizerWith(names))).toEqual({ prefix: 8, suffix: 9, middle: 10, end: end ?? 7, ends })
  })

  it('finds the tokens that tokenizer_config.json names', async () => {
    const names = { prefix_token: '[P]', suffix_token: '[S]', middle_token: '[M]', eot_token: '[E]' }
    const tokenizer = await tokenizerWith(Object.values(names), names)
    expect(findFimTokens(tokenizer)).toEqual({ prefix: 8, suffix: 9, middle: 10, end: 11, ends: [11, 7] })
    expect(findFimTokens(await tokenizerWith(['<fim_prefix>', '<fim_suffix>']))).toBeUndefined()
  })

  it('makes a prompt whose suffix continues a text', async () => {
    const tokenizer = await tokenizerWith(['<fim_prefix>', '<fim_suffix>', '<fim_middle>'])
    // The start of a text has a space before its first word; what follows the gap has none.
    expect(gapPrompt(tokenizer, 'ab', 'ba')).toEqual({ ids: [6, 8, 1, 2, 3, 9, 3, 2, 10], ends: [7] })
    expect(gapPrompt(tokenizer, '', 'b').ids).toEqual([6, 8, 9, 3, 10])
    const none = await tokenizerWith([])
    expect(() => gapPrompt(none, 'a', 'b')).toThrow(/^`suffix` needs a model that fills gaps.*`vocabulary grow/)
  })
})
