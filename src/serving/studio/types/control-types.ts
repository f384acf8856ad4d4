// What the pages and the server say to each other about the control of runs. Only types, independent of Node.

/** What was done, in words. */
export interface ControlAnswer {
  message: string
}

/** A part of what a program prints; its id is the offset in bytes after it. */
export interface ConsoleMessage {
  text: string
  /** Whether the part replaces what came before. */
  fresh: boolean
  /** Whether there is no output: the studio did not start the run. */
  missing: boolean
}
