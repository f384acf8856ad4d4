// LAMBADA: the last word of a passage, which only the whole passage gives away. The rows are those of OpenAI's version.
import { defineHarnessTask } from '../task-file.ts'

export const lambada = defineHarnessTask({
  type: 'log-likelihood',
  name: 'lambada',
  summary: 'the last word of a passage',
  source: 'Paperno et al. 2016, arXiv:1606.06031',
  data: { hub: 'EleutherAI/lambada_openai/default' },
  prompt: "{{text.split(' ')[:-1] | join(' ')}}",
  target: " {{text.split(' ')[-1]}}",
  fewShot: { split: 'test' },
})
