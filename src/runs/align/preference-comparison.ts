// How alignment runs are compared: by the log-probabilities of the same validation records, whatever the objective.
import { dirname } from 'node:path'
import { resolveData } from '../../checkpoint/index.ts'
import { DataError } from '../../core/index.ts'
import type { TaskRecord } from '../../tasks/index.ts'
import { splitRecords } from '../engine/data-splits.ts'
import type { RunComparison } from '../engine/run-kind.ts'
import { dataOf } from './data.ts'
import { findObjective } from './objectives.ts'
import { readPredictionLines, scoredIds } from './prediction-lines.ts'
import type { AlignRecipe } from './recipe.ts'
import { type AlignmentPrediction, parsePrediction } from './scores.ts'

const dataOfRecipe = ({ objective }: AlignRecipe) => dataOf(findObjective(objective))

export const preferenceComparison: RunComparison<AlignRecipe> = {
  describe: (recipe) => ({ task: dataOfRecipe(recipe).noun, variant: `${recipe.objective}, ${recipe.variant}` }),
  async records(recipe) {
    const data = dataOfRecipe(recipe)
    const { data: all, validation: path = all, validationShare, columns, out } = recipe
    const { records } = await data.read(await resolveData(path), columns)
    const held = recipe.validation === undefined ? splitRecords(records, validationShare).validation : records
    // Records that were dropped as too long have no prediction.
    const scored = await scoredIds(out)
    return held.filter(({ id }) => scored.has(id))
  },
  async predictions(path, records) {
    const lines = await readPredictionLines(path)
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
