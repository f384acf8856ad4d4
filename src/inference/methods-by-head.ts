// Which methods of `open` serve a model, by its head: errors about another method name them.
import type { HeadType } from '../models/index.ts'

const methodsByHead: Partial<Record<HeadType, string>> = {
  'causal-lm': 'generate, stream, chat, answer or embed',
  'seq2seq-lm': 'generate, answer or embed',
  'masked-lm': 'fillMask or embed',
  'sequence-classification': 'classify or embed',
  reward: 'reward or embed',
  'token-classification': 'extract or embed',
  'question-answering': 'answer or embed',
}

/** The methods as words of a sentence. */
export const methodsOf = (head: HeadType): string => methodsByHead[head] ?? 'embed'
