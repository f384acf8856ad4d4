// Decontamination as a stage of a build: builds the index of the test sets, counts overlaps in the whole corpus to
// distinguish leaks from common phrases, then checks each document and collects findings for the report.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseConfig, sha256File, writeFileAtomic } from '../../core/index.ts'
import {
  createDecontaminator,
  type DecontaminationOptions,
  decontaminationOptions,
  dropReasons,
  GramCounter,
  GramIndex,
  readTestSet,
  type TestSetFacts,
  type TestSetOptions,
  testSetOptions,
} from '../decontaminate/index.ts'
import type { CorpusDocument } from '../document.ts'
import { coerceOptions, parsePairs } from './component-spec.ts'
import { applyDecisions, type KeptDocumentsFile, readWithDecisions } from './decisions.ts'
import { clearFolder, type JournalEntry, keyOf, readEntry, type Task, writeEntry } from './journal.ts'

export const contaminationStage = 'decontaminate'
export const contaminationReasons: readonly string[] = dropReasons

/** Test sets and options of decontamination. */
export interface ContaminationSettings {
  testSets: TestSetOptions[]
  options: DecontaminationOptions
}

/** Files for checking documents: the index, and the numbers of the common n-grams. */
export interface ContaminationFiles {
  index: string
  common: string
}

/** One overlap, as the report lists it. */
export interface FoundOverlap {
  id: string
  path: string
  offset: number
  /** `cut`, or the reason why the document was dropped. */
  action: string
  testSet: string
  item: string
  field: string
  excerpt: string
}

/** Findings of one part for the report. */
export interface ContaminationFindings {
  /** Documents with an overlap, by test set. */
  documents: Record<string, number>
  /** Items with an overlap, each once, by test set. */
  items: Record<string, string[]>
  overlaps: FoundOverlap[]
}

export interface ContaminationReport {
  testSets: (TestSetFacts & { documents: number; itemsFound: number })[]
  /** The first overlaps in the order of the corpus; at most `overlapsListed`. */
  overlaps: FoundOverlap[]
}

export const maxListedOverlaps = 1000

/** `PATH` or `option=value,option=value:PATH`. */
export const resolveContamination = (
  specs: readonly string[],
  options: DecontaminationOptions,
): ContaminationSettings | undefined => {
  if (specs.length === 0) return undefined
  const testSets = specs.map((spec, index) => {
    const where = `decontaminate[${index}]`
    const [, pairs, path] = /^(?:(\w+=[^:]*):)?(.+)$/s.exec(spec) ?? [undefined, undefined, spec]
    const given = { ...(pairs === undefined ? {} : parsePairs(pairs, where)), path }
    return parseConfig(testSetOptions, coerceOptions(testSetOptions, given), where)
  })
  return { testSets, options: parseConfig(decontaminationOptions, options, 'decontamination') }
}

/** Builds the index unless it exists, and returns its path; `facts` is what it depends on besides its settings. */
export const prepareIndex = async (
  settings: ContaminationSettings,
  parent: string,
  facts: unknown,
): Promise<string> => {
  const key = keyOf({ index: settings, facts })
  const folder = join(parent, key)
  const path = join(folder, 'grams.bin')
  if ((await readEntry(folder, key, folder)) !== undefined) return path
  await clearFolder(folder)
  const sets = []
  for (const testSet of settings.testSets) sets.push(await readTestSet(testSet))
  const index = GramIndex.build(sets, settings.options)
  await index.save(path)
  const bytes = (await readFile(path)).length
  const file = { path: 'grams.bin', lines: 0, bytes, sha256: await sha256File(path) }
  await writeEntry(folder, { key, files: [file], result: {} })
  return path
}

export interface CountTask extends Task<'count'> {
  index: string
  kept: KeptDocumentsFile[]
}

export type CountResult = [gram: number, documents: number][]

/** Counts for each n-gram of the test sets how many documents contain it after deduplication. */
export const countOverlaps = async ({ key, folder, index, kept }: CountTask): Promise<void> => {
  await clearFolder(folder)
  const counter = new GramCounter(await loadIndex(index))
  for (const file of kept) {
    for await (const { document, decisions } of readWithDecisions(file)) {
      const text = applyDecisions(document.text, decisions)
      if (text !== undefined) counter.add(text)
    }
  }
  await writeEntry<CountResult>(folder, { key, files: [], result: counter.entries() })
}

/** Sums the counts of all parts and writes the n-grams that are too common to be leaks. */
export const writeCommon = async (
  path: string,
  index: string,
  counts: readonly { folder: string; key: string }[],
  { maxDocuments }: DecontaminationOptions,
): Promise<void> => {
  const counter = new GramCounter(await loadIndex(index))
  for (const { folder, key } of counts) {
    const entry: JournalEntry<CountResult> | undefined = await readEntry(folder, key, undefined)
    counter.addAll(entry!.result)
  }
  await writeFileAtomic(path, JSON.stringify([...counter.common(maxDocuments)].sort((a, b) => a - b)))
}

let loaded: { path: string; index: Promise<GramIndex> } | undefined

/** An index may take hundreds of megabytes, so each thread caches only one. */
export const loadIndex = (path: string): Promise<GramIndex> => {
  if (loaded?.path !== path) loaded = { path, index: GramIndex.load(path) }
  return loaded.index
}

/** Overlaps of a document that an earlier phase has found. */
export interface KnownMatches {
  /** Its n-grams that are too common to be leaks; undefined when it has no n-gram of a test set. */
  common: ReadonlySet<number> | undefined
}

export type ContaminationOutcome =
  | { keep: true; texts?: readonly string[] }
  | { keep: false; reason: string; detail: string }

const emptyFindings = (): ContaminationFindings => ({ documents: {}, items: {}, overlaps: [] })

/** Checks documents one by one and collects findings for the report. */
export class ContaminationCheck {
  readonly #decide: ReturnType<typeof createDecontaminator>
  #findings = emptyFindings()

  private constructor(decide: ReturnType<typeof createDecontaminator>) {
    this.#decide = decide
  }

  static async create(files: ContaminationFiles, options: DecontaminationOptions): Promise<ContaminationCheck> {
    const common = new Set(JSON.parse(await readFile(files.common, 'utf8')) as number[])
    return new ContaminationCheck(createDecontaminator(await loadIndex(files.index), options, common))
  }

  /** For documents whose common n-grams `check` is told. */
  static async forKnown(index: string, options: DecontaminationOptions): Promise<ContaminationCheck> {
    return new ContaminationCheck(createDecontaminator(await loadIndex(index), options))
  }

  /**
   * @param matches - overlaps that were found before (default: they are searched for); undefined inside means none
   */
  check({ id, text, source }: CorpusDocument, matches?: KnownMatches): ContaminationOutcome {
    if (matches !== undefined && matches.common === undefined) return { keep: true }
    const result = this.#decide(text, matches?.common)
    if (result.action === 'keep') return { keep: true }
    const action = result.action === 'cut' ? 'cut' : result.reason
    const { documents, items, overlaps } = this.#findings
    for (const testSet of new Set(result.overlaps.map((overlap) => overlap.testSet))) {
      documents[testSet] = (documents[testSet] ?? 0) + 1
    }
    for (const { testSet, item, field, excerpt } of result.overlaps) {
      const known = (items[testSet] ??= [])
      if (!known.includes(item)) known.push(item)
      if (overlaps.length >= maxListedOverlaps) continue
      overlaps.push({ id, path: source.path, offset: source.offset, action, testSet, item, field, excerpt })
    }
    if (result.action === 'cut') return { keep: true, texts: result.pieces }
    const { testSet, item, field } = result.overlaps[0]!
    return { keep: false, reason: result.reason, detail: `${testSet} ${item} ${field}`.trim().slice(0, 200) }
  }

  /** Findings since the last call. */
  takeFindings(): ContaminationFindings {
    const findings = this.#findings
    this.#findings = emptyFindings()
    return findings
  }
}

/** Sums findings part by part, in memory bounded by the test sets. */
export class ContaminationSummary {
  readonly #documents = new Map<string, number>()
  readonly #items = new Map<string, Set<string>>()
  readonly #overlaps: FoundOverlap[] = []

  add({ documents, items, overlaps }: ContaminationFindings): void {
    for (const [name, count] of Object.entries(documents)) {
      this.#documents.set(name, (this.#documents.get(name) ?? 0) + count)
    }
    for (const [name, found] of Object.entries(items)) {
      const known = this.#items.get(name) ?? new Set<string>()
      for (const item of found) known.add(item)
      this.#items.set(name, known)
    }
    this.#overlaps.push(...overlaps.slice(0, maxListedOverlaps - this.#overlaps.length))
  }

  async report(index: string): Promise<ContaminationReport> {
    const { testSets } = await loadIndex(index)
    return {
      testSets: testSets.map((facts) => ({
        ...facts,
        documents: this.#documents.get(facts.name) ?? 0,
        itemsFound: this.#items.get(facts.name)?.size ?? 0,
      })),
      overlaps: this.#overlaps,
    }
  }
}
