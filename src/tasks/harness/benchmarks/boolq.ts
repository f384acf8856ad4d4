// BoolQ: yes-or-no questions about a passage.
import { defineHarnessTask } from '../task-file.ts'

export const boolq = defineHarnessTask({
  type: 'multiple-choice',
  name: 'boolq',
  summary: 'yes-or-no questions about a passage',
  source: 'Clark et al. 2019, arXiv:1905.10044',
  data: { hub: 'aps/super_glue/boolq', split: 'validation' },
  prompt: '{{passage}}\nQuestion: {{question}}?\nAnswer:',
  choices: ['no', 'yes'],
  target: '{{label}}',
  metrics: ['acc'],
  fewShot: { excludeRow: true },
})
