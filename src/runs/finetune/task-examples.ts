// The examples of a task in the order of a run: shuffled anew in every epoch, a pure function of (seed, position). Independent of the task.
import { DataError, permutedIndex, sha256 } from '../../core/index.ts'
import type { TaskExample, TaskRecord } from '../../tasks/index.ts'
import type { ExampleSource } from '../../training/index.ts'

export const shuffledExamples = <Example extends TaskExample>(
  examples: readonly Example[],
  seed: number,
): ExampleSource<Example> => {
  if (examples.length === 0) throw new DataError('Expected at least one example to train on, got none. Check the data.')
  return {
    perEpoch: examples.length,
    example(position) {
      const epoch = Math.floor(position / examples.length)
      const example = examples[permutedIndex(`${seed}/${epoch}`, examples.length, position % examples.length)]
      return { example, cut: example.truncatedTokens }
    },
  }
}

/** The hash of a record's content, wherever the record is. */
const hashOf = (record: TaskRecord): string => {
  const { id: _, file: __, line: ___, ...content } = record
  return sha256(JSON.stringify(content))
}

/** How many validation records are training records too, labels included. */
export const countShared = (train: readonly TaskRecord[], validation: readonly TaskRecord[]): number => {
  const hashes = new Set(train.map(hashOf))
  return validation.filter((record) => hashes.has(hashOf(record))).length
}

/**
 * Splits records by the hash of their content, so that copies fall into the same part and their order does not matter.
 * @throws DataError when a part is empty
 */
export const splitRecords = <Record extends TaskRecord>(
  records: readonly Record[],
  share: number,
): { train: Record[]; validation: Record[] } => {
  const train: Record[] = []
  const validation: Record[] = []
  for (const record of records) {
    const hash = Number.parseInt(hashOf(record).slice(0, 8), 16) / 2 ** 32
    ;(hash < share ? validation : train).push(record)
  }
  if (validation.length === 0 || train.length === 0)
    throw new DataError(
      `Expected records to train and to validate on, got ${train.length} and ${validation.length} of ${records.length}. Give more data, or a file for \`validation\`.`,
    )
  return { train, validation }
}
