// Messages between the studio and the process that reads records for it.
import type { PortableError } from '../../../core/index.ts'
import type { DataInspection, RecordReading, TaskReading } from '../../../runs/index.ts'
import type { ReadReport } from '../../../tasks/index.ts'

/** What the process is asked for. */
export type ReaderRequest =
  | { work: 'inspect'; path: string; validation: string | undefined; reading: TaskReading }
  /** Writes the records as JSON lines into a file. */
  | { work: 'spill'; path: string; reading: RecordReading; file: string; maxBytes: number }

/** What it found. */
export type ReaderResult = { inspection: DataInspection } | { report: ReadReport }

/** What the process sends. */
export type ReaderMessage = { progress: number } | { result: ReaderResult } | { error: PortableError }
