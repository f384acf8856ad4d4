// What every writer of an export shares: the files of `saveModel` in a folder that exists, a full disk, and weights that no export can hold.

import { readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type SaveModelOptions, saveModel } from '../checkpoint/index.ts'
import { CheckpointError, ConfigError, diskFault, TunesmithError } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { type SpecialistTask, writeTask } from '../runs/index.ts'
import { type Dtype, type FilePart, noGrad, scope } from '../tensor/index.ts'
import { modelFiles } from '../tracking/index.ts'

/** The error to throw: of a full disk in words, others as they are. @param out folder that appears when it is whole */
export const onFullDisk = (error: unknown, out: string): unknown => {
  const fault = diskFault(error)
  if (fault === undefined || error instanceof TunesmithError) return error
  return new ConfigError(`${fault} while writing \`${out}\`. Nothing was left there: free space, then call it again.`)
}

/** Saves a model that was made of other ones as a new folder. @param more.folder of the model whose tokenizer it has */
export const saveMade = async (
  model: Model,
  out: string,
  { folder, dtype, card, task }: { folder?: string; dtype: Dtype; card: string; task?: SpecialistTask },
): Promise<void> => {
  try {
    await saveModel(model, out, {
      dtype,
      ...(folder === undefined ? {} : { tokenizer: folder }),
      addFiles: async (target) => {
        await writeFile(join(target, modelFiles.card), card)
        if (task !== undefined) await writeTask(target, task)
      },
    })
  } catch (error) {
    throw onFullDisk(error, out)
  }
}

export interface NamedPart extends FilePart {
  name: string
}

/** Why the part cannot be written: NaN or infinity in its tensor, or an element that is too large for its dtype. */
export const notFinite = ({ tensor, as, name }: NamedPart): CheckpointError => {
  const [finite, numbers] = noGrad(() =>
    scope(() => [tensor.isfinite(), tensor.isnan().logicalNot()].map((mask) => mask.all().item())),
  )
  const what = `${numbers ? 'infinity' : 'NaN'} in \`${name}\``
  return new CheckpointError(
    finite
      ? `Expected finite weights to export, got ${what} as ${as}. The weight is too large for this dtype: export to another one.`
      : `Expected finite weights to export, got ${what}. The training diverged or the file is damaged: use an earlier checkpoint.`,
  )
}

/** Writes the files of `saveModel` into a folder that exists: `saveModel` itself makes a whole folder. */
export const saveInto = async (model: Model, folder: string, options: SaveModelOptions): Promise<void> => {
  const written = join(folder, '.model')
  await saveModel(model, written, options)
  for (const name of await readdir(written)) await rename(join(written, name), join(folder, name))
  await rm(written, { recursive: true, force: true })
}
