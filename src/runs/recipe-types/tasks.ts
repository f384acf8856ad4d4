// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

import type { ExtractiveQaSettings } from './task-extractive-qa.ts'
import type { GenerativeQaSettings } from './task-generative-qa.ts'
import type { InstructionsSettings } from './task-instructions.ts'
import type { MultipleChoiceSettings } from './task-multiple-choice.ts'
import type { RegressionSettings } from './task-regression.ts'
import type { RewardSettings } from './task-reward.ts'
import type { SentenceSimilaritySettings } from './task-sentence-similarity.ts'
import type { SequenceClassificationSettings } from './task-sequence-classification.ts'
import type { SummarizationSettings } from './task-summarization.ts'
import type { TokenClassificationSettings } from './task-token-classification.ts'

/** Settings of `settings`, by `task`. */
export interface TaskSettings {
  'extractive-qa': ExtractiveQaSettings
  'generative-qa': GenerativeQaSettings
  instructions: InstructionsSettings
  'multiple-choice': MultipleChoiceSettings
  regression: RegressionSettings
  reward: RewardSettings
  'sentence-similarity': SentenceSimilaritySettings
  'sequence-classification': SequenceClassificationSettings
  summarization: SummarizationSettings
  'token-classification': TokenClassificationSettings
}

/** A task with its settings. */
export type TaskChoice = {
  [Task in keyof TaskSettings]: {
    /** Task to learn. */
    task: Task
    /** Settings of the task: columns, labels, class weights …. */
    settings?: TaskSettings[Task] | undefined
  }
}[keyof TaskSettings]
