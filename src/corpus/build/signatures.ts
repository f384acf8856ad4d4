// The deduplicators of a build, and the key files that workers write for them, one per deduplicator and piece.

import { join } from 'node:path'
import { parseConfig } from '../../core/index.ts'
import { createDeduplicator, type DeduplicatorDefinition, deduplicators, type KeyWriter } from '../dedup/index.ts'
import type { CorpusDocument } from '../document.ts'
import { type ComponentSpec, coerceOptions, lookUp } from './component-spec.ts'
import type { EntryFile } from './journal.ts'
import { nothingLeft } from './write-task.ts'

/** A deduplicator of a build: its stage name in reports, and its options with all defaults. */
export interface DedupStage {
  stage: string
  type: string
  options: Record<string, unknown>
  /** Possible reasons of its drops. */
  reasons: string[]
}

/** The definition of a deduplicator. @throws ConfigError that names `where` when there is none */
export const definitionOf = (type: string, where = 'dedup'): DeduplicatorDefinition =>
  lookUp<DeduplicatorDefinition>(deduplicators, type, where)

/** Checks specs against the registry; `seed` is the default for deduplicators with a seed. */
export const resolveDedup = (specs: readonly ComponentSpec[], seed: number): DedupStage[] => {
  const seen = new Map<string, number>()
  return specs.map(({ type, options }, index) => {
    const where = `dedup[${index}]`
    const { config, unit, reason } = definitionOf(type, where)
    const seeded = 'shape' in config && 'seed' in (config.shape as object) ? { seed, ...options } : options
    const checked = parseConfig(config, coerceOptions(config, seeded), `${where}.${type}`)
    const count = (seen.get(type) ?? 0) + 1
    seen.set(type, count)
    const stage = count === 1 ? `dedup-${type}` : `dedup-${type}-${count}`
    // Removing lines drops a document only when no line is left.
    const reasons = [unit === 'line' ? nothingLeft : reason]
    return { stage, type, options: checked as Record<string, unknown>, reasons }
  })
}

/** The deduplicator of a stage with its options. */
export const openDeduplicator = ({ stage, type, options }: DedupStage) =>
  createDeduplicator(definitionOf(type), options, `dedup.${stage}`)

/** Writes the keys of the documents of one piece for all deduplicators. */
export class SignatureWriter {
  readonly #writers: readonly { path: string; writer: KeyWriter }[]

  private constructor(writers: readonly { path: string; writer: KeyWriter }[]) {
    this.#writers = writers
  }

  static create(folder: string, stages: readonly DedupStage[]): SignatureWriter {
    const writers = stages.map((stage) => {
      const path = keyFileName(stage)
      return { path, writer: openDeduplicator(stage).createWriter(join(folder, path)) }
    })
    return new SignatureWriter(writers)
  }

  /** `ordinal` counts the filtered documents of the piece from 0. */
  add(ordinal: number, document: CorpusDocument): void {
    for (const { writer } of this.#writers) writer.add(ordinal, document)
  }

  async close(): Promise<EntryFile[]> {
    const files: EntryFile[] = []
    for (const { path, writer } of this.#writers) {
      const { rows, bytes, sha256 } = await writer.close()
      files.push({ path, lines: rows, bytes, sha256 })
    }
    return files
  }

  async abort(): Promise<void> {
    for (const { writer } of this.#writers) await writer.abort()
  }
}

export const keyFileName = ({ stage }: DedupStage): string => `${stage}.parquet`
