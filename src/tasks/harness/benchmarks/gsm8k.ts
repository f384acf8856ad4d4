// GSM8K: word problems of arithmetic with worked answers, whose result follows ####.
import { defineHarnessTask } from '../task-file.ts'

export const gsm8k = defineHarnessTask({
  type: 'generation',
  name: 'gsm8k',
  summary: 'word problems of arithmetic, answered step by step',
  source: 'Cobbe et al. 2021, arXiv:2110.14168',
  data: { hub: 'openai/gsm8k/main' },
  prompt: 'Question: {{question}}\nAnswer:',
  target: '{{answer}}',
  stop: ['Question:', '</s>', '<|im_end|>'],
  filters: [
    { name: 'strict-match', pattern: '#### (-?[0-9.,]+)' },
    { name: 'flexible-extract', pattern: '(-?[$0-9.,]{2,})|(-?[0-9]+)', occurrence: 'last' },
  ],
  ignoreCase: true,
  ignorePatterns: [',', '\\$', '[\\s\\S]*#### ', '\\.(?=\\n?$)'],
  fewShot: { count: 5 },
})
