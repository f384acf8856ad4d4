// The records of an evaluation whose batches take the most memory, for plans, which need no others.
import type { Model } from '../../models/index.ts'
import { mustPad } from '../../objectives/index.ts'
import { exampleBatches } from '../learning/batches.ts'
import type { PreparedTask, TaskExample, TaskRecord } from '../task.ts'
import { encodeAll } from './predict-from-logits.ts'

/** Records that are looked at. */
const mostRecords = 512

/** Records of the largest batch of an evaluation, and of the one with the longest examples. */
export const largestRecords = async <Record extends TaskRecord, Example extends TaskExample>(
  model: Model,
  { criterion, encode }: Pick<PreparedTask<Record, Example>, 'criterion' | 'encode'>,
  records: readonly Record[],
  batchTokens: number,
): Promise<Record[][]> => {
  const looked = records.slice(0, mostRecords)
  const items = await encodeAll(looked, encode, undefined)
  const padded = mustPad(criterion, model)
  const { batches } = exampleBatches(items, criterion, model, batchTokens, padded)
  const sizeOf = (batch: readonly number[]): number => {
    const lengths = batch.map((item) => criterion.tokens(items[item].example))
    return padded ? Math.max(...lengths) * batch.length : lengths.reduce((sum, length) => sum + length, 0)
  }
  const sizes = batches.map(sizeOf)
  const chosen = new Set([sizes.indexOf(Math.max(...sizes)), batches.length - 1])
  return [...chosen].map((batch) => [...new Set(batches[batch].map((item) => looked[items[item].record]))])
}
