// The flags of `--help` that depend on a choice, such as those of a task: the general help leaves them out and names the
// choice, `--help --task X` shows them.
import type { z } from 'zod'
import type { ArgumentSpec, HelpChoice } from './command.ts'
import type { FlagHelp } from './command-help.ts'
import { type Flag, flagsOf } from './flags.ts'

/** A choice with the flags that belong to each of its values. */
export interface ChoiceHelp {
  /** Flag or positional argument that chooses: `task`, `optimizer.type`. */
  choice: string
  types: Record<string, FlagHelp[]>
}

const named = (part: string, name: string): string => (part === '' ? name : `${part}.${name}`)

/** The flag as it is parsed: a name in capitals keeps them. */
const spelling = ({ name, path: [key] }: Flag): string => (key === key.toUpperCase() ? key : name)

/** Flags of a part by the type that has them; those that every type has are general. */
const ofPart = ({ choice, part, schemas }: HelpChoice, describe: (flag: Flag) => FlagHelp): ChoiceHelp => {
  const byType = Object.entries(schemas).map(
    ([type, schema]) => [type, flagsOf(schema as z.ZodObject).filter(({ name }) => name !== 'type')] as const,
  )
  const isGeneral = ({ name }: Flag) =>
    part === '' && byType.every(([, flags]) => flags.some((other) => other.name === name))
  return {
    choice,
    types: Object.fromEntries(
      byType.map(([type, flags]) => [
        type,
        flags
          .filter((flag) => !isGeneral(flag))
          .map((flag) => ({ ...describe(flag), name: named(part, spelling(flag)), group: `${choice} ${type}:` })),
      ]),
    ),
  }
}

/** Flags of the branches of unions in the options, such as those of one optimizer. */
const ofUnions = (flags: readonly Flag[], describe: (flag: Flag) => FlagHelp): ChoiceHelp[] => {
  const found = new Map<string, ChoiceHelp>()
  for (const flag of flags) {
    if (flag.of === undefined) continue
    const { choice, types } = flag.of
    const entry = found.get(choice) ?? { choice, types: {} }
    found.set(choice, entry)
    for (const type of types)
      entry.types[type] = [...(entry.types[type] ?? []), { ...describe(flag), group: `${choice} ${type}:` }]
  }
  return [...found.values()]
}

/** Every choice of a command, one entry for each flag that chooses. */
export const choicesHelp = (
  flags: readonly Flag[],
  choices: readonly HelpChoice[],
  describe: (flag: Flag) => FlagHelp,
): ChoiceHelp[] => {
  const merged = new Map<string, ChoiceHelp>()
  for (const { choice, types } of [...choices.map((one) => ofPart(one, describe)), ...ofUnions(flags, describe)]) {
    const entry = merged.get(choice) ?? { choice, types: {} }
    merged.set(choice, entry)
    for (const [type, own] of Object.entries(types)) entry.types[type] = [...(entry.types[type] ?? []), ...own]
  }
  return [...merged.values()].filter(({ types }) => Object.values(types).some((own) => own.length > 0))
}

/** Flags that the general help leaves out. */
export const chosenFlags = (choices: readonly ChoiceHelp[]): Set<string> =>
  new Set(choices.flatMap(({ types }) => Object.values(types).flatMap((own) => own.map(({ name }) => name))))

/** The word that a command line has for a flag or, without one, for the positional argument of that name. */
const wordFor = (argv: readonly string[], choice: string, specs: readonly ArgumentSpec[]): string | undefined => {
  const flag = `--${choice}`
  const at = argv.findIndex((word) => word === flag || word.startsWith(`${flag}=`))
  if (at >= 0) return argv[at] === flag ? argv[at + 1] : argv[at].slice(flag.length + 1)
  return specs[0]?.name === choice && argv[0] !== undefined && !argv[0].startsWith('-') ? argv[0] : undefined
}

/** The flags of the choices that a command line makes; undefined if it makes none that is known. */
export const flagsChosenBy = (
  argv: readonly string[],
  choices: readonly ChoiceHelp[],
  specs: readonly ArgumentSpec[],
): FlagHelp[] | undefined => {
  const made = choices.flatMap(({ choice, types }) => {
    const word = wordFor(argv, choice, specs)
    return word !== undefined && Object.hasOwn(types, word) ? [types[word]] : []
  })
  return made.length === 0 ? undefined : made.flat()
}

/** Words wrapped to lines of at most 80 columns, below one another at `indent`. */
export const wrapWords = (
  head: string,
  words: readonly string[],
  indent: number | string = 2,
  width = 80,
): string[] => {
  const before = typeof indent === 'string' ? indent : ' '.repeat(indent)
  const lines = [head]
  for (const word of words) {
    const line = lines[lines.length - 1]
    if (line.length + 1 + word.length <= width) lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
    else lines.push(`${before}${word}`)
  }
  return lines
}

/** A line of notes in 80 columns: what does not fit continues below its last column. */
export const wrapNote = (line: string): string[] => {
  if (line.length <= 80) return [line]
  const columns = /^.*\S {2,}(?=\S)/.exec(line)?.[0] ?? /^ */.exec(line)![0]
  const [first, ...words] = line.slice(columns.length).split(' ')
  return wrapWords(`${columns}${first}`, words, columns.length)
}

/** A command line in lines that a shell reads as one: it is broken before flags alone, so that quoted texts stay whole. */
export const wrapExample = (call: string): string[] => {
  const lines: string[] = []
  let line = '  $'
  const add = (part: string, indent: string): void => {
    if (line !== '  $' && line.length + part.length + 3 > 80) {
      lines.push(`${line} \\`)
      line = `${indent}${part}`
    } else line += ` ${part}`
  }
  // A flag with several long values is a line too long.
  for (const part of call.split(/ (?=--\w)/))
    if (part.length > 70)
      for (const [i, value] of part.split(' ').entries()) add(value, i === 0 ? '      ' : '        ')
    else add(part, '      ')
  return [...lines, line]
}

/** Lines that name the choices whose flags are left out. */
export const choiceLines = (choices: readonly ChoiceHelp[], call: string, specs: readonly ArgumentSpec[]): string[] => {
  if (choices.length === 0) return []
  const spelled = ({ choice }: ChoiceHelp) => (specs[0]?.name === choice ? `${choice.toUpperCase()}` : `--${choice}`)
  const [first] = choices
  const [type] = Object.keys(first.types)
  const example =
    specs[0]?.name === first.choice ? `${call} ${type} --help` : `${call} --help --${first.choice} ${type}`
  return [
    'Options by choice, shown with the choice:',
    `  $ ${example}`,
    ...choices.flatMap((one) => {
      const types = Object.keys(one.types).filter((type) => one.types[type].length > 0)
      return wrapWords(
        `  ${spelled(one)}`,
        types.map((type, i) => (i < types.length - 1 ? `${type},` : type)),
        4,
      )
    }),
  ]
}
