// Corpora of clean documents from raw text: building, reading, inspecting, and per-document stages for clusters.

export { type BuildContext, type BuildResult, buildCorpus } from './build/build.ts'
export { type CorpusBuildOptions, corpusBuildSchema } from './build/options.ts'
export { createMinhasher } from './dedup/minhash.ts'
export type { CorpusDocument, DocumentSource } from './document.ts'
export { type CorpusManifest, type CorpusPart, readManifest } from './manifest.ts'
export {
  corpusWindow,
  droppedDocuments,
  listCorpusParts,
  type NumberedDocument,
  type ReadCorpusOptions,
  readCorpus,
} from './read-corpus.ts'
export type { CorpusReport } from './report/corpus-report.ts'
export { type Inspection, type InspectOptions, inspectCorpus } from './report/inspect.ts'
export { renderBuild, renderInspection } from './report/render-report.ts'
export { serveRows } from './spark/serve-rows.ts'
export { type BuildStageName, buildStageNames } from './spark/stages.ts'
export { cutText, type OpenedTexts, openTexts, type TextInputs } from './text-documents.ts'
export { type DocumentStage, type ServeLinesResult, serveLines, type WorkerDocument } from './worker/protocol.ts'
export { createWorkerStage, type WorkerStage, workerOptions, workerStageNames } from './worker/stages.ts'
