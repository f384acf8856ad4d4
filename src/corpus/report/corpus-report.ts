// The report of a build, summed from its journal entries: stage counts, samples of drops, damaged inputs, lengths and
// languages. Reads one entry at a time, in bounded memory.

import { invariant } from '../../core/index.ts'
import { type ContaminationReport, ContaminationSummary } from '../build/contamination-stage.ts'
import type { PieceResult, ReadResult } from '../build/document-task.ts'
import type { InputFile } from '../build/inputs.ts'
import { readEntry } from '../build/journal.ts'
import { mergeStatistics, type PartStatistics } from '../build/part-statistics.ts'
import {
  type DamagedInput,
  type DropSample,
  DropSampler,
  mergeCounts,
  type StageCounts,
} from '../build/stage-counts.ts'
import type { WriteResult } from '../build/write-task.ts'
import type { CorpusManifest } from '../manifest.ts'

/** The report of a build. */
export interface CorpusReport {
  stages: StageCounts[]
  statistics: PartStatistics
  samples: Omit<DropSample, 'rank'>[]
  /** Inputs that could not be read to the end, in input order; at most 1,000. */
  damaged: DamagedInput[]
  /** Number of damaged inputs. */
  damagedInputs: number
  contamination?: ContaminationReport
}

interface EntryLocation {
  folder: string
  key: string
}

export interface FinishedBuild {
  inputs: readonly InputFile[]
  reads: readonly EntryLocation[]
  documents: readonly EntryLocation[]
  writes: readonly EntryLocation[]
  /** The index of the test sets, when there are any. */
  index?: string
}

export const maxListedDamaged = 1000

export const summarize = async ({
  inputs,
  reads,
  documents,
  writes,
  index,
}: FinishedBuild): Promise<Pick<CorpusManifest, 'stages' | 'parts' | 'dropped'> & { report: CorpusReport }> => {
  let stages: StageCounts[] = []
  let statistics = mergeStatistics([])
  const samples = new DropSampler()
  const damage: DamagedInput[] = []
  const contamination = new ContaminationSummary()
  const parts: CorpusManifest['parts'] = []
  const dropped: CorpusManifest['dropped'] = []
  for (const place of reads) {
    const { counts, damage: found } = await resultOf<ReadResult>(place)
    stages = mergeCounts([stages, [counts]])
    damage.push(...found)
  }
  for (const place of documents) {
    const { counts, samples: examples, damage: found } = await resultOf<PieceResult>(place)
    stages = mergeCounts([stages, counts])
    samples.merge(examples)
    damage.push(...found)
  }
  for (const place of writes) {
    const result = await resultOf<WriteResult>(place)
    stages = mergeCounts([stages, result.counts])
    samples.merge(result.samples)
    if (result.findings !== undefined) contamination.add(result.findings)
    statistics = mergeStatistics([statistics, result.statistics])
    if (result.part !== undefined) {
      parts.push({ ...result.part, documents: result.statistics.documents, textBytes: result.textBytes })
    }
    if (result.dropped !== undefined) dropped.push(result.dropped)
  }
  const order = new Map(inputs.map(({ path }, index) => [path, index]))
  damage.sort((a, b) => order.get(a.path)! - order.get(b.path)!)
  return {
    stages,
    parts,
    dropped,
    report: {
      stages,
      statistics,
      samples: samples.samples().map(({ rank: _, ...sample }) => sample),
      damaged: damage.slice(0, maxListedDamaged),
      damagedInputs: damage.length,
      ...(index === undefined ? {} : { contamination: await contamination.report(index) }),
    },
  }
}

const resultOf = async <Result>({ folder, key }: EntryLocation): Promise<Result> => {
  const entry = await readEntry<Result>(folder, key, undefined)
  invariant(entry !== undefined, `a finished piece has its entry (${folder}).`)
  return entry.result
}
