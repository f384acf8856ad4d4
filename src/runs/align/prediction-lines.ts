// The lines of predictions.jsonl of an alignment run, by the id of their record.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DataError, parseJson } from '../../core/index.ts'
import { modelFiles, runFiles } from '../../tracking/index.ts'

/** @throws DataError for a missing or damaged file */
export const readPredictionLines = async (path: string): Promise<Map<string, { [name: string]: unknown }>> => {
  const text = await readFile(path, 'utf8').catch(() => {
    throw new DataError('Expected the predictions of a run, found none. Run it again.', path)
  })
  const lines = text.split('\n').filter((line) => line !== '')
  return new Map(
    lines.map((line, i) => {
      const fields = parseJson(line, { path, line: i + 1 }) as { [name: string]: unknown }
      return [String(fields.id), fields]
    }),
  )
}

/** Ids of the records that a run was scored on: those that were dropped as too long have no prediction. */
export const scoredIds = async (run: string): Promise<Set<string>> =>
  new Set((await readPredictionLines(join(run, runFiles.model, modelFiles.predictions))).keys())
