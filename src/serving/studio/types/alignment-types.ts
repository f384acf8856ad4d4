// What the page "Alignment" and the server say to each other. Only types, and independent of Node, since the pages import it too.
import type { RolloutRow } from '../../../alignment/index.ts'
import type { PreferenceMargin } from '../../../runs/index.ts'

/** Answer of `GET /api/runs/:run/alignment`. */
export interface AlignmentFacts {
  objective: string
  /** What it learned from. */
  kind: 'rollouts' | 'preferences'
  /** Numbers of the rollouts whose files are there, in their order, at most 20,000 of them. */
  rollouts: number[]
  /** Whether the model is finished and its validation records were scored. */
  scored: boolean
}

/** Fields of an answer's row that its page shows. */
type ShownFields =
  | ('step' | 'group' | 'member' | 'id' | 'prompt' | 'completion' | 'reference' | 'finishReason' | 'trained')
  | ('reward' | 'rewards' | 'advantage' | 'kl')

/** An answer of a rollout, without its tokens; long texts are cut. */
export interface RolloutAnswerRow extends Pick<RolloutRow, ShownFields> {
  /** Position in the file, from 0. */
  row: number
  /** Number of its tokens. */
  tokens: number
}

/** A group of answers to one prompt whose rewards are all equal: it teaches nothing to objectives that compare within groups. */
export interface EqualGroup {
  group: number
  /** Rows of its first answer and of the one after its last. */
  from: number
  to: number
  reward: number | null
}

/** Answer of `GET /api/runs/:run/rollouts/:rollout`. */
export interface RolloutPage {
  rollout: number
  step: number | null
  /** Answers in the file. */
  total: number
  from: number
  rows: RolloutAnswerRow[]
  groups: number
  /** At most 500 of them; `equalCount` counts all. */
  equalGroups: EqualGroup[]
  equalCount: number
  untrained: number
  reward: { mean: number | null; min: number | null; max: number | null }
  /** Mean KL divergence from the reference; null without one. */
  kl: number | null
}

/** A token of an answer. */
export interface AnswerToken {
  /** Its text; empty for one that only completes a character, or a special token. */
  text: string
  id: number
  /** False for tokens of an environment, which are not trained. */
  chosen: boolean
  logProb: number | null
  /** Log-probability minus that under the reference; null without one. */
  ratio: number | null
}

/** Answer of `GET /api/runs/:run/rollouts/:rollout/answers/:row`. */
export interface RolloutAnswer extends RolloutAnswerRow {
  /** The first 4,000 tokens. */
  answerTokens: AnswerToken[]
  /** Why tokens have no text, where the tokenizer is not there. */
  note: string | null
}

/** A validation record with its margin; long texts are cut. */
export type PreferenceRow = PreferenceMargin

/** An answer of preference data. */
export type PreferenceAnswer = PreferenceMargin['answers'][number]

/** Orders of preferences: displaced ones first, the smallest or largest margins first, or as in the data. */
export type PreferenceOrder = 'displaced' | 'smallest' | 'largest' | 'data'

/** Answer of `GET /api/runs/:run/preferences`. */
export interface PreferencePage {
  total: number
  from: number
  rows: PreferenceRow[]
  /** Records with a displaced answer; null where the base was not measured, and then there are no margins either. */
  displaced: number | null
  /** Pairs whose rejected answer is preferred by the model. */
  wrong: number
  margin: { mean: number | null; min: number | null; max: number | null }
  /** Numbers of margins in bins of equal width; empty without margins. */
  histogram: { from: number; to: number; count: number }[]
}
