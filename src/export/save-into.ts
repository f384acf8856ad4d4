// Writes the files of `saveModel` into a folder that exists: `saveModel` itself makes a whole folder.
import { readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { saveModel } from '../checkpoint/index.ts'

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
