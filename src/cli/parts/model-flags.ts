// The flags of every command that takes a MODEL, and how such a command loads it.
import { z } from 'zod'
import { weightForms } from '../../checkpoint/index.ts'
import type { LoadHooks } from '../../inference/index.ts'
import { defaultDevice, deviceSchema } from '../../tensor/index.ts'
import type { CommandContext } from '../command.ts'
import { textField, textsField } from './fields.ts'

/** Modules to import first; the parser of the command line imports them. */
export const useField = textsField(
  "packages or files to import first, which register their own tasks, models or adapters (default: those of the model's run)",
)

/** The flag of commands that take one task of a model of several. */
export const taskField = textField('task of a model of several, which `multitask` makes')

/** Flags of every command that takes a MODEL. */
export const modelFields = {
  use: useField,
  model: z.string().describe('model: a folder, the folder of a run, a .gguf file, or a Hub id'),
  revision: textField('branch, tag or commit of a Hub id'),
  device: deviceSchema.default(defaultDevice).describe('device: cpu, cuda or cuda:0'),
  weights: z
    .enum(weightForms)
    .optional()
    .describe(
      'quantised matrices of a .gguf file: packed, as in the file, or unpacked to float32, slower and exact (default: packed); q8_0 or int8: those of a folder are quantised to 8 bits, faster and not exact, int8 for encoders most of all',
    ),
}

/** Reports downloads and unusual files of a model through a command's context. */
export const loadHooks = ({ log, warn }: Pick<CommandContext, 'log' | 'warn'>): LoadHooks => ({
  onDownload: (file) => log(`Downloading ${file}`),
  onNote: warn,
})
