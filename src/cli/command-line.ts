// One command line read against one command: flags, recipe and arguments become checked options. Prints nothing itself.
import { Argument as CommanderArgument, Command as CommanderCommand, CommanderError, Option } from 'commander'
import { parseConfig } from '../core/index.ts'
import type { Command } from './command.ts'
import {
  arity,
  choicesOf,
  coerceTexts,
  type Flag,
  flagsOf,
  isList,
  kebab,
  mergeOver,
  placeholder,
  setAt,
  spellMapFlags,
  withDefaultKinds,
} from './flags.ts'
import { readRecipeFile } from './recipe-file.ts'

/** A command line that cannot be read; the message is one line. */
export class UsageError extends Error {
  override name = 'UsageError'
}

export type ParsedLine =
  | { kind: 'help'; text: string }
  | {
      kind: 'run'
      options: Record<string, unknown>
      args: Record<string, string | string[] | undefined>
      json: boolean
    }

/** @throws UsageError for unknown flags, ConfigError for values that do not fit. */
export async function parseCommandLine(command: Command, argv: readonly string[]): Promise<ParsedLine> {
  const flags = flagsOf(command.options)
  let help = ''
  const parser = buildParser(command, flags)
  parser.configureOutput({ writeOut: (text) => (help += text), writeErr: () => {} })
  try {
    parser.parse(spellMapFlags(argv, flags), { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.code === 'commander.helpDisplayed') return { kind: 'help', text: help }
    throw new UsageError(`${oneLine(error.message)} Run \`tunesmith ${command.name} --help\`.`)
  }
  const given = readFlags(parser, flags)
  const recipe = parser.getOptionValue('recipe')
  const own = flags.some((flag) => flag.name === 'recipe')
  const merged = own || recipe === undefined ? given : mergeOver(await readRecipeFile(String(recipe)), given)
  const options = parseConfig(command.options, withDefaultKinds(command.options, merged), flagPath)
  const specs = command.arguments ?? []
  const args = Object.fromEntries(
    specs.map((spec, i) => [spec.name, parser.processedArgs[i] as string | string[] | undefined]),
  )
  return { kind: 'run', options, args, json: parser.getOptionValue('json') === true }
}

function flagPath(path: readonly PropertyKey[]): string {
  if (path.length === 0) return 'options'
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`
    return `${text}${text === '' ? '--' : '.'}${kebab(String(key))}`
  }, '')
}

/** Commander's message as one sentence of ours, with its suggestion as another. */
function oneLine(message: string): string {
  const [first, ...rest] = message.replace(/^error: /, '').split('\n')
  const sentence = `${first[0].toUpperCase()}${first.slice(1)}`.replaceAll("'", '`')
  const hint = /\(Did you mean (one of )?(.*?)\?\)/.exec(rest.join(' '))
  return `${/[.?!]$/.test(sentence) ? sentence : `${sentence}.`}${hint === null ? '' : ` Did you mean \`${hint[2]}\`?`}`
}

function buildParser(command: Command, flags: readonly Flag[]): CommanderCommand {
  const parser = new CommanderCommand(`tunesmith ${command.name}`)
    .summary(command.summary)
    .description(`${command.summary}.`)
    .allowExcessArguments(false)
    .showHelpAfterError(false)
    .exitOverride()
  const specs = command.arguments ?? []
  for (const spec of specs) {
    const inner = spec.variadic ? `${spec.name}...` : spec.name
    parser.addArgument(new CommanderArgument(spec.optional ? `[${inner}]` : `<${inner}>`, spec.description))
  }
  // Without positional arguments `--data a b c` can only mean three values; with them it must be repeated instead.
  const spread = specs.length === 0
  for (const flag of flags) addFlag(parser, flag, spread)
  if (flags.length > 0 && !flags.some((flag) => flag.name === 'recipe')) {
    parser.option('--recipe <file>', 'options from a .ts, .yaml or .json file; flags given here win')
  }
  parser.option('--json', 'print the result as one JSON document on stdout')
  const notes = (command.notes ?? []).map((line) => `${line}\n`).join('')
  parser.addHelpText('after', `\nExample:\n  $ ${command.example}\n${notes === '' ? '' : `\n${notes}`}`)
  parser.configureHelp({ helpWidth: Math.min(process.stdout.columns ?? 100, 120) })
  return parser
}

function addFlag(parser: CommanderCommand, flag: Flag, spread: boolean): void {
  const collect = (text: string, previous: unknown) => (Array.isArray(previous) ? [...previous, text] : [text])
  const group = flag.path.length > 1 ? `${flag.path.slice(0, -1).join('.')} options:` : 'Options:'
  const text = describe(flag)
  const kind = arity(flag)
  if (kind === 'value') {
    const dots = isList(flag) && spread ? '...' : ''
    parser.addOption(
      new Option(`--${flag.name} <${placeholder(flag)}${dots}>`, text).argParser(collect).helpGroup(group),
    )
    return
  }
  const takes = kind === 'optional' ? ` [${placeholder(flag)}]` : ''
  const positive = new Option(`--${flag.name}${takes}`, text).helpGroup(group)
  // The text says what the setting does, and this flag the opposite.
  const negative = new Option(`--no-${flag.name}`, text === '' ? '' : `turn off: ${text}`).helpGroup(group)
  // A switch that is on by default is only worth showing by the flag that turns it off.
  if (flag.defaultValue === true) positive.hideHelp()
  else negative.hideHelp()
  parser.addOption(positive).addOption(negative)
}

function describe(flag: Flag): string {
  const notes: string[] = []
  const choices = choicesOf(flag)
  if (choices.length > 0 && placeholder(flag) !== choices.join('|')) notes.push(`one of ${choices.join(', ')}`)
  if (isList(flag)) notes.push('repeatable')
  if (flag.required) notes.push('required')
  const { defaultValue, defaultVaries } = flag
  if (defaultVaries) {
    notes.push('default by type')
    return `${flag.description} (${notes.join('; ')})`.trim()
  }
  const silent = defaultValue === undefined || typeof defaultValue === 'boolean' || typeof defaultValue === 'function'
  if (!silent) notes.push(`default: ${typeof defaultValue === 'string' ? defaultValue : JSON.stringify(defaultValue)}`)
  return notes.length === 0 ? flag.description : `${flag.description} (${notes.join('; ')})`.trim()
}

function readFlags(parser: CommanderCommand, flags: readonly Flag[]): Record<string, unknown> {
  const given: Record<string, unknown> = {}
  for (const flag of flags) {
    const key = new Option(`--${flag.name}`).attributeName()
    if (parser.getOptionValueSource(key) !== 'cli') continue
    const value: unknown = parser.getOptionValue(key)
    if (typeof value === 'boolean') setAt(given, flag.path, value)
    else setAt(given, flag.path, coerceTexts(Array.isArray(value) ? value.map(String) : [String(value)], flag))
  }
  return given
}
