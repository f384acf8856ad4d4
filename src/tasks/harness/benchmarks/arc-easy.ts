// ARC, the easy set: grade-school science questions.
import { defineHarnessTask } from '../task-file.ts'

export const arcEasy = defineHarnessTask({
  type: 'multiple-choice',
  name: 'arc_easy',
  summary: 'grade-school science questions, the easy set',
  source: 'Clark et al. 2018, arXiv:1803.05457',
  data: { hub: 'allenai/ai2_arc/ARC-Easy' },
  prompt: 'Question: {{question}}\nAnswer:',
  choices: '{{choices.text | tojson}}',
  labels: '{{choices.label | tojson}}',
  target: '{{answerKey}}',
})
