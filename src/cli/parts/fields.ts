// The usual kinds of flags as zod fields. Flags are typed by them, and `help` is their help.
import { availableParallelism } from 'node:os'
import { z } from 'zod'

/** A text that may be left out. */
export const textField = (help: string) => z.string().optional().describe(help)

/** Texts, none by default. */
export const textsField = (help: string) => z.array(z.string()).default([]).describe(help)

/** A switch that is off by default. */
export const switchField = (help: string) => z.boolean().default(false).describe(help)

/** A whole number from 1 on that may be left out. */
export const countField = (help: string) => z.int().positive().optional().describe(help)

/** The argument of commands that read text from files, beside `corpusField`. */
export const filesArgument = {
  name: 'files',
  description: 'text files, folders or globs, also .gz, .bz2 and .zst',
  variadic: true,
  optional: true,
} as const

export const corpusField = textsField('folders that `corpus build` wrote')

export const workersField = z
  .number()
  .int()
  .positive()
  .default(availableParallelism())
  .describe('threads; they do not change the result')
