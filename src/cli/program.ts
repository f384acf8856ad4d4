// The program around the commands: finds the command, runs it, and prints its result or its error. Independent of single
// commands: it gets their registry.
import {
  beginFault,
  ConfigError,
  createProgress,
  NativeError,
  programCall,
  programName,
  setAddonInstaller,
  suggest,
  systemFault,
  TunesmithError,
} from '../core/index.ts'
import type { ProcessGroup } from '../distributed/index.ts'
import type { Command, CommandContext } from './command.ts'
import { type Catalogue, helpText } from './command-help.ts'
import { type ParsedRun, parseCommandLine, UsageError, usesModules, wantsHelp } from './command-line.ts'
import { wrapNote } from './help-choices.ts'

/** Command names to their loaders: only the command that runs is loaded. */
export type CommandRegistry = Record<string, () => Promise<Command>>

interface Terminal {
  stdout(text: string): void
  stderr(text: string): void
}

export interface ProgramOptions {
  commands: CommandRegistry
  terminal: Terminal
  version: string
  signal: AbortSignal
  /** Help of every command without loading one; left out, the commands are loaded. */
  catalogue?: Catalogue
  /** Builds the addon for a command that needs it; left out, the command fails and names set-up. */
  installEngine?: () => void
  /** Called with the command before it runs. */
  onCommand?: (command: Command) => void
}

/** Runs one command line and returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted. */
export const runProgram = async (argv: readonly string[], options: ProgramOptions): Promise<number> => {
  const { commands, terminal, version, signal } = options
  if (argv[0] === 'help') return runProgram([...argv.slice(1), '--help'], options)
  const words = leadingWords(argv)
  const name = [2, 1].map((count) => words.slice(0, count).join(' ')).find((key) => Object.hasOwn(commands, key))
  if (name === undefined) {
    if (words.length === 0 && argv.some((word) => word === '--version' || word === '-V')) {
      terminal.stdout(`${version}\n`)
      return 0
    }
    return withoutCommand(argv, words, options)
  }
  const rest = argv.slice(name.split(' ').length)
  const page = options.catalogue?.[name]
  if (page !== undefined && wantsHelp(rest) && !usesModules(rest)) {
    terminal.stdout(helpText(page, rest))
    return 0
  }
  let json = false
  let naming: Pick<ParsedRun, 'withFlags' | 'withDataFlags'> = { withFlags: String, withDataFlags: String }
  try {
    const command = await commands[name]()
    const line = await parseCommandLine(command, rest)
    if (line.kind === 'help') {
      terminal.stdout(line.text)
      return 0
    }
    json = line.json
    naming = line
    setAddonInstaller(command.engine === false ? undefined : options.installEngine)
    options.onCommand?.(command)
    const run = async ({ group, shows = true }: ProcessPlace = {}): Promise<number> => {
      const shown = shows ? terminal : silentTerminal
      const context = createContext(line, shown, signal, group)
      const result = await command.run(line.options, line.args, context)
      const text = json ? `${toJson(result)}\n` : (command.render?.(result, context) ?? '')
      if (text !== '') shown.stdout(text.endsWith('\n') ? text : `${text}\n`)
      return signal.aborted ? exitCodeOf(signal) : (command.exitCode?.(result) ?? 0)
    }
    return await (command.processes === 'each' ? run() : runInPlace(command, line, run))
  } catch (error) {
    // Where all processes of a group are stopped, one may learn it from another.
    if (signal.aborted && (error === signal.reason || ['AbortError', 'GroupError'].includes((error as Error)?.name))) {
      const exitCode = exitCodeOf(signal)
      if (exitCode !== 0) terminal.stderr('Stopped.\n')
      return exitCode
    }
    // Errors of data and files have names in backquotes too, which are no settings.
    const namesSettings = error instanceof ConfigError || error instanceof NativeError
    terminal.stderr(`error: ${(namesSettings ? naming.withFlags : naming.withDataFlags)(describeError(error))}\n`)
    return error instanceof UsageError || error instanceof ConfigError ? 2 : 1
  }
}

const silentTerminal: Terminal = { stdout() {}, stderr() {} }

/** The place of this process among those that a launcher started. */
interface ProcessPlace {
  /** Those that divide the command's work. */
  group?: ProcessGroup | undefined
  /** Whether this process shows and writes. */
  shows?: boolean
}

/**
 * Runs a command as its `processes` say, where a launcher started several.
 * @throws ConfigError for a command that runs alone, and for processes with other options or code
 */
const runInPlace = async (
  { name, processes = 'alone' }: Command,
  { options, args }: { options: unknown; args: unknown },
  run: (place?: ProcessPlace) => Promise<number>,
): Promise<number> => {
  const { expectOneProcess, inGroup, programFacts, readLaunch, shortHash } = await import('../distributed/index.ts')
  if (processes === 'alone') expectOneProcess(`\`${name}\``)
  const launch = readLaunch()
  if (launch === undefined) return run()
  if (processes === 'joined') return run({ shows: launch.rank === 0 })
  return inGroup(async (group) => {
    if (group === undefined) return run()
    await group.expectEqual({ ...(await programFacts()), options: shortHash({ options, args }) })
    if (processes === 'divided') return run({ group, shows: group.first })
    // The others wait for as long as it takes, and end with its exit code.
    return group.fromFirst(run)
  })
}

/** The reason of a command's aborted signal after Ctrl-C, SIGTERM, SIGHUP or SIGUSR1, or when the reader of stdout has left. */
export class Interruption extends Error {
  override name = 'AbortError'
  constructor(readonly exitCode: number) {
    super('Interrupted.')
  }
}

const exitCodeOf = (signal: AbortSignal): number =>
  signal.reason instanceof Interruption ? signal.reason.exitCode : 130

const leadingWords = (argv: readonly string[]): string[] => {
  const end = argv.findIndex((word) => word.startsWith('-'))
  return argv.slice(0, end === -1 ? argv.length : end)
}

const withoutCommand = async (
  argv: readonly string[],
  words: readonly string[],
  options: ProgramOptions,
): Promise<number> => {
  const { commands, terminal, catalogue } = options
  const names = Object.keys(commands)
  const group = names.filter((name) => name.split(' ').length > 1 && name.split(' ')[0] === words[0])
  const asksHelp = wantsHelp(argv)
  const unknownInGroup = group.length > 0 && words.length > 1
  if (words.length === 0 || (group.length > 0 && !unknownInGroup)) {
    const stray = words.length === 0 && !asksHelp ? argv.find((word) => word.startsWith('-')) : undefined
    if (stray === undefined) {
      const text = await overview(group.length > 0 ? group : names, commands, catalogue)
      if (asksHelp) terminal.stdout(text)
      else terminal.stderr(text)
      return asksHelp ? 0 : 2
    }
    terminal.stderr(`error: Expected a command before \`${stray}\`, got none. Run \`${programCall('--help')}\`.\n`)
    return 2
  }
  const typed = words.slice(0, unknownInGroup ? 2 : 1).join(' ')
  const near = suggest(typed, names) ?? suggest(words.slice(0, 2).join(' '), names)
  const hint = near === undefined ? '' : ` Did you mean \`${near}\`?`
  terminal.stderr(`error: Unknown command \`${typed}\`.${hint} Run \`${programCall('--help')}\` for the list.\n`)
  return 2
}

const overview = async (
  names: readonly string[],
  commands: CommandRegistry,
  catalogue?: Catalogue,
): Promise<string> => {
  const rows = await Promise.all(
    names.map(async (name) => {
      if (catalogue?.[name] !== undefined) return [name, catalogue[name].summary] as const
      // A command whose libraries cannot load must not hide the others, least of all `setup` and `doctor`.
      const summary = await commands[name]().then(
        (command) => command.summary,
        (error) => `(cannot load: ${describeError(error)})`,
      )
      return [name, summary] as const
    }),
  )
  const width = Math.max(0, ...names.map((name) => name.length)) + 2
  const lines = rows.flatMap(([name, summary]) => wrapNote(`  ${name.padEnd(width)}${summary}`))
  return [
    `Usage: ${programName()} <command> [options]`,
    '',
    'Pretrain and fine-tune language models in TypeScript.',
    '',
    'Commands:',
    ...lines,
    '',
    `Run \`${programName()} <command> --help\` for its options and an example.`,
    '',
  ].join('\n')
}

type Settings = Pick<CommandContext, 'json' | 'withFlags'>

const createContext = (
  { json, withFlags }: Settings,
  terminal: Terminal,
  signal: AbortSignal,
  group?: ProcessGroup,
): CommandContext => ({
  json,
  signal,
  group,
  withFlags,
  progress: group?.first === false ? (options) => createProgress({ ...options, enabled: false }) : createProgress,
  log: (line) => terminal.stderr(`${withFlags(line)}\n`),
  warn: (line) => terminal.stderr(`warning: ${withFlags(line)}\n`),
  write: (text) => (json ? terminal.stderr(text) : terminal.stdout(text)),
  emit: (value) => terminal.stdout(`${toJson(value)}\n`),
})

/** The message of an error that users can cause; any other error with its class and how to see its stack. */
const describeError = (error: unknown): string => {
  if (process.env.TUNESMITH_DEBUG && error instanceof Error) return error.stack ?? error.message
  if (error instanceof TunesmithError || error instanceof UsageError) return error.message
  if (!(error instanceof Error)) return String(error)
  const message = error.message.split('\n')[0]
  const system = error as NodeJS.ErrnoException
  if (system.syscall !== undefined && system.path !== undefined) {
    return `Cannot ${system.syscall} \`${system.path}\`: ${systemFault(error)?.words ?? system.code}.`
  }
  const fault = beginFault(error)
  if (fault !== undefined && system.code !== undefined) return `${fault} (${system.code}).`
  return `${error.name}: ${message} (set TUNESMITH_DEBUG=1 for the stack)`
}

const isTypedArray = (value: unknown): value is NodeJS.TypedArray =>
  ArrayBuffer.isView(value) && !(value instanceof DataView)

const toJson = (result: unknown): string =>
  JSON.stringify(result ?? null, (_key, value: unknown) => {
    if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
    if (value instanceof Map) return Object.fromEntries(value)
    if (value instanceof Set) return [...value]
    if (isTypedArray(value)) return Array.from<unknown>(value)
    return value
  })
