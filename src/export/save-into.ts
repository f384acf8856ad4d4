// What every writer of an export shares: the files of `saveModel` in a folder that exists, a full disk, and weights that no export can hold.

import { readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { saveModel } from '../checkpoint/index.ts'
import { CheckpointError, ConfigError, diskFault, TunesmithError } from '../core/index.ts'
import { type FilePart, noGrad, scope } from '../tensor/index.ts'

/** The error to throw: of a full disk in words, others as they are. @param out folder that appears when it is whole */
export const onFullDisk = (error: unknown, out: string): unknown => {
  const fault = diskFault(error)
  if (fault === undefined || error instanceof TunesmithError) return error
  return new ConfigError(`${fault} while writing \`${out}\`. Nothing was left there: free space, then call it again.`)
}

/** A part of a file with its name in messages. */
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

type SaveOptions = NonNullable<Parameters<typeof saveModel>[2]>

export const saveInto = async (
  model: Parameters<typeof saveModel>[0],
  folder: string,
  options: SaveOptions,
): Promise<void> => {
  const written = join(folder, '.model')
  await saveModel(model, written, options)
  for (const name of await readdir(written)) await rename(join(written, name), join(folder, name))
  await rm(written, { recursive: true, force: true })
}
