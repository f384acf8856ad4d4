// The form of one command, and what it may use while it runs. Knows nothing of flags, terminals or other commands.
import type { z } from 'zod'
import type { Progress, ProgressOptions } from '../core/index.ts'
import { invariant } from '../core/index.ts'

export interface ArgumentSpec {
  /** The name in `--help` and the key in `args`. */
  name: string
  description: string
  /** Takes all that is left, at least one unless `optional`; only for the last argument. */
  variadic?: boolean
  optional?: boolean
  /** The values that completion offers; file names when left out. */
  choices?: readonly string[]
}

export type ArgumentValues<Specs extends readonly ArgumentSpec[]> = {
  [Spec in Specs[number] as Spec['name']]: string extends Spec['name']
    ? string | string[] | undefined
    : Spec extends { variadic: true }
      ? string[]
      : Spec extends { optional: true }
        ? string | undefined
        : string
}

export interface CommandContext {
  /** True with `--json`: stdout then belongs to the one JSON document. */
  json: boolean
  /** Aborted by the first Ctrl-C or SIGTERM: finish what must be finished, then return or throw. */
  signal: AbortSignal
  /** A progress bar on stderr; the command stops it. */
  progress(options: ProgressOptions): Progress
  /** One line for people, on stderr. */
  log(line: string): void
  warn(line: string): void
  /** Text as it comes, such as generated words: stdout, or stderr with `--json`. */
  write(text: string): void
  /** With `--json`, for commands that answer as they go: one line on stdout before that of the result. */
  emit(value: unknown): void
}

export interface Command<
  Options extends z.ZodObject = z.ZodObject,
  Arguments extends readonly ArgumentSpec[] = readonly ArgumentSpec[],
  Result = unknown,
> {
  /** One or two words: `pretrain`, `tokenizer train`. */
  name: string
  /** One sentence, without a full stop. */
  summary: string
  /** A command line that works as it stands, shown by `--help`. */
  example: string
  /** Lines of `--help` below the example. */
  notes?: readonly string[]
  arguments?: Arguments
  /** False for a command that works without the addon; others build it when they first need it. */
  engine?: boolean
  /** A strict object; each field is a flag and its `.describe()` the help. */
  options: Options
  /** `args` are the positional arguments by name. What it returns is the JSON of `--json`. */
  run(options: z.output<Options>, args: ArgumentValues<Arguments>, context: CommandContext): Promise<Result>
  /** The result as people read it, for stdout. */
  render?(result: Result): string
  /** Turns a result into an exit code for scripts, such as 1 for a check that did not hold; 0 when left out. */
  exitCode?(result: Result): number
}

/** Declares a command; commands.ts makes it known. */
export function defineCommand<
  Options extends z.ZodObject,
  Result,
  const Arguments extends readonly ArgumentSpec[] = readonly [],
>(command: Command<Options, Arguments, Result>): Command<Options, Arguments, Result> {
  const specs = command.arguments ?? []
  specs.forEach((spec, i) => {
    invariant(!spec.variadic || i === specs.length - 1, `\`${command.name}\`: only the last argument may be variadic.`)
  })
  return command
}
