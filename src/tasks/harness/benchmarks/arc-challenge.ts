// ARC, the challenge set: grade-school science questions that word statistics do not answer.
import { defineHarnessTask } from '../task-file.ts'
import { arcEasy } from './arc-easy.ts'

export const arcChallenge = defineHarnessTask({
  ...arcEasy,
  name: 'arc_challenge',
  summary: 'grade-school science questions, the challenge set',
  data: { hub: 'allenai/ai2_arc/ARC-Challenge' },
})
