// temporary
import type { CorpusDocument } from './document.ts'
import type { EntryFile } from './journal.ts'
export interface DedupStage {
  stage: string
  type: string
  options: Record<string, unknown>
}
export async function createSignatureWriter(_folder: string, _stages: readonly DedupStage[]) {
  return {
    async add(_ordinal: number, _document: CorpusDocument) {},
    async close(): Promise<EntryFile[]> {
      return []
    },
    async abort() {},
  }
}
