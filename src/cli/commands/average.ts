// `tunesmith average`: the mean of several models, or of the last checkpoints of a run. The work is `averageModels` of src/export.
import { z } from 'zod'
import { formatCount } from '../../core/index.ts'
import { averageModels, averageModelsSchema } from '../../export/index.ts'
import { defineCommand } from '../command.ts'

export const average = defineCommand({
  name: 'average',
  summary: 'Average the weights of models or checkpoints of one architecture (model soup)',
  example: 'tunesmith average runs/a runs/b runs/c --out averaged',
  notes: [
    'The last three checkpoints of a run: tunesmith average runs/a --last 3 --out averaged',
    'Only those that help (greedy soup): tunesmith average runs/a runs/b runs/c --greedy --data dev.tsv --out soup',
  ],
  arguments: [{ name: 'models', description: 'whole models: folders, runs, checkpoints or Hub ids', variadic: true }],
  processes: 'first',
  options: z.strictObject({
    ...averageModelsSchema.shape,
    out: z.string().describe('folder for the averaged model; it must not exist'),
  }),
  run: (options, { models }, { signal, log }) => averageModels({ ...options, models }, { signal, onProgress: log }),
  render: ({ out, models, parameters, soup }) =>
    [
      ...(soup?.trials ?? []).map(
        ({ model, score, mean, kept }) =>
          `${kept ? 'kept    ' : 'left out'} ${model}  ${soup?.metric} ${score}${mean === undefined ? '' : `, of the mean ${mean}`}`,
      ),
      `Averaged ${models.length} models with ${formatCount(parameters)} parameters: ${out}`,
    ].join('\n'),
})
