// Predictions of several processes, each for some of the records. Independent of tasks and of how they predict.
import type { ProcessGroup } from '../../distributed/index.ts'
import type { Predictions } from './predict-from-logits.ts'

/**
 * Predictions for all records on every process of a group, which take turns at the records: those that are answered come first, so
 * that each process answers its share of them.
 */
export const divideRecords = async <Record, Prediction>(
  group: ProcessGroup | undefined,
  { records, answers }: { records: readonly Record[]; answers: number },
  predict: (records: readonly Record[], answers: number) => Promise<Predictions<Prediction>>,
): Promise<Predictions<Prediction>> => {
  if (group === undefined) return predict(records, answers)
  const { rank, size } = group
  const own = records.filter((_, i) => i % size === rank)
  const none: Predictions<Prediction> = { predictions: [], examples: 0, tokens: 0, truncated: [] }
  const predicted = own.length === 0 ? none : await predict(own, Math.max(0, Math.ceil((answers - rank) / size)))
  const all = await group.gather(predicted)
  const inOrder = <Value>(of: (one: Predictions<Prediction>) => readonly Value[]): Value[] =>
    records.map((_, i) => of(all[i % size])[Math.floor(i / size)])
  const sum = (of: (one: Predictions<Prediction>) => number): number => all.reduce((total, one) => total + of(one), 0)
  return {
    predictions: inOrder((one) => one.predictions),
    truncated: inOrder((one) => one.truncated),
    examples: sum((one) => one.examples),
    tokens: sum((one) => one.tokens),
    ...(all.some(({ answered }) => answered !== undefined) && { answered: sum((one) => one.answered ?? 0) }),
  }
}
