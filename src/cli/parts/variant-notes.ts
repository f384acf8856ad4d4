// Lines of `--help` for the settings of all fine-tuning variants: one per setting, with the variants that have it.
import { variantSettings } from '../../runs/index.ts'
import { choicesOf, type Flag, flagsOf, placeholder } from '../flags.ts'

const indent = 42
const width = 120

/** Wraps a description to the right of the column of names. */
const wrapped = (head: string, text: string): string[] => {
  const lines: string[] = []
  let line = head.length < indent - 1 ? head.padEnd(indent) : head
  if (head.length >= indent - 1) {
    lines.push(line)
    line = ' '.repeat(indent)
  }
  for (const word of text.split(' ')) {
    if (line.length > indent && line.length + 1 + word.length > width) {
      lines.push(line)
      line = ' '.repeat(indent)
    }
    line += line.length > indent ? ` ${word}` : word
  }
  return [...lines, line]
}

const placeOf = (flag: Flag): string => {
  const isSwitch = flag.schemas.every((schema) => schema.type === 'boolean')
  return isSwitch ? '' : ` <${placeholder(flag)}>`
}

/** The flag as it is parsed: a name in capitals keeps them. */
const spelling = ({ name, path: [key] }: Flag): string => (key === key.toUpperCase() ? key : name)

const defaultsOf = (defaults: readonly unknown[]): string => {
  const distinct = new Set(defaults.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))))
  if (distinct.size > 1) return ' (default by variant)'
  const [only] = distinct
  return only === undefined || only === 'false' ? '' : ` (default: ${only})`
}

const choicesIn = (flag: Flag): string => {
  const choices = choicesOf(flag)
  return choices.length === 0 || placeholder(flag) === choices.join('|') ? '' : ` (one of ${choices.join(', ')})`
}

const notes = (): string[] => {
  const found = new Map<string, { flag: Flag; of: string[]; defaults: unknown[] }>()
  for (const { of, schema } of variantSettings())
    for (const flag of flagsOf(schema)) {
      const key = `${flag.name} ${flag.description}`
      const known = found.get(key) ?? { flag, of: [], defaults: [] }
      known.of.push(of)
      known.defaults.push(flag.defaultValue)
      found.set(key, known)
    }
  return [
    'Adapter options, by variant or learner:',
    ...[...found.values()].flatMap(({ flag, of, defaults }) =>
      wrapped(
        `  --adapter.${spelling(flag)}${placeOf(flag)}`,
        `${of.join(', ')}: ${flag.description}${choicesIn(flag)}${defaultsOf(defaults)}`,
      ),
    ),
  ]
}

export const variantNotes: readonly string[] = notes()
