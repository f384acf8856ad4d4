// Completion scripts of the shells, from the catalogue of commands. They are complete in themselves: pressing Tab starts no
// process of ours.
import { programCall } from '../../core/index.ts'
import { type Catalogue, type CommandHelp, type FlagHelp, takesRecipe } from '../command-help.ts'

/** The shells that have a completion script. */
export const shells = ['bash', 'zsh', 'fish'] as const

export type Shell = (typeof shells)[number]

/** The completion script of a shell. */
export const completionScript = (shell: Shell, catalogue: Catalogue): string => writers[shell](catalogue)

interface Completion {
  flag: string
  description: string
  /** False for a switch. */
  takesValue: boolean
  /** The values to offer; file names where a value is free text, nothing where it is a number. */
  values: string[] | 'files' | 'none'
}

const completionsOf = (help: CommandHelp): Completion[] => {
  const names = new Set(help.flags.map(({ name }) => name))
  // Settings of a map, such as those of a variant.
  const inMaps = help.choices.flatMap(({ types }) => Object.values(types).flat()).filter(({ name }) => !names.has(name))
  const distinct = new Map([...help.flags, ...inMaps].map((flag) => [flag.name, flag]))
  const own = [...distinct.values()].map((flag) => ({
    flag: flag.on ? `--no-${flag.name}` : `--${flag.name}`,
    description: flag.on ? `turn off: ${flag.text}` : flag.text,
    takesValue: flag.arity === 'value',
    values: valuesOf(flag),
  }))
  const recipe = { flag: '--recipe', description: 'options from a file', takesValue: true, values: 'files' as const }
  const json = { flag: '--json', description: 'print the result as JSON', takesValue: false, values: 'none' as const }
  const page = { flag: '--help', description: 'print the help', takesValue: false, values: 'none' as const }
  return [...own, ...(takesRecipe(help) ? [recipe] : []), json, page]
}

const valuesOf = ({ choices, placeholder }: FlagHelp): Completion['values'] => {
  if (choices.length > 0) return choices
  return placeholder === 'n' ? 'none' : 'files'
}

/** First words with what may follow them: nothing for most, a second word for `corpus` and `tokenizer`. */
const wordsOf = (catalogue: Catalogue): Map<string, string[]> => {
  const words = new Map<string, string[]>()
  for (const name of Object.keys(catalogue)) {
    const [first, second] = name.split(' ')
    words.set(first, [...(words.get(first) ?? []), ...(second === undefined ? [] : [second])])
  }
  return words
}

/** The values of the positional arguments; none means file names. */
const argumentValues = (help: CommandHelp): string[] => help.arguments.flatMap(({ choices = [] }) => choices)

const withValue = (help: CommandHelp): Completion[] => completionsOf(help).filter(({ takesValue }) => takesValue)

const bash = (catalogue: Catalogue): string => {
  const words = wordsOf(catalogue)
  const groups = [...words].filter(([, seconds]) => seconds.length > 0)
  const flags = Object.entries(catalogue).map(
    ([name, help]) =>
      `    '${name}') flags='${completionsOf(help)
        .map(({ flag }) => flag)
        .join(' ')}' words='${argumentValues(help).join(' ')}' ;;`,
  )
  const values = Object.entries(catalogue).flatMap(([name, help]) =>
    withValue(help).map(({ flag, values: offered }) => {
      if (offered === 'files') return `    '${name} ${flag}') files=1 ;;`
      return `    '${name} ${flag}') values=${quoted(offered === 'none' ? '' : offered.join(' '))}; value=1 ;;`
    }),
  )
  return `# bash completion of tunesmith. Install: ${programCall('completion bash')} > ~/.local/share/bash-completion/completions/tunesmith
_tunesmith() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  local command="\${COMP_WORDS[1]}" flags='' words='' values='' value='' files=''
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${[...words.keys()].join(' ')} --help --version' -- "$current"))
    return
  fi
  case "$command" in
${groups.map(([first, seconds]) => `    ${first}) if [ "$COMP_CWORD" -eq 2 ]; then COMPREPLY=($(compgen -W '${seconds.join(' ')}' -- "$current")); return; fi; command="$command \${COMP_WORDS[2]}" ;;`).join('\n')}
  esac
  case "$command $previous" in
${values.join('\n')}
  esac
  if [ -n "$value" ]; then COMPREPLY=($(compgen -W "$values" -- "$current")); return; fi
  case "$command" in
${flags.join('\n')}
  esac
  if [ -z "$files" ] && [[ "$current" == -* ]]; then COMPREPLY=($(compgen -W "$flags" -- "$current")); return; fi
  if [ -z "$files" ] && [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$current")); return; fi
  compopt -o filenames 2>/dev/null
  local IFS=$'\\n'
  COMPREPLY=($(compgen -f -- "$current"))
}
complete -F _tunesmith tunesmith
`
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** A description that fits one line of a menu. */
const short = (text: string): string => (text.length > 80 ? `${text.slice(0, 79)}…` : text)

const zsh = (catalogue: Catalogue): string => {
  const words = wordsOf(catalogue)
  // A colon separates a word from its description, and brackets enclose the description of a flag.
  const menu = (entries: [string, string][]) =>
    entries.map(([word, text]) => quoted(`${word}:${short(text).replaceAll(':', '\\:')}`)).join(' ')
  const summaryOf = (first: string) => catalogue[first]?.summary ?? `${words.get(first)?.join(', ')}`
  const argument = ({ flag, description, takesValue, values }: Completion) => {
    const text = short(description)
      .replace(/[[\]\\]/g, '\\$&')
      .replaceAll(':', '\\:')
    if (!takesValue) return quoted(`*${flag}[${text}]`)
    const action = values === 'files' ? '_files' : values === 'none' ? '' : `(${values.map(escapeZsh).join(' ')})`
    return quoted(`*${flag}[${text}]:value:${action}`)
  }
  const cases = Object.entries(catalogue).map(([name, help]) => {
    const words = argumentValues(help)
    const rest = words.length > 0 ? quoted(`*:value:(${words.map(escapeZsh).join(' ')})`) : "'*:file:_files'"
    return `    ${quoted(name)}) _arguments ${[...completionsOf(help).map(argument), rest].join(' ')} ;;`
  })
  const groups = [...words].filter(([, seconds]) => seconds.length > 0)
  const seconds = groups.map(
    ([first, names]) =>
      `    ${first}) if (( CURRENT == 3 )); then entries=(${menu(names.map((second) => [second, catalogue[`${first} ${second}`].summary]))}); _describe command entries; return; fi; command="$command $words[3]"; shift words; (( CURRENT-- )) ;;`,
  )
  return `#compdef tunesmith
# zsh completion of tunesmith. Install: ${programCall('completion zsh')} > "\${fpath[1]}/_tunesmith"
_tunesmith() {
  local -a entries
  local command="$words[2]"
  if (( CURRENT == 2 )); then
    entries=(${menu([...words.keys()].map((first) => [first, summaryOf(first)]))})
    _describe command entries
    return
  fi
  case "$command" in
${seconds.join('\n')}
  esac
  shift words; (( CURRENT-- ))
  case "$command" in
${cases.join('\n')}
  esac
}
if [ "$funcstack[1]" = "_tunesmith" ]; then _tunesmith "$@"; else compdef _tunesmith tunesmith; fi
`
}

const escapeZsh = (value: string): string => value.replace(/[\s():\\]/g, '\\$&')

const fish = (catalogue: Catalogue): string => {
  const words = wordsOf(catalogue)
  const lines: string[] = []
  for (const [first, seconds] of words) {
    const summary = catalogue[first]?.summary ?? seconds.join(', ')
    lines.push(`complete -c tunesmith -n __fish_use_subcommand -f -a ${first} -d ${fishQuoted(short(summary))}`)
    for (const second of seconds) {
      const condition = `__fish_seen_subcommand_from ${first}; and not __fish_seen_subcommand_from ${seconds.join(' ')}`
      const text = fishQuoted(short(catalogue[`${first} ${second}`].summary))
      lines.push(`complete -c tunesmith -n '${condition}' -f -a ${second} -d ${text}`)
    }
  }
  for (const [name, help] of Object.entries(catalogue)) {
    const condition = name
      .split(' ')
      .map((word) => `__fish_seen_subcommand_from ${word}`)
      .join('; and ')
    const offered = argumentValues(help)
    if (offered.length > 0) lines.push(`complete -c tunesmith -n '${condition}' -f -a ${fishQuoted(offered.join(' '))}`)
    for (const { flag, description, takesValue, values } of completionsOf(help)) {
      const offered =
        values === 'files' ? ' -r -F' : ` -x${values === 'none' ? '' : ` -a ${fishQuoted(values.join(' '))}`}`
      const text = fishQuoted(short(description))
      lines.push(`complete -c tunesmith -n '${condition}' -l ${flag.slice(2)}${takesValue ? offered : ''} -d ${text}`)
    }
  }
  return `# fish completion of tunesmith. Install: ${programCall('completion fish')} > ~/.config/fish/completions/tunesmith.fish\n${lines.join('\n')}\n`
}

const fishQuoted = (text: string): string => `'${text.replace(/['\\]/g, '\\$&')}'`

const writers: Record<Shell, (catalogue: Catalogue) => string> = { bash, zsh, fish }
