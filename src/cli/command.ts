// The interface of a command, and what it may use while it runs. Independent of flags and terminals.
import type { z } from 'zod'
import type { Progress, ProgressOptions } from '../core/index.ts'
import { invariant } from '../core/index.ts'
import type { ProcessGroup } from '../distributed/index.ts'

export interface ArgumentSpec {
  /** The name in `--help` and the key in `args`. */
  name: string
  description: string
  /** Takes all remaining values, at least one if not `optional`; for the last argument only. */
  variadic?: boolean
  optional?: boolean
  /** The values that completion offers; file names when left out. */
  choices?: readonly string[]
}

/** Flags that depend on the value of another flag or argument. */
export interface HelpChoice {
  /** Flag or first argument that chooses: `task`. */
  choice: string
  /** Prefix of the flags: `settings`; empty for flags of the command itself. */
  part: string
  schemas: Readonly<Record<string, z.ZodObject>>
}

type ArgumentValues<Specs extends readonly ArgumentSpec[]> = {
  [Spec in Specs[number] as Spec['name']]: string extends Spec['name']
    ? string | string[] | undefined
    : Spec extends { variadic: true }
      ? string[]
      : Spec extends { optional: true }
        ? string | undefined
        : string
}

/**
 * What the processes that a launcher started do with a command; no two of them write the same file:
 *
 * - `alone`: the command is refused, as it serves, starts processes or uses all cores by itself;
 * - `first`: the first process runs it, and the others wait and end with it;
 * - `divided`: they join in `CommandContext.group`, which the command divides its work among;
 * - `joined`: what the command calls joins them, as runs do;
 * - `each`: each one runs it for itself; only for commands that write no file.
 */
export type ProcessesMode = 'alone' | 'first' | 'divided' | 'joined' | 'each'

export interface CommandContext {
  /** True with `--json`: stdout then belongs to the one JSON document. */
  json: boolean
  /** Aborted by the first Ctrl-C, SIGTERM, SIGHUP or SIGUSR1: finish what must be finished, then return or throw. */
  signal: AbortSignal
  /** The processes that divide the work of a command whose `processes` are `divided`. Only the first one writes and shows. */
  group?: ProcessGroup | undefined
  /** A progress bar on stderr; the command stops it. */
  progress(options: ProgressOptions): Progress
  /** One line for people, on stderr. */
  log(line: string): void
  warn(line: string): void
  /** A message of the library as this command line says it: with flags instead of a recipe's keys, unless a recipe is read. */
  withFlags(text: string): string
  /** Streamed text, such as generated tokens: stdout, or stderr with `--json`. */
  write(text: string): void
  /** With `--json`, for commands that stream answers: one line on stdout before the result. */
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
  /** A complete command line, shown by `--help`. */
  example: string
  /** Lines of `--help` below the example. */
  notes?: readonly string[]
  /** Flags that `--help` shows only with the choice that has them. Called after the user's modules are imported. */
  choices?(): readonly HelpChoice[]
  arguments?: Arguments
  /** Text that the first Ctrl-C shows (default: "Stopping after the current step"). */
  stopping?: string
  /** What the processes that a launcher started do with the command (default: `alone`). */
  processes?: ProcessesMode
  /** False for a command that works without the addon; others build it when they first need it. */
  engine?: boolean
  /** A strict object; each field is a flag and its `.describe()` the help. */
  options: Options
  /** Runs the command; `args` are the positional arguments by name. The result is the JSON of `--json`. */
  run(options: z.output<Options>, args: ArgumentValues<Arguments>, context: CommandContext): Promise<Result>
  /** The result as text for stdout. */
  render?(result: Result, context: Pick<CommandContext, 'withFlags'>): string
  /** The exit code for a result, such as 1 for a failed check (default: 0). */
  exitCode?(result: Result): number
}

/** Declares a command; commands/index.ts registers it. */
export const defineCommand = <
  Options extends z.ZodObject,
  Result,
  const Arguments extends readonly ArgumentSpec[] = readonly [],
>(
  command: Command<Options, Arguments, Result>,
): Command<Options, Arguments, Result> => {
  const specs = command.arguments ?? []
  specs.forEach((spec, i) => {
    invariant(!spec.variadic || i === specs.length - 1, `\`${command.name}\`: only the last argument may be variadic.`)
  })
  return command
}
