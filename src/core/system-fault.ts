// Faults that the operating system reports, in words, and those of requests to servers of others.

/** What a fault lies in: a path that was given, a disk that takes no more, or the machine as it is now. */
type FaultOf = 'path' | 'disk' | 'machine'

const faults: Record<string, [of: FaultOf, words: string]> = {
  ENOENT: ['path', 'no such file or folder'],
  EISDIR: ['path', 'it is a folder'],
  ENOTDIR: ['path', 'a part of the path is not a folder'],
  EACCES: ['path', 'no permission to read or write'],
  EPERM: ['path', 'no permission to read or write'],
  ENOSPC: ['disk', 'disk full'],
  EDQUOT: ['disk', 'disk quota exhausted'],
  EFBIG: ['disk', 'file size limit reached'],
  EROFS: ['machine', 'read-only disk'],
  EIO: ['machine', 'input/output error of the disk'],
  EMFILE: ['machine', 'too many open files in this process'],
  ENFILE: ['machine', 'too many open files on this machine'],
  ENOMEM: ['machine', 'out of memory'],
  EAGAIN: ['machine', 'a resource of the machine is used up'],
}

/** The code of an error: DuckDB has it only as words of its message, and errors lose it between threads. */
const codeOf = (error: unknown): string | undefined => {
  const { code, message = '' } = (error ?? {}) as NodeJS.ErrnoException
  if (code !== undefined && Object.hasOwn(faults, code)) return code
  const leading = /^(E[A-Z]+): /.exec(message)?.[1]
  if (leading !== undefined && Object.hasOwn(faults, leading)) return leading
  if (/no space left on device/i.test(message)) return 'ENOSPC'
  return /file too large/i.test(message) ? 'EFBIG' : undefined
}

/** A fault of the operating system. */
export interface SystemFault {
  /** Such as ENOSPC. */
  code: string
  of: FaultOf
  /** Such as `disk full`. */
  words: string
}

/** The fault of the operating system that an error is; undefined for an error of another kind. */
export const systemFault = (error: unknown): SystemFault | undefined => {
  const code = codeOf(error)
  if (code === undefined) return undefined
  const [of, words] = faults[code]
  return { code, of, words }
}

/** Words that begin a sentence. */
const capitalized = (words: string): string => words[0].toUpperCase() + words.slice(1)

/** The beginning of a message about a fault, such as `Disk full`; undefined for an error of another kind. */
export const beginFault = (error: unknown): string | undefined => {
  const fault = systemFault(error)
  return fault && capitalized(fault.words)
}

/** The same where the disk takes no more; undefined for every other error. */
export const diskFault = (error: unknown): string | undefined =>
  systemFault(error)?.of === 'disk' ? beginFault(error) : undefined

/** Whether the same request may succeed later. */
export const isPassingStatus = (status: number): boolean =>
  status === 408 || status === 425 || status === 429 || status >= 500

/** Why a request got no answer: `fetch` says only that it failed, its cause says what happened. */
export const fetchFault = (error: unknown): string => {
  const { cause, message } = error as Error & { cause?: unknown }
  const { code, message: own } = (cause ?? {}) as { code?: string; message?: string }
  return own || code || message
}
