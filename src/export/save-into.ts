// Writes the files of `saveModel` into a folder that exists: `saveModel` itself makes a whole folder.
import { readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { saveModel } from '../checkpoint/index.ts'

type SaveOptions = NonNullable<Parameters<typeof saveModel>[2]>

/** @param options.keep which files, by name (default: all) */
export const saveInto = async (
  model: Parameters<typeof saveModel>[0],
  folder: string,
  { keep = () => true, ...options }: SaveOptions & { keep?: (name: string) => boolean },
): Promise<void> => {
  const written = join(folder, '.model')
  await saveModel(model, written, options)
  for (const name of await readdir(written)) if (keep(name)) await rename(join(written, name), join(folder, name))
  await rm(written, { recursive: true, force: true })
}
