// Where set-up has put the built pages.
import { join } from 'node:path'
import { exists, packageRoot, SetupError, setupCall } from '../../core/index.ts'

/** Folder of the built pages, which has this file. @throws SetupError if set-up has not built them */
export const builtPages = async (file: string): Promise<string> => {
  const folder = join(packageRoot(), 'dist', 'web')
  if (await exists(join(folder, file))) return folder
  throw new SetupError(`The pages of the studio are not built: run ${setupCall()}.`)
}
