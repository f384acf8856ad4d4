// The registry of the stages of `corpus worker`, each a function of one document: extraction, filters, deduplication
// keys and decontamination.

import { createHash } from 'node:crypto'
import { z } from 'zod'
import { ConfigError, parseConfig } from '../../core/index.ts'
import { parseFilterSpec } from '../build/component-spec.ts'
import { resolveContamination } from '../build/contamination-stage.ts'
import { FilterChain, resolveFilters } from '../build/filter-chain.ts'
import { listOf } from '../build/options.ts'
import {
  createDecontaminator,
  decontaminationOptions,
  GramIndex,
  readTestSet,
  type TestSet,
} from '../decontaminate/index.ts'
import { createMinhasher, minhashOptions } from '../dedup/index.ts'
import type { CorpusDocument } from '../document.ts'
import { extractHtml } from '../extract/html/index.ts'
import { extractWikitext } from '../extract/wikitext/index.ts'
import { normalizeText } from '../sources/source.ts'
import type { DocumentStage, StageOutcome, WorkerDocument } from './protocol.ts'

/** Options of the stages, as zod fields for a command's schema. */
export const workerOptions = {
  filter: z
    .array(z.string())
    .default([])
    .describe(
      '`filter` stage: filters as NAME, NAME:option=value,option=value, or NAME@kind for documents with that `source.kind`',
    ),
  mode: z.enum(['fast', 'faithful']).default('fast').describe('`html` and `wikitext` stages: extraction mode'),
  minhash: minhashOptions.prefault({}).describe('`signatures` stage: MinHash options'),
  decontaminate: z.array(z.string()).default([]).describe('`decontaminate` stage: test sets'),
  decontamination: decontaminationOptions
    .prefault({})
    .describe('`decontaminate` stage: detection and removal of overlaps'),
}

const optionsSchema = z.strictObject(workerOptions)
export type WorkerStageOptions = z.input<typeof optionsSchema>
type Resolved = z.output<typeof optionsSchema>

const emptyText = { dropped: { stage: 'extract', reason: 'empty' } } as const

const stages = {
  html: ({ mode }: Resolved): DocumentStage => {
    return (document) => {
      const { text, title, language } = extractHtml(document.text, { mode })
      const found = { ...(title === '' ? {} : { title }), ...(language === '' ? {} : { language }) }
      return withText(document, normalizeText(text), found)
    }
  },
  wikitext: ({ mode }: Resolved): DocumentStage => {
    return (document) => withText(document, normalizeText(extractWikitext(document.text, { mode })), {})
  },
  filter: async ({ filter }: Resolved): Promise<DocumentStage> => {
    const specs = listOf(filter).map((spec, index) => parseFilterSpec(spec, `filter[${index}]`))
    if (specs.length === 0) throw new ConfigError('The `filter` stage needs filters: pass --filter NAME.')
    const chain = await FilterChain.create(resolveFilters(specs))
    return (document, line) => {
      const outcome = chain.apply(toCorpusDocument(document, line))
      if ('reason' in outcome) {
        const { stage, reason, detail } = outcome
        return { dropped: { stage, reason, ...(detail === undefined ? {} : { detail }) } }
      }
      return { document: { ...document, text: outcome.document.text, metadata: outcome.document.metadata } }
    }
  },
  signatures: ({ minhash }: Resolved): DocumentStage => {
    const minhasher = createMinhasher(minhash)
    return ({ text }) => ({
      fields: {
        exact: createHash('sha256').update(text).digest('hex').slice(0, 32),
        minhash: Array.from(minhasher.signature(text), (key) => key.toString(16).padStart(16, '0')),
      },
    })
  },
  decontaminate: async ({ decontaminate, decontamination }: Resolved): Promise<DocumentStage> => {
    const settings = resolveContamination(decontaminate, decontamination)
    if (settings === undefined) {
      throw new ConfigError('The `decontaminate` stage needs test sets: pass --decontaminate FILE.')
    }
    const sets: TestSet[] = []
    for (const testSet of settings.testSets) sets.push(await readTestSet(testSet))
    const decide = createDecontaminator(GramIndex.build(sets, settings.options), settings.options)
    return (document) => {
      const result = decide(document.text)
      if (result.action === 'keep') return { document }
      const overlaps = result.overlaps.map(({ testSet, item, field, excerpt }) => ({ testSet, item, field, excerpt }))
      if (result.action === 'drop') {
        return { dropped: { stage: 'decontaminate', reason: result.reason }, overlaps }
      }
      // One line in, one line out: the pieces are returned together, for the caller to split.
      return { document: { ...document, text: result.pieces.join('\n\n'), pieces: result.pieces, overlaps } }
    }
  },
} satisfies Record<string, (options: Resolved) => DocumentStage | Promise<DocumentStage>>

/** Name of a stage. */
export type WorkerStage = keyof typeof stages
/** Names of all stages. */
export const workerStageNames = Object.keys(stages) as [WorkerStage, ...WorkerStage[]]

/** The stage `name` with its options. @throws ConfigError when an option that it needs is missing */
export const createWorkerStage = async (name: WorkerStage, options: WorkerStageOptions = {}): Promise<DocumentStage> =>
  stages[name](parseConfig(optionsSchema, options, 'corpus worker'))

const withText = (document: WorkerDocument, text: string, found: Record<string, unknown>): StageOutcome => {
  if (text === '') return emptyText
  return { document: { ...document, text, metadata: { ...found, ...document.metadata } } }
}

const toCorpusDocument = (document: WorkerDocument, line: number): CorpusDocument => {
  const source = document.source as Partial<CorpusDocument['source']> | undefined
  return {
    id: String(document.id ?? line),
    text: document.text,
    source: { kind: String(source?.kind ?? ''), path: String(source?.path ?? ''), offset: Number(source?.offset ?? 0) },
    metadata: document.metadata ?? {},
  }
}
