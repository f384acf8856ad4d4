// MMLU: exam questions of 57 subjects, which the column `subject` names. The score weights every question alike.
import { defineHarnessTask } from '../task-file.ts'

export const mmlu = defineHarnessTask({
  type: 'multiple-choice',
  name: 'mmlu',
  summary: 'exam questions of 57 subjects',
  source: 'Hendrycks et al. 2020, arXiv:2009.03300',
  data: { hub: 'cais/mmlu/all' },
  group: '{{subject}}',
  description: "The following are multiple choice questions (with answers) about {{subject | replace('_', ' ')}}.\n\n",
  prompt: '{{question | trim}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:',
  choices: ['A', 'B', 'C', 'D'],
  target: '{{answer}}',
  metrics: ['acc'],
  fewShot: { split: 'dev', choice: 'first' },
})
