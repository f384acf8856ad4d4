// The registry of corpus sources, and how a path becomes a list of inputs.
import { jsonl } from './jsonl.ts'
import { warc, wat, wet } from './warc.ts'
import { wikipedia } from './wikipedia.ts'

export { expandPaths } from './paths.ts'
export {
  isReject,
  type SourceContext,
  type SourceDefinition,
  type SourceDocument,
  type SourcePosition,
  type SourceRecord,
  type SourceReject,
} from './source.ts'

export const sources = { wikipedia, warc, wet, wat, jsonl }

export type SourceType = keyof typeof sources
