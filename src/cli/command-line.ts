// Parses the command line of one command: flags, recipe and arguments become checked options. Prints nothing itself.
import { type Command as CommanderCommand, CommanderError, Option } from 'commander'
import { z } from 'zod'
import { ConfigError, parseConfig, programCall, unwrap } from '../core/index.ts'
import type { Command } from './command.ts'
import { type CommandHelp, helpOf, helpText, parserOf } from './command-help.ts'
import { dataFlagNaming, flagNaming } from './flag-names.ts'
import { coerceTexts, type Flag, flagsOf, kebab, mergeOver, setAt, spellMapFlags, withDefaultKinds } from './flags.ts'
import { readRecipeFile } from './recipe-file.ts'

/** A command line that cannot be read; the message is one line. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** A command line to run. */
export interface ParsedRun {
  kind: 'run'
  options: Record<string, unknown>
  args: Record<string, string | string[] | undefined>
  json: boolean
  /** Names settings of messages as this command line does. */
  withFlags(text: string): string
  /** As `withFlags`, for errors of data, whose names in backquotes are mostly no settings. */
  withDataFlags(text: string): string
}

export type ParsedLine = { kind: 'help'; text: string } | ParsedRun

/** Whether a command line has the flag `--use`, whose modules may add flags and choices. */
export const usesModules = (argv: readonly string[]): boolean =>
  argv.some((word) => word === '--use' || word.startsWith('--use='))

/** Whether a command line asks for help, before a `--`. */
export const wantsHelp = (argv: readonly string[]): boolean => {
  const end = argv.indexOf('--')
  return argv.slice(0, end < 0 ? argv.length : end).some((word) => word === '--help' || word === '-h')
}

/** The words that a command line has for a flag, before it is parsed. */
const wordsOf = (argv: readonly string[], flag: string): string[] => {
  const words: string[] = []
  for (let i = 0; i < argv.length && argv[i] !== '--'; i++) {
    if (argv[i].startsWith(`${flag}=`)) words.push(argv[i].slice(flag.length + 1))
    if (argv[i] !== flag) continue
    while (i + 1 < argv.length && !argv[i + 1].startsWith('-')) words.push(argv[++i])
  }
  return words.flatMap((word) => word.split(','))
}

/** Imports the modules of `--use`, of the recipe, and of the run of `--model`, before flags are made of the schemas. Returns the recipe if it was read. */
const importModules = async (command: Command, argv: readonly string[]) => {
  if (!('use' in command.options.shape)) return undefined
  const named = wordsOf(argv, '--use')
  const [path] = wordsOf(argv, '--recipe')
  const recipe = path === undefined || wantsHelp(argv) ? undefined : await readRecipeFile(path)
  const use = named.length > 0 ? named : recipe?.use
  const [model] = 'model' in command.options.shape ? wordsOf(argv, '--model') : []
  if (use !== undefined || model !== undefined) {
    const { useModules, useModulesOf } = await import('../runs/index.ts')
    if (use !== undefined) await useModules(use)
    if (model !== undefined) await useModulesOf(model)
  }
  return recipe
}

/**
 * A recipe says which command it is for. Its other keys would each be another fault of a command that has none of them.
 * @throws ConfigError that names the command of the recipe
 */
const expectOwnRecipe = async ({ name, options }: Command, recipe: object, path: string): Promise<void> => {
  const kind = options.shape.command === undefined ? undefined : unwrap(options.shape.command)
  const { command: given } = recipe as { command?: unknown }
  if (!(kind instanceof z.ZodLiteral) || given === undefined || kind.values.has(given as string)) return
  const { startOf } = await import('../runs/index.ts')
  startOf(given)
  const [own] = kind.values
  // A plan of a run of any kind is also that of its own command.
  const words = [String(given), '--recipe', path, ...(name === own ? [] : ['--dry-run'])]
  throw new ConfigError(
    `Expected a recipe of \`${own}\` for \`--recipe\`, got one of \`${given}\` in ${path}. Run it with \`${programCall(words[0], ...words.slice(1))}\`.`,
  )
}

/** @throws UsageError for unknown flags, ConfigError for values that do not fit. */
export const parseCommandLine = async (command: Command, argv: readonly string[]): Promise<ParsedLine> => {
  const recipe = await importModules(command, argv)
  const flags = flagsOf(command.options)
  const page = helpOf(command)
  if (wantsHelp(argv)) return { kind: 'help', text: helpText(page, argv) }
  const parser = parserOf(page)
  parser.configureOutput({ writeOut: () => {}, writeErr: () => {} })
  try {
    parser.parse(spellMapFlags(argv, flags), { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    throw new UsageError(`${oneLine(error.message, flagNames(page))} Run \`${programCall(command.name)} --help\`.`)
  }
  const given = readFlags(parser, flags)
  const path = parser.getOptionValue('recipe')
  const own = flags.some((flag) => flag.name === 'recipe')
  const file = own || path === undefined ? undefined : (recipe ?? (await readRecipeFile(String(path))))
  if (file !== undefined) await expectOwnRecipe(command, file, String(path))
  const merged = file === undefined ? given : mergeOver(file, given)
  const options = parseConfig(command.options, withDefaultKinds(command.options, merged), flagPath)
  const specs = command.arguments ?? []
  const args = Object.fromEntries(
    specs.map((spec, i) => [spec.name, parser.processedArgs[i] as string | string[] | undefined]),
  )
  const [withFlags, withDataFlags] =
    path === undefined ? [flagNaming(flags), dataFlagNaming(flags)] : [(text: string) => text, (text: string) => text]
  return { kind: 'run', options, args, json: parser.getOptionValue('json') === true, withFlags, withDataFlags }
}

const flagPath = (path: readonly PropertyKey[]): string => {
  if (path.length === 0) return 'options'
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`
    return `${text}${text === '' ? '--' : '.'}${kebab(String(key))}`
  }, '')
}

/** At most this many flags are suggested. */
const mostSuggested = 3

/** The names of all flags of a command, with those that only some choices have, such as an architecture. */
const flagNames = ({ flags, choices }: CommandHelp): string[] => {
  const all = [...flags, ...choices.flatMap(({ types }) => Object.values(types).flat())]
  return [...new Set(all.map(({ name }) => name))]
}

/** Flags that end as an unknown one does, with another path before it: those that share most of its path. */
const misplaced = (typed: string, names: readonly string[]): string[] => {
  const parts = typed.split('.')
  const found = names.map((name) => name.split('.')).filter((own) => own.at(-1) === parts.at(-1))
  const sharedBy = (own: readonly string[]) => parts.findIndex((part, i) => part !== own[i])
  const most = Math.max(...found.map(sharedBy))
  return found.filter((own) => sharedBy(own) === most).map((own) => `--${own.join('.')}`)
}

/** Commander's message as one sentence, followed by its suggestion, or by flags that end as an unknown one does. */
const oneLine = (message: string, names: readonly string[]): string => {
  const [first, ...rest] = message.replace(/^error: /, '').split('\n')
  const sentence = `${first[0].toUpperCase()}${first.slice(1)}`.replaceAll("'", '`')
  const hint = /\(Did you mean (one of )?(.*?)\?\)/.exec(rest.join(' '))
  const unknown = /^unknown option '--([^'=]+)/.exec(first)
  const near = hint !== null ? hint[2].split(', ') : unknown === null ? [] : misplaced(unknown[1], names)
  const shown = near.length > mostSuggested ? [] : near.map((flag) => `\`${flag}\``)
  return `${/[.?!]$/.test(sentence) ? sentence : `${sentence}.`}${shown.length === 0 ? '' : ` Did you mean ${shown.join(' or ')}?`}`
}

const readFlags = (parser: CommanderCommand, flags: readonly Flag[]): Record<string, unknown> => {
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
