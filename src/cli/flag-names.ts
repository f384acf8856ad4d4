// Messages of the library name settings by their keys in a recipe; a command line has flags.
import type { Flag } from './flags.ts'

/** A function that replaces settings in backquotes, such as `batch.tokens`, by the flags that set them: `--batch.tokens`. */
export const flagNaming = (flags: readonly Flag[]): ((text: string) => string) => {
  const names = new Map(flags.map(({ path, name }) => [path.join('.'), name]))
  return (text) =>
    text.replaceAll(/`([A-Za-z][\w.]*)`/g, (word, key) => (names.has(key) ? `\`--${names.get(key)}\`` : word))
}

const settingPattern = /`((?:settings|columns)\.(\w+)|dataset(?=:))(?:: \[?("(?:[^"\\]|\\.)*")\]?)?`/g

/**
 * A function that replaces settings of data in the message of an error, such as `settings.text: "review"`, by the flags of a command:
 * `--text-column review`. Other words in backquotes are names of columns or fields, and stay.
 */
export const dataFlagNaming = (flags: readonly Flag[]): ((text: string) => string) => {
  const names = new Map(flags.map(({ path, name }) => [path.join('.'), name]))
  return (text) =>
    text.replaceAll(settingPattern, (phrase, key: string, setting: string | undefined, value: string | undefined) => {
      const name = names.get(`${setting}Column`) ?? names.get(key)
      if (name === undefined) return phrase
      const plain: unknown = value === undefined ? '' : JSON.parse(value)
      const word = typeof plain === 'string' && /^[\w.-]+$/.test(plain) ? plain : value
      return `\`--${name}${value === undefined ? '' : ` ${word}`}\``
    })
}
