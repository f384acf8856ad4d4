// What a run and `inspect` say of the labels of the training records, so that a misspelt label is seen before it costs a run.

const shown = 20

/** Labels that a person would call the same: they differ in case or in surrounding white space only. */
const alike = (labels: readonly string[]): string[][] => {
  const groups = new Map<string, string[]>()
  for (const label of labels) {
    const key = label.trim().toLowerCase()
    groups.set(key, [...(groups.get(key) ?? []), label])
  }
  return [...groups.values()].filter(({ length }) => length > 1)
}

/** Whether -1 is a label beside the numbers of classes: data sets of Hugging Face have it where a label is not known. */
const hasUnknown = (labels: readonly string[]): boolean =>
  labels.length > 1 && labels.includes('-1') && labels.every((label) => label === '-1' || /^\d+$/.test(label))

/** What may be a mistake in these labels: some that are spelt alike, and -1 among numbers of classes. Empty where nothing is. */
export const doubtfulLabels = (labels: readonly string[]): string[] => [
  ...alike(labels).map(
    (same) =>
      `The labels ${same.map((label) => JSON.stringify(label)).join(' and ')} differ only in case or white space, and are different classes here. If they mean the same, spell them alike.`,
  ),
  ...(hasUnknown(labels)
    ? [
        'The label -1 is a class like the others here. Data sets of Hugging Face have it in records without a label: if yours does, leave those records out.',
      ]
    : []),
]

/** `Labels of the training records: positive 305, negative 295.`, the most frequent first, and lines for labels that may be mistakes. */
export const labelNotes = (counts: ReadonlyMap<string, number>): string[] => {
  if (counts.size === 0) return []
  const listed = [...counts]
    .sort(([, a], [, b]) => b - a)
    .slice(0, shown)
    .map(([label, count]) => `${label} ${count}`)
  const others = counts.size > shown ? ` and ${counts.size - shown} more` : ''
  return [`Labels of the training records: ${listed.join(', ')}${others}.`, ...doubtfulLabels([...counts.keys()])]
}
