// The help of a command as plain data: what `--help` prints, completion offers and the parser of its command line knows.
// It can be written to a file and read again, without the command's code or its schema.

import { Argument as CommanderArgument, Command as CommanderCommand, Help, Option } from 'commander'
import { programName, withProgramName } from '../core/index.ts'
import type { ArgumentSpec, Command } from './command.ts'
import { arity, choicesOf, type Flag, flagsOf, isList, placeholder } from './flags.ts'
import {
  type ChoiceHelp,
  choiceLines,
  choicesHelp,
  chosenFlags,
  flagsChosenBy,
  wrapExample,
  wrapNote,
} from './help-choices.ts'

export interface FlagHelp {
  /** Without its dashes: `vocab-size`, `model.hidden-size`. */
  name: string
  /** The description, with choices and the default behind it. */
  text: string
  /** The heading it is listed under. */
  group: string
  placeholder: string
  /** `switch` takes no value, `optional` may take one, `value` must. */
  arity: 'switch' | 'optional' | 'value'
  list: boolean
  /** The values it is limited to, or an empty list. */
  choices: string[]
  required: boolean
  /** A switch that is on by default is listed by the flag that turns it off. */
  on: boolean
}

export interface CommandHelp {
  name: string
  summary: string
  example: string
  notes: readonly string[]
  arguments: readonly ArgumentSpec[]
  flags: FlagHelp[]
  /** Flags by the choice that has them; the general help leaves them out. */
  choices: ChoiceHelp[]
  /** The command defines `--recipe` itself. */
  ownRecipe: boolean
}

/** Command names to their help, in the order of `--help`. */
export type Catalogue = Record<string, CommandHelp>

/** Required flags come first. */
export const helpOf = (command: Command): CommandHelp => {
  const flags = flagsOf(command.options)
  const { name, summary, example, notes = [], arguments: specs = [] } = command
  const choices = choicesHelp(flags, command.choices?.() ?? [], flagHelp)
  const ownRecipe = flags.some((flag) => flag.name === 'recipe')
  const sorted = flags.map(flagHelp).sort((a, b) => Number(b.required) - Number(a.required))
  return { name, summary, example, notes, arguments: specs, flags: sorted, choices, ownRecipe }
}

const flagHelp = (flag: Flag): FlagHelp => ({
  name: flag.name,
  text: describe(flag),
  group: flag.path.length > 1 ? `${flag.path.slice(0, -1).join('.')} options:` : 'Options:',
  placeholder: placeholder(flag),
  arity: arity(flag),
  list: isList(flag),
  choices: choicesOf(flag),
  required: flag.required,
  on: flag.defaultValue === true,
})

const describe = (flag: Flag): string => {
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

/** True when the command takes `--recipe` without defining it: every command with flags does. */
export const takesRecipe = ({ flags, ownRecipe }: CommandHelp): boolean => flags.length > 0 && !ownRecipe

/** The commander parser of a command line; it reads values as texts. */
export const parserOf = (help: CommandHelp, notes: readonly string[] = []): CommanderCommand => {
  const parser = new CommanderCommand(`${programName()} ${help.name}`)
    .summary(help.summary)
    .description(`${help.summary}.`)
    .allowExcessArguments(false)
    .showHelpAfterError(false)
    .exitOverride()
  for (const spec of help.arguments) {
    const inner = spec.variadic ? `${spec.name}...` : spec.name
    parser.addArgument(new CommanderArgument(spec.optional ? `[${inner}]` : `<${inner}>`, spec.description))
  }
  // Without positional arguments `--data a b c` can only mean three values; with them the flag must be repeated instead.
  const spread = help.arguments.length === 0
  for (const flag of help.flags) addFlag(parser, flag, spread)
  if (takesRecipe(help))
    parser.option('--recipe <file>', 'options from a .ts, .yaml or .json file; flags override them')
  parser.option('--json', 'print the result as one JSON document on stdout')
  parser.addHelpText(
    'after',
    `\nExample:\n${wrapExample(withProgramName(help.example)).join('\n')}\n${notes.length === 0 ? '' : `\n${notes.flatMap((line) => wrapNote(withProgramName(line))).join('\n')}\n`}`,
  )
  parser.configureHelp({ helpWidth: Math.min(process.stdout.columns ?? 80, 120), padWidth, formatItem })
  return parser
}

const addFlag = (parser: CommanderCommand, flag: FlagHelp, spread: boolean): void => {
  const collect = (text: string, previous: unknown) => (Array.isArray(previous) ? [...previous, text] : [text])
  const { name, text, group } = flag
  if (flag.arity === 'value') {
    const dots = flag.list && spread ? '...' : ''
    parser.addOption(new Option(`--${name} <${flag.placeholder}${dots}>`, text).argParser(collect).helpGroup(group))
    return
  }
  const takes = flag.arity === 'optional' ? ` [${flag.placeholder}]` : ''
  const positive = new Option(`--${name}${takes}`, text).helpGroup(group)
  // The description is that of the setting, and this flag does the opposite.
  const negative = new Option(`--no-${name}`, text === '' ? '' : `turn off: ${text}`).helpGroup(group)
  if (flag.on) positive.hideHelp()
  else negative.hideHelp()
  parser.addOption(positive).addOption(negative)
}

/** Column of the descriptions at most; longer flags have a line of their own. */
const widestFlag = 32

const padWidth = (command: CommanderCommand, helper: Help): number =>
  Math.min(widestFlag, Help.prototype.padWidth.call(helper, command, helper))

function formatItem(this: Help, term: string, width: number, text: string, helper: Help): string {
  const format = (flag: string) => Help.prototype.formatItem.call(this, flag, width, text, helper)
  return term.length <= width || text === '' ? format(term) : `  ${term}\n${format('')}`
}

/** The text of `--help`: general flags, or those of the choices that the command line makes. */
export const helpText = (help: CommandHelp, argv: readonly string[] = []): string => {
  const { choices, arguments: specs, flags } = help
  const chosen = flagsChosenBy(argv, choices, specs)
  // Its name is replaced by the call where the notes are written.
  const call = `tunesmith ${help.name}`
  const hidden = chosenFlags(choices)
  const notes =
    chosen === undefined
      ? [...help.notes, ...spaced(choiceLines(choices, call, specs), help.notes.length > 0)]
      : [`General options: ${call} --help`]
  const shown = { ...help, flags: chosen ?? flags.filter(({ name }) => !hidden.has(name)) }
  let text = ''
  const parser = parserOf(shown, notes).configureOutput({ writeOut: (part) => (text += part), writeErr: () => {} })
  parser.outputHelp()
  return text
}

const spaced = (lines: readonly string[], after: boolean): string[] =>
  lines.length > 0 && after ? ['', ...lines] : [...lines]
