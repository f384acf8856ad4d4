// Output of set-up: progress lines on stderr, and errors with the remedy in them.

/** An error that the user can fix. The first line is the message; further lines are a list of remedies. */
export class SetupFault extends Error {}

let quiet = false

export const setQuiet = (value) => {
  quiet = value
}

export const isQuiet = () => quiet

export const say = (line) => {
  if (!quiet) process.stderr.write(`setup: ${line}\n`)
}

/** Printed with --quiet too: set-up continues, but something is wrong. */
export const warn = (line) => {
  process.stderr.write(`setup: warning: ${line}\n`)
}
