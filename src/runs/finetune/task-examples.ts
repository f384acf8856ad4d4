// The examples of a task in the order of a run: shuffled anew every epoch, a pure function of (seed, position). Knows no task.
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

/** The hash of what a record is, wherever it stands. */
const hashOf = (record: TaskRecord): string => {
  const { id: _, file: __, line: ___, ...content } = record
  return sha256(JSON.stringify(content))
}

/** How many of the held-out records are among those to learn from, answers included. */
export const countLearnt = (train: readonly TaskRecord[], heldOut: readonly TaskRecord[]): number => {
  const hashes = new Set(train.map(hashOf))
  return heldOut.filter((record) => hashes.has(hashOf(record))).length
}

/** Records by whether they are held out: by the hash of what they are, so that copies go together and no order matters. */
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
      `Expected records to train on and to evaluate on, got ${train.length} and ${validation.length} of ${records.length}. Give more data, or a file for \`validation\`.`,
    )
  return { train, validation }
}
