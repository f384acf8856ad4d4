// `tunesmith vocabulary …`: a model with another vocabulary. The work is `growVocabulary`, `swapTokenizer` and `shrinkVocabulary` of
// src/checkpoint.
import {
  type ChangedVocabulary,
  growVocabulary,
  growVocabularySchema,
  shrinkVocabulary,
  shrinkVocabularySchema,
  swapTokenizer,
  swapTokenizerSchema,
} from '../../checkpoint/index.ts'
import { formatCount } from '../../core/index.ts'
import { openTexts } from '../../corpus/index.ts'
import { defineCommand } from '../command.ts'
import { corpusField, filesArgument } from '../parts/fields.ts'

const render = ({ out, before, after, kept, added }: ChangedVocabulary): string => {
  const some = added.slice(0, 10).join(' ')
  const fresh = added.length === 0 ? '' : `, ${formatCount(added.length)} new: ${some}${added.length > 10 ? ' …' : ''}`
  return `${out}: ${formatCount(before)} rows before, ${formatCount(after)} after; ${formatCount(kept)} tokens kept${fresh}`
}

export const vocabularyGrow = defineCommand({
  name: 'vocabulary grow',
  summary: 'Add tokens to a model and its tokenizer, with rows that are means of the rows they replace',
  example: 'tunesmith vocabulary grow --base runs/gpt --template chatml --out base-with-chat',
  processes: 'first',
  options: growVocabularySchema,
  run: (options) => growVocabulary(options),
  render,
})

export const vocabularySwap = defineCommand({
  name: 'vocabulary swap',
  summary: 'Give a model another tokenizer: rows are mapped by the text of tokens',
  example: 'tunesmith vocabulary swap --base runs/gpt --tokenizer my-tokenizer --out base-with-mine',
  processes: 'first',
  options: swapTokenizerSchema,
  run: (options) => swapTokenizer(options),
  render,
})

export const vocabularyShrink = defineCommand({
  name: 'vocabulary shrink',
  summary: 'Leave out the tokens that texts do not need; the texts are encoded into the same tokens afterwards',
  example: 'tunesmith vocabulary shrink texts/*.txt --base HuggingFaceTB/SmolLM2-135M --out small-base',
  arguments: [filesArgument],
  processes: 'first',
  options: shrinkVocabularySchema.extend({
    corpus: corpusField,
  }),
  async run({ corpus, ...options }, { files }, context) {
    const { signal } = context
    const texts = await openTexts({ corpora: corpus, files: files ?? [] }, { maxBytes: 8 << 20, signal })
    return shrinkVocabulary(texts.documents(), options)
  },
  render,
})
