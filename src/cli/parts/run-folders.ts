// The folders of commands that show runs.

/** The argument of these commands. */
export const runsArgument = {
  name: 'runs',
  description: 'run folders, or folders that contain runs (default: runs)',
  variadic: true,
  optional: true,
} as const

/** The folders that were given, or the default. */
export const rootsOf = (runs: readonly string[] | undefined): readonly string[] => (runs?.length ? runs : ['runs'])
