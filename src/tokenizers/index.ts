// Tokenizers: loading, encoding, decoding, chat templates and training.
export type { AddedToken } from './added-tokens.ts'
export { tokenBytes } from './byte-level.ts'
export {
  applyChatTemplate,
  CHAT_TEMPLATES,
  type ChatMessage,
  type ChatOptions,
  type ChatTemplateName,
  type EncodedAnswer,
  type EncodedChat,
  encodeChatAnswer,
  encodeChatPrompt,
  encodeNextTurns,
  fitTemplate,
  type NextTurnsOptions,
  type Program,
  parseTemplate,
  type Rendered,
  type RenderOptions,
  renderChat,
  renderChatFor,
  runTemplate,
  type TemplateOptions,
  type TurnEnds,
  templateSource,
  turnEnds,
} from './chat/index.ts'
export { Encoding, type Padding, padEncodings, type Side, type Strategy, type Truncation } from './encoding.ts'
export type { IdArray } from './fast-encoder.ts'
export {
  type FimOrder,
  type FimParts,
  type FimTokens,
  fimAdvice,
  findFimTokens,
  type GapPrompt,
  gapPrompt,
  layOutGap,
} from './fill-in-the-middle.ts'
export { type LoadOptions, loadTokenizer, loadTokenizerAs, longestInput, type TokenizerClass } from './loading.ts'
export { readNormalizer, WHOLE_SEGMENT } from './normalizers/index.ts'
export { probeRegex } from './oniguruma.ts'
export { saveTokenizer } from './saving.ts'
export { type ScoredPiece, scoredMerges } from './sentencepiece.ts'
export { ROLES, type Role, type SpecialToken, type SpecialTokens } from './special-tokens.ts'
export {
  countTokens,
  createTextEncoder,
  defaultMaxLength,
  type EncodedText,
  encodeContinuation,
  type Frame,
  hasSegments,
  joinTexts,
  specialTokenFrame,
  type TextEncoder,
} from './text-encoder.ts'
export { isTimeout, runPureWithTimeLimit, runWithTimeLimit } from './time-limit.ts'
export { type DecodeOptions, type EncodeOptions, Tokenizer, type TokenizerExtras } from './tokenizer.ts'
export { type TokenizerFiles, writeTokenizerFolder } from './training/tokenizer-files.ts'
export { type TokenizerTrainInput, type TokenizerTrainOptions, tokenizerTrainSchema } from './training/train-options.ts'
export {
  measureTokenizer,
  type ReportEncoder,
  type TokenizerReport,
  type TrainedTokenizer,
  type TrainTokenizerSettings,
  trainTokenizer,
} from './training/train-tokenizer.ts'
