// `tunesmith drop-layers`: an adapter without its parts in the first layers. The work is `dropAdapterLayers` of src/export.
import { z } from 'zod'
import { formatCount } from '../../core/index.ts'
import { dropAdapterLayers, dropLayersSchema } from '../../export/index.ts'
import { defineCommand } from '../command.ts'

export const dropLayers = defineCommand({
  name: 'drop-layers',
  summary: 'Take a bottleneck adapter out of the first layers, which makes it faster (AdapterDrop)',
  example: 'tunesmith drop-layers runs/sentiment --layers 5 --out faster',
  notes: ['Evaluate the result: it was not trained so. To train without them: --adapter.drop-layers 5'],
  arguments: [{ name: 'adapter', description: 'bottleneck adapter, or a stack with one: a folder, run or Hub id' }],
  processes: 'first',
  options: z.strictObject({
    ...dropLayersSchema.shape,
    out: z.string().describe('folder for the result; it must not exist'),
  }),
  run: (options, { adapter }) => dropAdapterLayers({ ...options, adapter }),
  render: ({ out, before, after }) =>
    `${formatCount(after)} of ${formatCount(before)} parameters of the adapter are left: ${out}`,
})
