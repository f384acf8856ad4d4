// Turns faults of the machine (full disk, no permission, too many open files) into one line that says what to do.

import { TunesmithError } from '../../core/index.ts'

const advice: Record<string, string> = {
  ENOSPC: 'Expected room on the disk, got a full one',
  EDQUOT: 'Expected room in the disk quota, got a full one',
  EFBIG: 'Expected to write a larger file, got the limit on file sizes',
  EROFS: 'Expected a writable disk, got a read-only one',
  EACCES: 'Expected permission to read or write, got none',
  EPERM: 'Expected permission to read or write, got none',
  EMFILE: 'Expected to open one more file, got the limit of the process',
  ENFILE: 'Expected to open one more file, got the limit of the machine',
  EIO: 'Expected a sound disk, got an input/output error',
  ENOMEM: 'Expected more memory, got none',
}

/** `error` reworded when the machine is to blame, else as it is. */
export const explainFault = (error: unknown): unknown => {
  if (!(error instanceof Error) || error instanceof TunesmithError) return error
  const code = codeOf(error)
  const text = code === undefined ? undefined : advice[code]
  if (text === undefined) return error
  const path = (error as NodeJS.ErrnoException).path
  const where = path === undefined ? '' : ` at ${path}`
  return new TunesmithError(
    `${text}${where} (${code}). Nothing that was finished is lost: mend it, then run the same command and it goes on.`,
  )
}

/** DuckDB gives the system's words inside its own message, and Node's errors lose their code between threads. */
const codeOf = (error: Error): string | undefined => {
  const code = (error as NodeJS.ErrnoException).code
  if (code !== undefined && code in advice) return code
  const leading = /^(E[A-Z]+): /.exec(error.message)?.[1]
  if (leading !== undefined && leading in advice) return leading
  if (/no space left on device/i.test(error.message)) return 'ENOSPC'
  if (/file too large/i.test(error.message)) return 'EFBIG'
  return undefined
}
