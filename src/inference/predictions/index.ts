// The registry of what `predict` does, by the head of the model.
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
