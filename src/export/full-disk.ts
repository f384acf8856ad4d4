// A disk that takes no more while a folder is written, as an error that says what is left.
import { ConfigError, diskFault, TunesmithError } from '../core/index.ts'

/** The error to throw: of a full disk in words, others as they are. @param out folder that appears when it is whole */
export const onFullDisk = (error: unknown, out: string): unknown => {
  const fault = diskFault(error)
  if (fault === undefined || error instanceof TunesmithError) return error
  return new ConfigError(`${fault} while writing \`${out}\`. Nothing was left there: free space, then call it again.`)
}
