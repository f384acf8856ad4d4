// A small byte-level BPE with the special tokens of every chat template, and a few merges: "Ġho" joins the space before a word to it.
import { BYTE_ALPHABET } from '../../src/tokenizers/byte-level.ts'
import { Tokenizer } from '../../src/tokenizers/index.ts'

const specialTokens = [
  '<s>',
  '</s>',
  '<pad>',
  '<|im_start|>',
  '<|im_end|>',
  '<|start_header_id|>',
  '<|end_header_id|>',
  '<|eot_id|>',
]

const merges = [
  ['h', 'o'],
  ['h', 'i'],
  ['Ġ', 'ho'],
  ['Ġ', 'hi'],
]

export const chatTokenizerJson = () => {
  const vocabulary = [...specialTokens, ...BYTE_ALPHABET, ...merges.map((pair) => pair.join(''))]
  return {
    version: '1.0',
    added_tokens: specialTokens.map((content, id) => ({
      id,
      content,
      special: true,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
      merges,
    },
  }
}

export const chatTokenizer = (
  more: { eos?: string; pad?: string | null; chatTemplate?: string; postProcessor?: object } = {},
): Tokenizer => {
  const { eos = '</s>', pad = '<pad>', chatTemplate, postProcessor = null } = more
  const role = (token: string, idOf: (token: string) => number | undefined) => ({ token, id: idOf(token) ?? -1 })
  return new Tokenizer(
    { ...chatTokenizerJson(), post_processor: postProcessor },
    {
      special: (idOf) => ({
        bos: role('<s>', idOf),
        eos: role(eos, idOf),
        ...(pad === null ? {} : { pad: role(pad, idOf) }),
        additional: [],
      }),
      chatTemplate,
    },
  )
}
