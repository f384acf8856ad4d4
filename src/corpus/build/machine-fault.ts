// Rewords faults of the machine (full disk, missing permission, too many open files) as one line with what to do.

import { TunesmithError } from '../../core/index.ts'

const faults: Record<string, string> = {
  ENOSPC: 'Disk full',
  EDQUOT: 'Disk quota exceeded',
  EFBIG: 'File size limit exceeded',
  EROFS: 'Read-only disk',
  EACCES: 'No permission to read or write',
  EPERM: 'No permission to read or write',
  EMFILE: 'Too many open files in this process',
  ENFILE: 'Too many open files on this machine',
  EIO: 'Input/output error of the disk',
  ENOMEM: 'Out of memory',
}

/** A fault of the machine reworded; any other error unchanged. */
export const explainFault = (error: unknown): unknown => {
  if (!(error instanceof Error) || error instanceof TunesmithError) return error
  const code = codeOf(error)
  const text = code === undefined ? undefined : faults[code]
  if (text === undefined) return error
  const path = (error as NodeJS.ErrnoException).path
  const where = path === undefined ? '' : ` at ${path}`
  return new TunesmithError(
    `${text}${where} (${code}). Finished work is kept: fix this, then resume with the same command.`,
  )
}

/** The code of an error: DuckDB has it only as words of its message, and errors lose it between threads. */
const codeOf = (error: Error): string | undefined => {
  const code = (error as NodeJS.ErrnoException).code
  if (code !== undefined && code in faults) return code
  const leading = /^(E[A-Z]+): /.exec(error.message)?.[1]
  if (leading !== undefined && leading in faults) return leading
  if (/no space left on device/i.test(error.message)) return 'ENOSPC'
  if (/file too large/i.test(error.message)) return 'EFBIG'
  return undefined
}
