// Moves documents from the training split to an empty validation split: small corpora, where no document falls below
// the validation share, still get one validation document.
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { NearestDocuments } from './encode-task.ts'
import type { ShardManifest, SplitName } from './shard-manifest.ts'
import { emptySplit, type SplitState, SplitWriter } from './shard-writer.ts'
import { openShards } from './token-source.ts'

const BATCH_TOKENS = 1 << 20

/** Rewrites the finished training shards without the documents `moved`, and writes those as the validation split. */
export const moveToValidation = async ({
  folder,
  dtype,
  maxTokens,
  train,
  moved,
}: {
  folder: string
  dtype: ShardManifest['dtype']
  maxTokens: number
  train: SplitState
  moved: NearestDocuments['documents']
}): Promise<Record<SplitName, SplitState>> => {
  const shards = []
  for (const { ids, ends, ...counts } of train.finished) {
    const [movingIds, movingEnds] = [ids, ends].map((file) => ({ ...file, path: file.path.replace('train', 'moving') }))
    await rename(join(folder, ids.path), join(folder, movingIds.path))
    await rename(join(folder, ends.path), join(folder, movingEnds.path))
    shards.push({ ids: movingIds, ends: movingEnds, ...counts })
  }
  const source = openShards(folder, dtype, shards)
  const open = (split: SplitName) => SplitWriter.open({ folder, split, dtype, maxTokens, state: emptySplit() })
  const writers = { train: await open('train'), validation: await open('validation') }
  const movedBytes = moved.reduce((sum, { bytes }) => sum + bytes, 0)
  const splitOf = (document: number): SplitName => {
    const position = source.documentStart(document)
    const isMoved = moved.some(({ start, length }) => position >= start && position < start + length)
    return isMoved ? 'validation' : 'train'
  }
  try {
    for (let document = 0; document < source.documents; ) {
      const split = splitOf(document)
      const start = source.documentStart(document)
      const ends: number[] = []
      do ends.push(source.documentEnd(document++) - start)
      while (document < source.documents && ends[ends.length - 1] < BATCH_TOKENS && splitOf(document) === split)
      await writers[split].append(source.readTokens(start, ends[ends.length - 1]), ends, 0)
    }
    const splits = { train: await writers.train.finish(), validation: await writers.validation.finish() }
    splits.train.bytes = train.bytes - movedBytes
    splits.validation.bytes = movedBytes
    return splits
  } finally {
    source.close()
    await writers.train.close()
    await writers.validation.close()
    for (const { ids, ends } of shards)
      for (const { path } of [ids, ends]) await rm(join(folder, path), { force: true })
  }
}
