// Errors of a disk that takes no more, as words.
const faults: Record<string, string> = {
  ENOSPC: 'Disk full',
  EDQUOT: 'Disk quota exhausted',
  EFBIG: 'File size limit reached',
}

/** What is wrong with the disk; undefined for an error of another kind. */
export const diskFault = (error: unknown): string | undefined => {
  const { code, message = '' } = error as NodeJS.ErrnoException
  return faults[code ?? ''] ?? (/no space left on device/i.test(message) ? faults.ENOSPC : undefined)
}
