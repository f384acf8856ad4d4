// Resident memory of this process on Linux: all of it, and the part that no file on disk holds.
import { readFileSync } from 'node:fs'

/** Megabytes. */
export const residentMegabytes = (): { residentMegabytes: number; anonymousMegabytes: number } => {
  const status = readFileSync('/proc/self/status', 'utf8')
  const of = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) / 1024
  return { residentMegabytes: of('VmRSS'), anonymousMegabytes: of('RssAnon') }
}
