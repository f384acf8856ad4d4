// PIQA: which of two ways of doing something works.
import { defineHarnessTask } from '../task-file.ts'

export const piqa = defineHarnessTask({
  type: 'multiple-choice',
  name: 'piqa',
  summary: 'physical common sense: which of two solutions reaches a goal',
  source: 'Bisk et al. 2020, arXiv:1911.11641',
  data: { hub: 'baber/piqa', split: 'validation' },
  prompt: 'Question: {{goal}}\nAnswer:',
  choices: ['{{sol1}}', '{{sol2}}'],
  target: '{{label}}',
  fewShot: { excludeRow: true },
})
