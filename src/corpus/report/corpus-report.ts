// The report of a build, summed from its journal entries: stage counts, samples of drops, damaged inputs, lengths and
// languages. Reads one entry at a time, in bounded memory.

import { invariant } from '../../core/index.ts'
import { type ContaminationReport, ContaminationSummary } from '../build/contamination-stage.ts'
import type { PieceResult, ReadResult } from '../build/document-task.ts'
import type { InputFile } from '../build/inputs.ts'
import { readEntry, type Task } from '../build/journal.ts'
import {
  type DamagedInput,
  type DropSample,
  DropSampler,
  mergeCounts,
  mergeStatistics,
  type PartStatistics,
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

type EntryLocation = Pick<Task<string>, 'folder' | 'key'>

export interface FinishedBuild {
  inputs: readonly InputFile[]
  reads: readonly EntryLocation[]
  documents: readonly EntryLocation[]
  writes: readonly EntryLocation[]
  /** The index of the test sets, when there are any. */
  index?: string
}

const maxListedDamaged = 1000

export const summarize = async ({ inputs, reads, documents, writes, index }: FinishedBuild): Promise<BuildFindings> => {
  const summary = new BuildSummary()
  for (const place of reads) {
    const { counts, damage } = await resultOf<ReadResult>(place)
    summary.addPiece({ counts: [counts], samples: [], damage })
  }
  for (const place of documents) summary.addPiece(await resultOf<PieceResult>(place))
  for (const place of writes) summary.addPart(await resultOf<WriteResult>(place))
  return summary.finish(inputs, index)
}

/** What the manifest and the report say about a finished build. */
export type BuildFindings = Pick<CorpusManifest, 'stages' | 'parts' | 'dropped'> & { report: CorpusReport }

/** Sums the results of pieces in any order, and of parts in order. */
export class BuildSummary {
  #stages: StageCounts[] = []
  #statistics = mergeStatistics([])
  readonly #samples = new DropSampler()
  readonly #damage: DamagedInput[] = []
  readonly #contamination = new ContaminationSummary()
  readonly #parts: CorpusManifest['parts'] = []
  readonly #dropped: CorpusManifest['dropped'] = []

  addPiece({ counts, samples, damage }: Pick<PieceResult, 'counts' | 'samples' | 'damage'>): void {
    this.#stages = mergeCounts([this.#stages, counts])
    this.#samples.merge(samples)
    this.#damage.push(...damage)
  }

  addPart({ counts, samples, findings, statistics, textBytes, part, dropped }: WriteResult): void {
    this.#stages = mergeCounts([this.#stages, counts])
    this.#samples.merge(samples)
    if (findings !== undefined) this.#contamination.add(findings)
    this.#statistics = mergeStatistics([this.#statistics, statistics])
    if (part !== undefined) this.#parts.push({ ...part, documents: statistics.documents, textBytes })
    if (dropped !== undefined) this.#dropped.push(dropped)
  }

  /** @param index - path of the index of the test sets, when there are any */
  async finish(inputs: readonly InputFile[], index?: string): Promise<BuildFindings> {
    const order = new Map(inputs.map(({ path }, place) => [path, place]))
    const damage = this.#damage.sort((a, b) => order.get(a.path)! - order.get(b.path)!)
    const stages = this.#stages
    return {
      stages,
      parts: this.#parts,
      dropped: this.#dropped,
      report: {
        stages,
        statistics: this.#statistics,
        samples: this.#samples.samples().map(({ rank: _, ...sample }) => sample),
        damaged: damage.slice(0, maxListedDamaged),
        damagedInputs: damage.length,
        ...(index === undefined ? {} : { contamination: await this.#contamination.report(index) }),
      },
    }
  }
}

const resultOf = async <Result>({ folder, key }: EntryLocation): Promise<Result> => {
  const entry = await readEntry<Result>(folder, key, undefined)
  invariant(entry !== undefined, `a finished piece has its entry (${folder}).`)
  return entry.result
}
