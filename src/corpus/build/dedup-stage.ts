// Deduplication of a whole build: runs each deduplicator over the key files of all pieces, then splits the results into
// one decision file per file of filtered documents. Resumable, in bounded memory.

import { rm, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { invariant, sha256File } from '../../core/index.ts'
import { readDocumentDrops, readLineDrops } from '../dedup/index.ts'
import { LineWriter } from '../part-file.ts'
import { type Decision, duplicateDetail } from './decisions.ts'
import type { PieceResult } from './document-task.ts'
import { clearFolder, type EntryFile, keyOf, pruneFolders, readEntry, writeEntry } from './journal.ts'
import type { PhaseContext } from './phase-runner.ts'
import { type DedupStage, definitionOf, keyFileName, openDeduplicator } from './signatures.ts'

export interface DeduplicateOptions extends Pick<PhaseContext, 'signal' | 'progress'> {
  pieces: readonly { folder: string; key: string }[]
  stages: readonly DedupStage[]
  /** Folder of journal entries and temporary files. */
  folder: string
  memoryMegabytes: number
}

/** Decision files by `piece/file`, for files with at least one decision. */
export type DecisionFiles = ReadonlyMap<string, Pick<EntryFile, 'path' | 'sha256'>>

/** A file of filtered documents in the order of the build, and the ordinals of its documents in the piece. */
interface KeptRange {
  name: string
  piece: number
  first: number
  end: number
}

interface PlacedDecision {
  shard: number
  row: number
  decision: Omit<Decision, 'ordinal'>
}

/** DuckDB needs some memory per thread, so a small limit means few threads. */
const megabytesPerThread = 128
const dropsName = 'drops.parquet'

export const deduplicate = async (options: DeduplicateOptions): Promise<DecisionFiles> => {
  const { pieces, stages, folder, memoryMegabytes, signal, progress } = options
  if (stages.length === 0) return new Map()
  const { ranges, keyHashes } = await listKept(pieces)
  const threads = Math.max(1, Math.min(availableParallelism(), Math.floor(memoryMegabytes / megabytesPerThread)))
  const outputs: string[] = []
  const exclude: string[] = []
  const wanted = new Set<string>()
  const bar = progress?.({ label: 'Deduplicating', total: stages.length, unit: 'methods' })
  try {
    let previous: unknown = keyHashes
    for (const [index, stage] of stages.entries()) {
      signal?.throwIfAborted()
      const key = keyOf({ stage, previous })
      previous = key
      const place = join(folder, key)
      wanted.add(key)
      const output = join(place, dropsName)
      if ((await readEntry(place, key, place)) === undefined) {
        await clearFolder(place)
        const files = pieces.map((piece) => join(piece.folder, keyFileName(stage)))
        const temporaryFolder = join(place, 'temporary')
        await openDeduplicator(stage).find({ files, exclude, output, temporaryFolder, memoryMegabytes, threads })
        await rm(temporaryFolder, { recursive: true, force: true })
        await writeEntry(place, { key, files: [await describe(output)], result: {} })
      }
      outputs.push(output)
      if (definitionOf(stage.type).unit === 'document') exclude.push(output)
      bar?.update(index + 1)
    }
    const key = keyOf({ decisions: previous })
    wanted.add(key)
    const decisions = await splitDecisions(join(folder, key), key, stages, outputs, ranges)
    await pruneFolders(folder, wanted)
    return decisions
  } finally {
    bar?.stop()
  }
}

const describe = async (path: string): Promise<EntryFile> => ({
  path: dropsName,
  lines: 0,
  bytes: (await stat(path)).size,
  sha256: await sha256File(path),
})

const listKept = async (pieces: DeduplicateOptions['pieces']): Promise<{ ranges: KeptRange[]; keyHashes: string }> => {
  const ranges: KeptRange[] = []
  let keyHashes = ''
  for (const [piece, { folder, key }] of pieces.entries()) {
    const entry = await readEntry<PieceResult>(folder, key, undefined)
    invariant(entry !== undefined, `a filtered piece has its entry (${folder}).`)
    let first = 0
    for (const [number, { documents }] of entry.result.kept.entries()) {
      ranges.push({ name: `${piece}/${number}`, piece, first, end: first + documents })
      first += documents
    }
    keyHashes = keyOf({ keyHashes, files: entry.result.signatures.map(({ sha256 }) => sha256), piece })
  }
  return { ranges, keyHashes }
}

/** Merges the ordered decisions of all stages and writes one file of them per file of documents. */
const splitDecisions = async (
  folder: string,
  key: string,
  stages: readonly DedupStage[],
  outputs: readonly string[],
  ranges: readonly KeptRange[],
): Promise<DecisionFiles> => {
  const known = await readEntry<Record<string, string>>(folder, key, folder)
  if (known !== undefined) {
    const { files, result } = known
    const hashes = new Map(files.map((file) => [file.path, file.sha256]))
    return new Map(
      Object.entries(result).map(([name, path]) => [name, { path: join(folder, path), sha256: hashes.get(path)! }]),
    )
  }
  await clearFolder(folder)
  const decisions = new Map<string, Pick<EntryFile, 'path' | 'sha256'>>()
  const files: EntryFile[] = []
  const names: Record<string, string> = {}
  let at = 0
  let writer: LineWriter | undefined
  const finish = async () => {
    if (writer === undefined) return
    const { name } = ranges[at]!
    const path = `${name.replace('/', '-')}.jsonl.gz`
    const file = { path, ...(await writer.close()) }
    writer = undefined
    files.push(file)
    names[name] = path
    decisions.set(name, { path: join(folder, path), sha256: file.sha256 })
  }
  try {
    const streams = stages.map((stage, index) => placedDecisions(stage, outputs[index]!))
    for await (const { shard, row, decision } of mergePlaced(streams)) {
      while (shard > ranges[at]!.piece || (shard === ranges[at]!.piece && row >= ranges[at]!.end)) {
        await finish()
        at += 1
        invariant(at < ranges.length, 'every decision is about a document that passed the filters.')
      }
      const { name, first } = ranges[at]!
      writer ??= await LineWriter.create(join(folder, `${name.replace('/', '-')}.jsonl.gz`), { level: 1 })
      await writer.write(JSON.stringify({ ordinal: row - first, ...decision } satisfies Decision))
    }
    await finish()
  } finally {
    await writer?.abort()
  }
  await writeEntry(folder, { key, files, result: names })
  return decisions
}

async function* placedDecisions(stage: DedupStage, path: string): AsyncGenerator<PlacedDecision> {
  const { unit, reason } = definitionOf(stage.type)
  if (unit === 'line') {
    for await (const { shard, row, lines } of readLineDrops(path)) {
      yield { shard, row, decision: { stage: stage.stage, removeLines: [...lines] } }
    }
    return
  }
  for await (const batch of readDocumentDrops(path)) {
    for (const { shard, row, keptId, clusterSize } of batch) {
      yield { shard, row, decision: { stage: stage.stage, reason, detail: duplicateDetail(keptId, clusterSize) } }
    }
  }
}

/** Merges ordered streams into one, by shard and row, ties in the order of the streams. */
async function* mergePlaced(streams: readonly AsyncGenerator<PlacedDecision>[]): AsyncGenerator<PlacedDecision> {
  const heads = await Promise.all(streams.map((stream) => stream.next()))
  try {
    for (;;) {
      let least = -1
      for (const [index, head] of heads.entries()) {
        if (head.done) continue
        const best = least < 0 ? undefined : (heads[least]!.value as PlacedDecision)
        const { shard, row } = head.value
        if (best === undefined || shard < best.shard || (shard === best.shard && row < best.row)) least = index
      }
      if (least < 0) return
      yield heads[least]!.value as PlacedDecision
      heads[least] = await streams[least]!.next()
    }
  } finally {
    for (const stream of streams) await stream.return(undefined)
  }
}
