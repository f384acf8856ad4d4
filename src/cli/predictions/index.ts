// The registry of what `predict` does, by the head of the model.
import type { HeadType } from '../../models/index.ts'
import { fillMasks } from './fill-masks.ts'
import type { Prediction } from './prediction.ts'
import { classify, tag } from './records.ts'
import { write } from './write.ts'

export const predictions: Partial<Record<HeadType, Prediction>> = {
  'causal-lm': write as unknown as Prediction,
  'masked-lm': fillMasks as unknown as Prediction,
  'seq2seq-lm': write as unknown as Prediction,
  'sequence-classification': classify as unknown as Prediction,
  'token-classification': tag as unknown as Prediction,
}
