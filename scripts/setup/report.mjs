// What set-up says: progress for people on stderr, and faults that are one line with what to do about it.

/** A fault that the user can mend; its message is one line. */
export class SetupFault extends Error {}

let quiet = false

export function setQuiet(value) {
  quiet = value
}

export function isQuiet() {
  return quiet
}

export function say(line) {
  if (!quiet) process.stderr.write(`setup: ${line}\n`)
}

/** Shown even when quiet: something is not as it should be, but set-up can go on. */
export function warn(line) {
  process.stderr.write(`setup: warning: ${line}\n`)
}
