// How alignment runs are compared: by the log-probabilities of the same validation records, whatever the objective.
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DataError, parseJson } from '../../core/index.ts'
import type { TaskRecord } from '../../tasks/index.ts'
import { modelFiles, runFiles } from '../../tracking/index.ts'
import { splitRecords } from '../engine/data-splits.ts'
import type { RunComparison } from '../engine/run-kind.ts'
import { dataOf } from './data.ts'
import { findObjective } from './objectives.ts'
import type { AlignRecipe } from './recipe.ts'
import { type AlignmentPrediction, parsePrediction } from './scores.ts'

const dataOfRecipe = ({ objective }: AlignRecipe) => dataOf(findObjective(objective))

/** The lines of predictions.jsonl, by the id of their record. */
const readLines = async (path: string): Promise<Map<string, { [name: string]: unknown }>> => {
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

export const comparison: RunComparison<AlignRecipe> = {
  describe: (recipe) => ({ task: dataOfRecipe(recipe).noun, variant: `${recipe.objective}, ${recipe.variant}` }),
  async records(recipe) {
    const data = dataOfRecipe(recipe)
    const { data: all, validation: path = all, validationShare, columns, out } = recipe
    const { records } = await data.read(path, columns)
    const held = recipe.validation === undefined ? splitRecords(records, validationShare).validation : records
    // Records that were dropped as too long have no prediction.
    const scored = await readLines(join(out, runFiles.model, modelFiles.predictions))
    return held.filter(({ id }) => scored.has(id))
  },
  async predictions(path, records) {
    const lines = await readLines(path)
    return records.map((record: TaskRecord): AlignmentPrediction => {
      const fields = lines.get(record.id)
      if (fields === undefined)
        throw new DataError(`Expected a prediction for record ${record.id}, found none in ${dirname(path)}.`, path)
      return parsePrediction(fields, record)
    })
  },
  score: (records, predictions, recipe) =>
    dataOfRecipe(recipe).scores.score(records, predictions as readonly AlignmentPrediction[]),
}
