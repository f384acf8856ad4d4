// Words in the names of files and folders that name a split of a data set.

/** The words for each split; the first is its usual name. */
export const splitWords: readonly (readonly string[])[] = [
  ['train', 'training'],
  ['validation', 'valid', 'val', 'dev', 'development', 'eval'],
  ['test', 'testing'],
]

/** Whether a name has a word, between other characters than letters. */
export const hasWord = (name: string, word: string): boolean =>
  new RegExp(`(^|[^a-z])${word.replace(/[^\w]/g, '\\$&')}([^a-z]|$)`, 'i').test(name)

/** The number of the split in `splitWords` that a name has; -1 for none. */
export const splitOfName = (name: string): number =>
  splitWords.findIndex((words) => words.some((word) => hasWord(name, word)))
