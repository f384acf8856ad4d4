// What several data sets of one run have to agree on, what is said of their labels, and their validation records together. Independent of the
// task and of where records are.
import { realpath } from 'node:fs/promises'
import { ConfigError, DataError } from '../../core/index.ts'
import type { RecordSource, RecordStatistics, TaskDefinition, TaskRecord } from '../../tasks/index.ts'
import { contentHash } from '../examples/run-data.ts'

export interface ValidationSet {
  name: string
  count: number
}

/** For each of the joined validation records, the number of its set. */
export function* turnsOf(sets: readonly Pick<ValidationSet, 'count'>[]): Generator<number, void, undefined> {
  const longest = Math.max(0, ...sets.map(({ count }) => count))
  for (let turn = 0; turn < longest; turn++) for (const [i, { count }] of sets.entries()) if (turn < count) yield i
}

async function* recordsOf(source: RecordSource, size: number): AsyncGenerator<TaskRecord, void, undefined> {
  for await (const chunk of source.chunks(size)) yield* chunk
}

async function* joinedRecords(
  sets: readonly { name: string; records: RecordSource }[],
  size: number,
): AsyncGenerator<readonly TaskRecord[], void, undefined> {
  const readers = sets.map(({ records }) => recordsOf(records, Math.ceil(size / sets.length)))
  let chunk: TaskRecord[] = []
  try {
    for (const set of turnsOf(sets.map(({ records }) => ({ count: records.length })))) {
      const record = (await readers[set].next()).value as TaskRecord
      chunk.push({ ...record, id: `${sets[set].name}/${record.id}` })
      if (chunk.length < size) continue
      yield chunk
      chunk = []
    }
    if (chunk.length > 0) yield chunk
  } finally {
    for (const reader of readers) await reader.return()
  }
}

/**
 * The validation records of data sets: one of each in turn, so that the first ones, which tasks that generate text answer, are of all sets.
 * Ids begin with the name of the set. Records of a single set stay as they are.
 */
export const joinValidation = (
  sets: readonly { name: string; records: RecordSource }[],
): { records: RecordSource; sets: ValidationSet[] } =>
  sets.length === 1
    ? { records: sets[0].records, sets: [] }
    : {
        records: {
          length: sets.reduce((sum, { records }) => sum + records.length, 0),
          chunks: (size) => joinedRecords(sets, size),
        },
        sets: sets.map(({ name, records }) => ({ name, count: records.length })),
      }

/** Notes about data sets, each with the name of its set where there are several. */
export const notesOfSets = (sets: readonly { name: string; notes: readonly string[] }[]): string[] =>
  sets.flatMap(({ name, notes }) => (sets.length === 1 ? notes : notes.map((note) => `${name}: ${note}`)))

/**
 * @param sets with the part of its files that each reads, such as the split of an archive
 * @throws DataError for a file that two data sets read
 */
export const expectOtherFiles = async (
  sets: readonly { name: string; files: readonly string[]; part: string }[],
): Promise<void> => {
  const readBy = new Map<string, string>()
  for (const { name, files, part } of sets)
    for (const file of new Set(await Promise.all(files.map((one) => realpath(one).catch(() => one))))) {
      const key = `${file}\0${part}`
      const other = readBy.get(key)
      if (other !== undefined)
        throw new DataError(
          `Expected other files in each data set, got one that both ${other} and ${name} read. Remove it from one; for a larger share, raise the weight.`,
          file,
        )
      readBy.set(key, name)
    }
}

const mostShown = 20
const listed = (labels: readonly string[]): string =>
  `${labels.slice(0, mostShown).join(', ')}${labels.length > mostShown ? ', …' : ''}`

/**
 * @param sets statistics of all records of each set
 * @throws DataError for labels that only some sets have, unless the settings name all labels
 */
export const expectSameLabels = (
  task: TaskDefinition,
  config: { labels?: unknown; labelColumns?: unknown },
  sets: readonly { set: { name: string; path: string }; all: RecordStatistics }[],
): void => {
  if (task.labelCounts === undefined || (config.labels ?? config.labelColumns) !== undefined) return
  const labelsOf = sets.map(({ all }) => [...(task.labelCounts?.(all) ?? new Map<string, number>()).keys()].sort())
  const everywhere = (label: string) => labelsOf.every((labels) => labels.includes(label))
  const own = labelsOf.map((labels) => labels.filter((label) => !everywhere(label)))
  const last = own.findLastIndex((labels) => labels.length > 0)
  if (last < 0) return
  const all = [...new Set(labelsOf.flat())].sort()
  // A label that this set lacks: one that all have would join classes that differ.
  const to = all.find((label) => !labelsOf[last].includes(label)) ?? 'LABEL'
  const parts = own.flatMap((labels, i) => (labels.length === 0 ? [] : [`${sets[i].set.name} has ${listed(labels)}`]))
  throw new DataError(
    `Expected the same labels in all data sets, got labels that not all of them have: ${parts.join('; ')}. If some mean the same, map them: \`--data ${sets[last].set.path},settings.labelMap.${own[last][0]}=${to}\`, or \`labelMap\` in the \`settings\` of the set. To learn all of them, name them: \`--settings.labels ${listed(all).replaceAll(', ', ',')}\`.`,
  )
}

/** Lines about validation records of a data set that another one trains on. */
export const overlapOfSets = (
  sets: readonly { set: { name: string }; train: readonly TaskRecord[]; validation: readonly TaskRecord[] }[],
): string[] => {
  if (sets.length === 1) return []
  const trained = sets.map(({ train }) => new Set(train.map(contentHash)))
  return sets.flatMap(({ set: { name }, validation }, i) => {
    const hashes = validation.map(contentHash)
    return sets.flatMap(({ set: other }, j) => {
      const count = i === j ? 0 : hashes.filter((hash) => trained[j].has(hash)).length
      return count === 0
        ? []
        : [
            `${count} of ${validation.length} validation records of ${name} are training records of ${other.name}: their scores do not show how the model does on new texts.`,
          ]
    })
  })
}

/** @throws ConfigError for a budget that takes more examples than the limits of all data sets allow */
export const expectWithinLimits = (epochs: number | undefined, most: number, part = 'set'): void => {
  if (!Number.isFinite(most) || (epochs ?? Number.POSITIVE_INFINITY) <= most) return
  const shown = Math.floor(most * 1000) / 1000
  throw new ConfigError(
    `Expected at most ${shown} for \`budget.epochs\`, as every ${part === 'set' ? 'data set' : part} has \`maxEpochs\` and together they allow no more, got ${epochs ?? 'none'}. Lower it, or leave a ${part} without \`maxEpochs\`.`,
  )
}

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
