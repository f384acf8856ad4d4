// Classes of rows of invented ids, learnt as sequence classification is; the tokenizer that it asks for is never used on a text.
import type { Criterion } from '../../src/objectives/index.ts'
import { type TaskDefinition, type TaskExample, taskConfig, tasks } from '../../src/tasks/index.ts'
import { Tokenizer } from '../../src/tokenizers/index.ts'

const tokenizer = new Tokenizer({
  version: '1.0',
  pre_tokenizer: { type: 'BertPreTokenizer' },
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: { '[PAD]': 0, '[UNK]': 1, a: 2 },
  },
})

export type ClassRow = TaskExample & { labels: Uint32Array }

export const classRow = (ids: readonly number[], label: number): ClassRow => ({
  ids: Uint32Array.from(ids),
  starts: [0],
  labels: Uint32Array.of(label),
  truncatedTokens: 0,
})

export const classLearner = (classes: number): Criterion<ClassRow> => {
  const task = tasks['sequence-classification'] as unknown as TaskDefinition
  const labels = Array.from({ length: classes }, (_, i) => `class ${i}`)
  const prepared = task.prepare(tokenizer, taskConfig(task, { labels }), { maxLength: 32, headOptions: { labels } })
  return prepared.criterion as unknown as Criterion<ClassRow>
}
