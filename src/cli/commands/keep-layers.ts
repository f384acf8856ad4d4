// `tunesmith keep-layers`: a model with some of its layers. The work is `keepLayers` of src/export.
import { z } from 'zod'
import { formatCount } from '../../core/index.ts'
import { keepLayers as keep, keepLayersSchema } from '../../export/index.ts'
import { defineCommand } from '../command.ts'

export const keepLayers = defineCommand({
  name: 'keep-layers',
  summary: 'Write a smaller model with some layers of a model, as a student that learns from it begins',
  example: 'tunesmith keep-layers bert-base --layers 0,2,4,6,8,10 --out student',
  notes: ['Then train it: tunesmith finetune --base student --distillation.teacher runs/sentiment …'],
  arguments: [{ name: 'model', description: 'whole model: a folder, run or Hub id' }],
  processes: 'first',
  options: z.strictObject({
    ...keepLayersSchema.shape,
    out: z.string().describe('folder for the result; it must not exist'),
  }),
  run: (options, { model }) => keep({ ...options, model }),
  render: ({ out, layers, of, before, after }) =>
    `${layers.length} of ${of} layers, ${formatCount(after)} of ${formatCount(before)} parameters: ${out}`,
})
