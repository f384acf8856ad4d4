// A tokenizer of BERT's kind with few tokens, the first four of which are special: [PAD], [UNK], [CLS] and [SEP].
import { Tokenizer } from '../../src/tokenizers/index.ts'

const special = (token: string) => ({ SpecialToken: { id: token, type_id: 0 } })
const text = (name: string, type: number) => ({ Sequence: { id: name, type_id: type } })
export const wordTokenizer = (words: readonly string[]): Tokenizer =>
  new Tokenizer(
    {
      version: '1.0',
      added_tokens: words.slice(0, 4).map((content, i) => ({
        id: i,
        content,
        special: true,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
      })),
      pre_tokenizer: { type: 'BertPreTokenizer' },
      post_processor: {
        type: 'TemplateProcessing',
        single: [special('[CLS]'), text('A', 0), special('[SEP]')],
        pair: [
          special('[CLS]'),
          text('A', 0),
          special('[SEP]'),
          text('B', 1),
          { SpecialToken: { id: '[SEP]', type_id: 1 } },
        ],
        special_tokens: Object.fromEntries(
          ['[CLS]', '[SEP]'].map((token) => [token, { id: token, ids: [words.indexOf(token)], tokens: [token] }]),
        ),
      },
      model: {
        type: 'WordPiece',
        unk_token: '[UNK]',
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 100,
        vocab: Object.fromEntries(words.map((word, i) => [word, i])),
      },
    },
    { special: (idOf) => ({ pad: { id: idOf('[PAD]')!, token: '[PAD]' }, additional: [] }) as never },
  )
