// WinoGrande: which of two names a blank stands for. What follows the blank is scored after each name (partial scoring).
import { defineHarnessTask } from '../task-file.ts'

export const winogrande = defineHarnessTask({
  type: 'multiple-choice',
  name: 'winogrande',
  summary: 'which of two names a blank stands for, by partial scoring',
  source: 'Sakaguchi et al. 2019, arXiv:1907.10641',
  data: { hub: 'allenai/winogrande/winogrande_xl', split: 'validation' },
  prompt: ["{{sentence.split('_')[0]}}{{option1}}", "{{sentence.split('_')[0]}}{{option2}}"],
  continuation: "{{sentence.split('_')[1:] | join('_') | trim}}",
  labels: ['1', '2'],
  target: '{{answer}}',
  metrics: ['acc'],
  fewShot: { excludeRow: true },
})
