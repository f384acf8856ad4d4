// The protocol of `corpus worker`: JSON lines in, one JSON line out for each in the same order, so that a cluster can
// pipe its rows through (in Spark: script transform).

import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { parseJson } from '../../core/index.ts'
import { splitLines } from '../../files/index.ts'

/** An object with `text`; other fields are returned unchanged. */
export interface WorkerDocument {
  id?: string | number
  text: string
  metadata?: Record<string, unknown>
  [field: string]: unknown
}

const batchLength = 1 << 16

/** Writes lines to a stream, in batches: one write for each line would take most of a worker's time. */
export class BatchWriter {
  readonly #output: Writable
  #batch: string[] = []
  #length = 0

  constructor(output: Writable) {
    this.#output = output
  }

  async line(text: string): Promise<void> {
    this.#batch.push(text)
    this.#length += text.length
    if (this.#length >= batchLength) await this.flush()
  }

  async flush(): Promise<void> {
    if (this.#batch.length === 0) return
    const text = `${this.#batch.join('\n')}\n`
    this.#batch = []
    this.#length = 0
    if (!this.#output.write(text)) await once(this.#output, 'drain')
  }
}

/** The result of a stage for one document. */
export type StageOutcome =
  | { document: WorkerDocument }
  | { dropped: { stage: string; reason: string; detail?: string }; overlaps?: unknown[] }
  /** Fields to return with the document's id instead of its text. */
  | { fields: Record<string, unknown> }

/** A function from one document to its outcome; `line` is 1-based. */
export type DocumentStage = (document: WorkerDocument, line: number) => StageOutcome | Promise<StageOutcome>

/** Streams and limits of `serveLines`. */
export interface ServeLinesOptions {
  input: AsyncIterable<Uint8Array>
  output: Writable
  stage: DocumentStage
  /** Maximum bytes of a line; a longer one gets an error line. */
  maxLineBytes: number
  /** Omit dropped documents instead of returning `{"id", "dropped": …}`. */
  omitDropped: boolean
  signal?: AbortSignal | undefined
}

/** Counts of the lines that `serveLines` has answered. */
export interface ServeLinesResult {
  lines: number
  kept: number
  dropped: number
  errors: number
}

/**
 * Answers every line until the input ends; a line without a document, or on which the stage fails, gets an error line.
 */
export const serveLines = async (options: ServeLinesOptions): Promise<ServeLinesResult> => {
  const { input, output, stage, maxLineBytes, omitDropped, signal } = options
  const result: ServeLinesResult = { lines: 0, kept: 0, dropped: 0, errors: 0 }
  const writer = new BatchWriter(output)
  for await (const { bytes, number, length: size } of splitLines(input, maxLineBytes)) {
    signal?.throwIfAborted()
    if (size === 0) continue
    result.lines += 1
    const answer =
      bytes === undefined
        ? fault(number, undefined, `Expected a line of at most ${maxLineBytes} bytes, got ${size}.`)
        : await answerLine(bytes, number, stage)
    if ('error' in answer) result.errors += 1
    else if ('dropped' in answer) result.dropped += 1
    else result.kept += 1
    if (omitDropped && 'dropped' in answer) continue
    await writer.line(JSON.stringify(answer))
  }
  await writer.flush()
  return result
}

const answerLine = async (bytes: Buffer, line: number, stage: DocumentStage): Promise<Record<string, unknown>> => {
  let value: unknown
  try {
    value = parseJson(bytes.toString('utf8'))
  } catch (error) {
    return fault(line, undefined, (error as Error).message)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return fault(line, undefined, 'Expected a JSON object, got another JSON value.')
  }
  const document = value as WorkerDocument
  const { id } = document
  if (typeof document.text !== 'string') return fault(line, id, 'Expected a string in `text`, got none.')
  const metadata: unknown = document.metadata
  if (metadata !== undefined && (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata))) {
    return fault(line, id, 'Expected an object in `metadata`, got another JSON value.')
  }
  try {
    const outcome = await stage(document, line)
    if ('document' in outcome) return outcome.document
    const identity = id === undefined ? { line } : { id }
    return 'dropped' in outcome ? { ...identity, ...outcome } : { ...identity, ...outcome.fields }
  } catch (error) {
    return fault(line, id, (error as Error).message)
  }
}

const fault = (line: number, id: unknown, message: string): Record<string, unknown> => ({
  ...(id === undefined ? {} : { id }),
  error: { line, message: message.slice(0, 500) },
})
