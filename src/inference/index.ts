// Models in use: open any MODEL, then classify, fill masks, extract, answer, embed, generate, chat, predict, evaluate and score.

export {
  type ChatAnswer,
  type ChatInput,
  Conversation,
  type ConversationOptions,
  chat,
  chatWith,
  type Message,
} from './conversation.ts'
export {
  type EvaluateInput,
  type EvaluateResult,
  evaluate,
  evaluatedModel,
  evaluatedTask,
  renderEvaluation,
} from './evaluate.ts'
export type { EvaluateHooks, EvaluationEntry } from './evaluations/evaluation.ts'
export { evaluationTypes, findEvaluation } from './evaluations/index.ts'
export { generationDefaults } from './generation-defaults.ts'
export { type JudgeHooks, type JudgeInput, type JudgeResult, judgeAnswers } from './judge/judge-answers.ts'
export {
  hasTokenizer,
  type InferenceModel,
  type LoadHooks,
  loadForInference,
  loadLanguageModel,
  type ModelChoice,
} from './load.ts'
export {
  compareMatrix,
  type MatrixCell,
  type MatrixColumn,
  type MatrixInput,
  type MatrixRow,
  type TaskMatrix,
} from './matrix/compare-matrix.ts'
export { matrixTable, missingCells, renderMatrixPage, renderMatrixPicture } from './matrix/matrix-page.ts'
export { AdapterSwitch, type NamedAdapter, parseAdapters } from './named-adapters.ts'
export {
  type CallOptions,
  type Classification,
  type Entity,
  loadToOpen,
  type OpenSettings,
  open,
  type Question,
  type TextGenerationOptions,
  TextModel,
  type TextPair,
} from './open.ts'
export {
  type PredictHooks,
  type PredictInput,
  type PredictResult,
  predict,
  predictWith,
  renderPrediction,
} from './predict.ts'
export { type FilledText, fillMask, type MaskCandidate } from './predictions/fill-mask.ts'
export type { Answer } from './predictions/find-answer.ts'
export { type AnswerPrediction, generateAnswers } from './predictions/generate-answer.ts'
export { predictions } from './predictions/index.ts'
export type { PredictionEntry } from './predictions/prediction.ts'
export type { Reward, RewardInput } from './predictions/reward.ts'
export { type ScoreInput, type ScoreResult, score } from './score.ts'
export { type OpenedSpeculation, openSpeculation, type SpeculationSettings, speculationFields } from './speculation.ts'
