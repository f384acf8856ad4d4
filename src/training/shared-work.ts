// Work of a run that is not its steps, where several processes share it: which of it they divide, and with which weights.
import { type ProcessGroup, shareBlocks } from '../distributed/index.ts'
import type { ShareWork } from '../objectives/index.ts'
import type { FillContext, OnlineExamples } from './example-stream.ts'
import type { TrainingRun } from './training-run.ts'

/** How the processes of a group divide work without gradients; nothing in a single process. */
export const shareOf = (group: ProcessGroup | undefined): { share?: ShareWork } =>
  group === undefined ? {} : { share: (...given) => shareBlocks(group, ...given) }

/** Makes the examples of the batch at a position, where the run makes them itself and has not done so: with all weights in memory. */
export async function* fillExamples(
  { stream: { online }, shardedWeights, group }: Pick<TrainingRun, 'stream' | 'shardedWeights' | 'group'>,
  position: number,
  context: Omit<FillContext, 'share'>,
): ReturnType<OnlineExamples['fill']> {
  if (online === undefined || position < online.end) return
  await shardedWeights?.open()
  try {
    yield* online.fill(position, { ...context, ...shareOf(group) })
  } finally {
    shardedWeights?.close()
  }
}
