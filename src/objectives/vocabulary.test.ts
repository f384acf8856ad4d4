import { describe, expect, it } from 'vitest'
import { Tokenizer } from '../tokenizers/index.ts'
import { vocabularyFacts } from './vocabulary.ts'

const added = (id: number, content: string) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
})
const numbered = (tokens: readonly string[]) => Object.fromEntries(tokens.map((token, id) => [token, id]))
const special = (names: Record<string, string>) => (idOf: (token: string) => number | undefined) => ({
  additional: [],
  ...Object.fromEntries(Object.entries(names).map(([role, token]) => [role, { token, id: idOf(token) as number }])),
})

/** The tokens, each after a bar where a word begins. */
const words = (tokenizer: Tokenizer, ids: readonly number[]) => {
  const { continuesWord } = vocabularyFacts(tokenizer)
  return ids
    .map((id, i) => `${i === 0 || continuesWord?.(id, ids[i - 1]) ? '' : '|'}${tokenizer.idToToken(id)}`)
    .join('')
}

describe('vocabularyFacts', () => {
  it('finds words and sentence ends of WordPiece', () => {
    const tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'covid', '##19', '##s', '.', 'a', '##']
    const tokenizer = new Tokenizer(
      {
        model: {
          type: 'WordPiece',
          vocab: numbered(tokens),
          unk_token: '[UNK]',
          continuing_subword_prefix: '##',
          max_input_chars_per_word: 100,
        },
        added_tokens: [0, 1, 2, 3, 4].map((id) => added(id, tokens[id])),
      },
      { special: special({ pad: '[PAD]', unk: '[UNK]', cls: '[CLS]', sep: '[SEP]', mask: '[MASK]' }) },
    )
    const vocabulary = vocabularyFacts(tokenizer)
    expect(vocabulary).toMatchObject({ size: 11, pad: 0, cls: 2, sep: 3, mask: 4 })
    expect(vocabulary.sentinels).toBeUndefined()
    expect([...vocabulary.specialIds].sort()).toEqual([0, 1, 2, 3, 4])
    expect(words(tokenizer, [5, 6, 8, 9, 7, 10])).toBe('covid##19|.|a##s|##')
    expect(vocabulary.endsSentence?.(8)).toBe(true)
    expect(vocabulary.endsSentence?.(9)).toBe(false)
  })

  it('finds words and sentence ends of byte-level BPE', () => {
    const tokens = ['the', 'Ġcat', 's', '.', 'Ġ', '12', '."', 'Ċ', 'Ã', '©', 'ĠHi', '<|endoftext|>']
    const tokenizer = new Tokenizer(
      {
        pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
        decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
        model: { type: 'BPE', vocab: numbered(tokens.slice(0, 11)), merges: [] },
        added_tokens: [added(11, tokens[11])],
      },
      { special: special({ bos: tokens[11], eos: tokens[11] }) },
    )
    const vocabulary = vocabularyFacts(tokenizer)
    expect(vocabulary).toMatchObject({ size: 12, bos: 11, eos: 11 })
    expect(vocabulary.cls).toBeUndefined()
    expect([...vocabulary.specialIds]).toEqual([11])
    expect(words(tokenizer, [0, 1, 2, 3, 7, 0, 5, 6, 10])).toBe('the|Ġcats|.|Ċthe|12|."|ĠHi')
    // é in two bytes stays with the letters around it.
    expect(words(tokenizer, [1, 8, 9, 2, 4, 2])).toBe('ĠcatÃ©s|Ġs')
    expect([3, 6, 1, 5].map((id) => vocabulary.endsSentence?.(id))).toEqual([true, true, false, false])
  })

  it('finds words, sentence ends and sentinels of SentencePiece', () => {
    const pieces = ['<pad>', '</s>', '<unk>', '▁Thank', 's', '▁', 'you', '.', '<0xC3>', '<0xA9>', '▁7', '5']
    const tokenizer = new Tokenizer(
      {
        pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
        decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
        model: { type: 'Unigram', unk_id: 2, byte_fallback: false, vocab: pieces.map((piece, i) => [piece, -i]) },
        added_tokens: [
          ...[0, 1, 2].map((id) => added(id, pieces[id])),
          // As T5 has them: from the end of the vocabulary down.
          added(12, '<extra_id_1>'),
          added(13, '<extra_id_0>'),
        ],
      },
      { special: special({ pad: '<pad>', eos: '</s>', unk: '<unk>' }) },
    )
    const vocabulary = vocabularyFacts(tokenizer)
    expect(vocabulary).toMatchObject({ size: 14, pad: 0, eos: 1, sentinels: [13, 12] })
    expect([...vocabulary.specialIds].sort((a, b) => a - b)).toEqual([0, 1, 2, 12, 13])
    expect(words(tokenizer, [3, 4, 5, 6, 7, 10, 11, 6])).toBe('▁Thanks|▁you|.|▁75|you')
    expect(words(tokenizer, [6, 8, 9, 4])).toBe('you<0xC3><0xA9>s')
  })
})
