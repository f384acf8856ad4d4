// The registry of what `predict` does, by the head of the model, and the methods of `open` for it.
import type { HeadType } from '../../models/index.ts'
import { fillMaskPrediction } from './fill-mask.ts'
import { spanPrediction } from './find-answer.ts'
import { answerPrediction } from './generate-answer.ts'
import type { PredictionEntry } from './prediction.ts'
import { rewardPrediction } from './reward.ts'
import { classPrediction, tagPrediction } from './task-predictions.ts'

/** What `predict` does for each head, by the name of the head. */
export const predictions: Partial<Record<HeadType, PredictionEntry>> = {
  'causal-lm': answerPrediction,
  'masked-lm': fillMaskPrediction,
  'question-answering': spanPrediction,
  'seq2seq-lm': answerPrediction,
  reward: rewardPrediction,
  'sequence-classification': classPrediction,
  'token-classification': tagPrediction,
}

const methodsByHead: Partial<Record<HeadType, string>> = {
  'causal-lm': 'generate, stream, chat, answer or embed',
  'seq2seq-lm': 'generate, answer or embed',
  'masked-lm': 'fillMask or embed',
  'sequence-classification': 'classify or embed',
  reward: 'reward or embed',
  'token-classification': 'extract or embed',
  'question-answering': 'answer or embed',
}

/** The methods of `open` that serve a model, as words of a sentence: errors about another method name them. */
export const methodsOf = (head: HeadType): string => methodsByHead[head] ?? 'embed'
