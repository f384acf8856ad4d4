// Rewords faults of the machine (full disk, missing permission, too many open files) as one line with what to do.

import { beginFault, systemFault, TunesmithError } from '../../core/index.ts'

/** Faults of a path that say more in their own words, with the name of the call. */
const ownWords = new Set(['ENOENT', 'EISDIR', 'ENOTDIR'])

/** A fault of the machine reworded; any other error unchanged. */
export const explainFault = (error: unknown): unknown => {
  if (!(error instanceof Error) || error instanceof TunesmithError) return error
  const code = systemFault(error)?.code
  if (code === undefined || ownWords.has(code)) return error
  const path = (error as NodeJS.ErrnoException).path
  const where = path === undefined ? '' : ` at ${path}`
  return new TunesmithError(
    `${beginFault(error)}${where} (${code}). Finished work is kept: fix this, then resume with the same command.`,
  )
}
