// Runs one stage of a build on Spark over rows from a stream, until it ends.

import type { Writable } from 'node:stream'
import { DataError } from '../../core/index.ts'
import { splitLines } from '../../files/index.ts'
import { readBuildFiles } from './build-files.ts'
import { parseRow, RowWriter } from './rows.ts'
import { type BuildStageName, openBuildStage } from './stages.ts'

/** Maximum bytes of a row: what a string of Node can hold. */
const maxRowBytes = 500_000_000

export interface ServeRowsOptions {
  stage: BuildStageName
  /** Folder of the build, as `corpus build` ships it. */
  build: string
  input: AsyncIterable<Uint8Array>
  output: Writable
  signal?: AbortSignal | undefined
}

/**
 * Answers every row until the input ends. Unlike a record of the corpus, a bad row is a fault of the pipeline and ends
 * the stage, so that Spark runs the task again.
 * @returns the number of rows
 * @throws DataError that names the line
 */
export const serveRows = async (options: ServeRowsOptions): Promise<number> => {
  const rows = new RowWriter(options.output)
  const stage = await openBuildStage(options.stage, await readBuildFiles(options.build), rows)
  let count = 0
  try {
    for await (const { bytes, number, length } of splitLines(options.input, maxRowBytes)) {
      options.signal?.throwIfAborted()
      if (bytes === undefined)
        throw new DataError(`Expected a row of at most ${maxRowBytes} bytes, got ${length}.`, 'rows on stdin', number)
      await stage.row(parseRow(bytes.toString('utf8')), number)
      count += 1
    }
    await stage.end()
    await rows.flush()
    return count
  } finally {
    await stage.close?.()
  }
}
