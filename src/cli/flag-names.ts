// Messages of the library name settings by their keys in a recipe; a command line has flags.
import type { Flag } from './flags.ts'

/** A function that replaces settings in backquotes, such as `batch.tokens`, by the flags that set them: `--batch.tokens`. */
export const flagNaming = (flags: readonly Flag[]): ((text: string) => string) => {
  const names = new Map(flags.map(({ path, name }) => [path.join('.'), name]))
  return (text) =>
    text.replaceAll(/`([A-Za-z][\w.]*)`/g, (word, key) => (names.has(key) ? `\`--${names.get(key)}\`` : word))
}
