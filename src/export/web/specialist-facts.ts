// What the page of an exported specialist is told about it: the content of specialist.json.

/** What the page does; names are the Hub's. */
export type WebPipeline =
  | 'text-classification'
  | 'token-classification'
  | 'question-answering'
  | 'sentence-similarity'
  | 'text-generation'
  | 'text2text-generation'

/** A specialist in the browser. */
export interface SpecialistFacts {
  name: string
  pipeline: WebPipeline
  /** transformers.js's name of the files: fp32, q8 … */
  dtype: string
  /** Maximum tokens of a text. */
  maxLength: number
  /** Names of classes or tags; empty for a regression. */
  labels: string[]
  /** Several labels may be true of one text. */
  multiLabel: boolean
  /** The text has a second one. */
  pair: boolean
  /** Question answering: tokens that two windows of a long text share; absent for 128, at most half of the context tokens. */
  stride?: number
  /** Question answering: maximum tokens of a question; longer ones are truncated. */
  maxQuestionTokens: number
  /** Question answering: maximum tokens of an answer. */
  maxAnswerTokens: number
  /** Question answering: how much better the score of no answer must be; absent where every question has an answer. */
  nullThreshold?: number
  /** Text: the tokenizer has a chat template. */
  chat: boolean
  /** Text: settings of `generate` by their names in transformers. */
  generation: Record<string, unknown>
}
