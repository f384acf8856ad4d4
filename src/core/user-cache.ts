// Where Tunesmith keeps what it can make again: the cache folder of the user.
import { homedir } from 'node:os'
import { join } from 'node:path'

/** A path in the cache: below XDG_CACHE_HOME, or ~/.cache where that is not set. */
export const userCache = (...parts: string[]): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tunesmith', ...parts)
