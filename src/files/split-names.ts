// Words in the names of files and folders that name a split of a data set.

/** The words for each split; the first is its usual name. */
export const splitWords: readonly (readonly string[])[] = [
  ['train', 'training'],
  ['validation', 'valid', 'val', 'dev', 'development', 'eval'],
  ['test', 'testing'],
]

/** Whether a name has a word, between other characters than letters. */
const hasWord = (name: string, word: string): boolean =>
  new RegExp(`(^|[^a-z])${word.replace(/[^\w]/g, '\\$&')}([^a-z]|$)`, 'i').test(name)

/** The number of the split in `splitWords` that a name has; -1 for none. */
const splitOfName = (name: string): number => splitWords.findIndex((words) => words.some((word) => hasWord(name, word)))

/** The names of a path, that of the file first. */
const namesOfPath = (path: string): string[] => path.split(/[\\/]/).reverse()

/** The number of the split that a file's name, or that of the nearest folder around it, has; -1 for none. */
export const splitOfPath = (path: string): number =>
  namesOfPath(path)
    .map(splitOfName)
    .find((number) => number >= 0) ?? -1

/** Whether a file belongs to a split: the name that decides its split has the word, or any name has one that is not in `splitWords`. */
export const isOfSplit = (path: string, split: string): boolean => {
  const words = splitWords.find((known) => known.includes(split.toLowerCase()))
  if (words === undefined) return namesOfPath(path).some((name) => hasWord(name, split))
  const deciding = namesOfPath(path).find((name) => splitOfName(name) >= 0) ?? ''
  return words.some((word) => hasWord(deciding, word))
}
