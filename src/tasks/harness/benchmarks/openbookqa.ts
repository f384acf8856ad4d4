// OpenBookQA: science questions that need a fact and common knowledge.
import { defineHarnessTask } from '../task-file.ts'

export const openbookqa = defineHarnessTask({
  type: 'multiple-choice',
  name: 'openbookqa',
  summary: 'science questions that need a fact and common knowledge',
  source: 'Mihaylov et al. 2018, arXiv:1809.02789',
  data: { hub: 'allenai/openbookqa/main' },
  prompt: '{{question_stem}}',
  choices: '{{choices.text | tojson}}',
  labels: '{{choices.label | tojson}}',
  target: '{{answerKey}}',
})
