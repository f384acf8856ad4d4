// IFEval: whether instructions that a program can verify are followed.
import { defineHarnessTask } from '../task-file.ts'

export const ifeval = defineHarnessTask({
  type: 'instructions',
  name: 'ifeval',
  summary: 'instructions that a program can verify',
  source: 'Zhou et al. 2023, arXiv:2311.07911',
  data: { hub: 'google/IFEval', split: 'train' },
  prompt: '{{prompt}}',
  instructions: 'instruction_id_list',
  arguments: 'kwargs',
})
