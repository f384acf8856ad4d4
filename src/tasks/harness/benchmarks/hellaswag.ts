// HellaSwag: how a description of an activity goes on. Marks of WikiHow are removed from prompt and endings.
import { defineHarnessTask } from '../task-file.ts'

/** The order is that of lm-eval: a title mark becomes a full stop, other brackets go, double spaces become single ones. */
const steps = [
  'trim' as const,
  { replace: ' \\[title\\]', with: '. ' },
  { replace: '\\[.*?\\]', with: '' },
  { replace: ' {2}', with: ' ' },
]

export const hellaswag = defineHarnessTask({
  type: 'multiple-choice',
  name: 'hellaswag',
  summary: 'the most plausible continuation of a description',
  source: 'Zellers et al. 2019, arXiv:1905.07830',
  data: { hub: 'Rowan/hellaswag', split: 'validation' },
  columns: {
    query: { value: '{{activity_label}}: {{ctx_a}} {{ctx_b[:1] | upper}}{{ctx_b[1:] | lower}}', steps },
    choices: { value: '{{endings | tojson}}', list: true, steps },
  },
  prompt: '{{query}}',
  choices: '{{choices | tojson}}',
  target: '{{label}}',
  fewShot: { excludeRow: true },
})
