// Heads, as architectures declare them and other folders use them.
export { CausalLmHead, causalLm } from './causal-lm.ts'
export { EmbeddingHead, embedding, unitRows } from './embedding.ts'
export {
  Head,
  type HeadEntries,
  type HeadEntry,
  type HeadOptions,
  type HeadType,
  headOptionsSchema,
  headTypes,
} from './head.ts'
export { HeadSet } from './head-set.ts'
export { LanguageHead } from './language-head.ts'
export { MaskedLmHead, maskedLm } from './masked-lm.ts'
export { MultipleChoiceHead, multipleChoice } from './multiple-choice.ts'
export { ReplacedTokenDetectionHead, replacedTokenDetection } from './replaced-token-detection.ts'
export { RewardHead, reward } from './reward.ts'
export { SentencePretrainingHead, sentencePretraining } from './sentence-pretraining.ts'
export { Seq2SeqLmHead, seq2seqLm } from './seq2seq-lm.ts'
export {
  type ClassifierShape,
  type DenseShape,
  RowClassifier,
  sequenceClassification,
} from './sequence-classification.ts'
export { questionAnswering, TokenClassifier, tokenClassification } from './token-classification.ts'
export { continuesText, writesText } from './writing.ts'
