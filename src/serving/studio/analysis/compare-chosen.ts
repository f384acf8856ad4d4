// For the page "Compare": chosen runs side by side, and predictions of two of them for the same records, filtered, a page at a time.
import { join } from 'node:path'
import {
  type ComparedDifference,
  type ComparedRun,
  comparePredictions,
  compareRuns,
  type PredictionPair,
  type PredictionPairs,
} from '../../../runs/index.ts'
import { isLowerBetter, modelFiles, runFiles } from '../../../tracking/index.ts'
import { finiteOrNull, intervalOf, listedValue } from '../shown-values.ts'
import type { RunRow } from '../types/api-types.ts'
import type {
  ComparedRunRow,
  PairedDifference,
  PairFilter,
  PredictionPage,
  PredictionRow,
  PredictionText,
  RunComparisonAnswer,
} from '../types/compare-types.ts'
import { Recent } from './recent.ts'

const recent = new Recent<RunComparisonAnswer>(8)

const differenceOf = (
  difference: ComparedDifference | undefined,
  idOf: (name: string) => string,
): PairedDifference | null =>
  difference === undefined
    ? null
    : { ...intervalOf(difference), to: idOf(difference.to), probability: finiteOrNull(difference.probability) }

const rowOf = (run: ComparedRun, idOf: (name: string) => string): ComparedRunRow => ({
  id: idOf(run.name),
  ...{ base: run.base, task: run.task, variant: run.variant, family: run.family, randomInit: run.randomInit },
  data: run.data.split('/').slice(-2).join('/'),
  group: JSON.stringify([run.task, run.metric, run.records ?? null]),
  seed: String(run.seed),
  metric: run.metric,
  lowerIsBetter: isLowerBetter(run.metric),
  ...intervalOf(run),
  trainedParameters: run.trainedParameters,
  trainedShare: run.trainedShare ?? null,
  seconds: run.seconds,
  energyJoules: run.energyJoules ?? null,
  cost: run.cost ?? null,
  ...{ peakBytes: run.peakBytes, fileBytes: run.fileBytes },
  difference: differenceOf(run.difference, idOf),
  pretraining: differenceOf(run.pretraining, idOf),
})

/** Compares the runs; those without a score are named with the reason. */
export const compareChosen = ({
  runs,
}: {
  runs: readonly Pick<RunRow, 'id' | 'folder'>[]
}): Promise<RunComparisonAnswer> => {
  const files = runs.flatMap(({ folder }) =>
    [modelFiles.evaluation, modelFiles.predictions].map((name) => join(folder, runFiles.model, name)),
  )
  return recent.of(JSON.stringify(runs), files, async () => {
    const ids = new Map(runs.map(({ id, folder }) => [folder, id]))
    const skipped: RunComparisonAnswer['skipped'] = []
    const compared = await compareRuns(
      runs.map(({ folder }) => folder),
      // The page says which run it is; its path says no more.
      { onSkip: (folder, error) => skipped.push({ id: ids.get(folder) ?? folder, reason: error.message }) },
    )
    const names = new Map(compared.runs.map(({ name, run }) => [name, ids.get(run) ?? name]))
    const idOf = (name: string) => names.get(name) ?? name
    return {
      runs: compared.runs.map((run) => rowOf(run, idOf)),
      references: compared.references.map(({ task, metric, baseline, runs: scored, ...interval }) => ({
        ...{ task, metric, name: baseline, runs: scored.map(idOf) },
        ...intervalOf(interval),
      })),
      rewards: compared.rewards.map(({ reward, points }) => ({
        reward,
        points: points.map(({ name, method, kl, ...interval }) => ({
          ...{ name: idOf(name), method, kl },
          ...intervalOf(interval),
        })),
      })),
      warnings: compared.warnings,
      skipped: skipped.map(({ id, reason }) => ({
        id,
        reason: reason.replace(`${runs.find((run) => run.id === id)?.folder}: `, ''),
      })),
    }
  })
}

const recentPairs = new Recent<PredictionPairs>(3)

/** Fields of predictions that are the answer itself; tasks name theirs differently. */
const answerNames = ['label', 'labels', 'answer', 'choice', 'value', 'tags', 'rewards']

const maxProbabilities = 5

const probabilitiesOf = (value: unknown): PredictionText['probabilities'] =>
  typeof value !== 'object' || value === null
    ? []
    : Object.entries(value)
        .filter((entry): entry is [string, number] => typeof entry[1] === 'number')
        .sort(([, a], [, b]) => b - a)
        .slice(0, maxProbabilities)

const predictionText = (fields: { [field: string]: unknown }): PredictionText => {
  const name = answerNames.find((each) => fields[each] !== undefined)
  const { probabilities, ...others } = fields
  const value = name === undefined ? others : fields[name]
  const isList = Array.isArray(value) && name === 'labels'
  return {
    text: isList ? value.map(String).join(', ') : listedValue(value),
    probabilities: probabilitiesOf(probabilities),
  }
}

const filters: Record<PairFilter, (pair: PredictionPair, pairs: PredictionPairs) => boolean> = {
  all: () => true,
  changed: ({ predictions: [first, second] }) => predictionText(first).text !== predictionText(second).text,
  first: (pair, pairs) => advantage(pair, pairs) > 0,
  second: (pair, pairs) => advantage(pair, pairs) < 0,
  'both-right': ({ scores }, { rightOrWrong }) => rightOrWrong && scores.every((score) => score === 1),
  'both-wrong': ({ scores }, { rightOrWrong }) => rightOrWrong && scores.every((score) => score === 0),
}

/** How much better the first prediction is; 0 where one of them has no score. */
const advantage = ({ scores: [first, second] }: PredictionPair, { lowerIsBetter }: PredictionPairs): number =>
  first === null || second === null ? 0 : lowerIsBetter ? second - first : first - second

const contains = (pair: PredictionPair, search: string): boolean =>
  search === '' || JSON.stringify([pair.inputs, pair.answer, pair.predictions, pair.id]).toLowerCase().includes(search)

const predictionRow = ({ id, inputs, answer, predictions, scores }: PredictionPair): PredictionRow => ({
  id,
  inputs: inputs.map(([name, value]) => [name, listedValue(value)]),
  answer: listedValue(answer),
  predictions: [predictionText(predictions[0]), predictionText(predictions[1])],
  scores: [finiteOrNull(scores[0]), finiteOrNull(scores[1])],
})

/** One page of the records that fit the filter and the search. */
export const predictionPage = async (query: {
  first: string
  second: string
  filter: PairFilter
  search: string
  from: number
  count: number
}): Promise<PredictionPage> => {
  const { first, second, filter, search, from, count } = query
  const files = [first, second].flatMap((folder) =>
    [modelFiles.evaluation, modelFiles.predictions].map((name) => join(folder, runFiles.model, name)),
  )
  const pairs = await recentPairs.of('predictions', files, () => comparePredictions(first, second))
  const { pairs: all, ...facts } = pairs
  const counted = Object.entries(filters).map(([name, fits]) => [name, all.filter((pair) => fits(pair, pairs)).length])
  const wanted = search.toLowerCase()
  const found = all.filter((pair) => filters[filter](pair, pairs) && contains(pair, wanted))
  // Of scores between right and wrong, the largest differences tell most.
  if (!pairs.rightOrWrong) found.sort((a, b) => Math.abs(advantage(b, pairs)) - Math.abs(advantage(a, pairs)))
  return {
    ...facts,
    counts: Object.fromEntries(counted) as Record<PairFilter, number>,
    total: found.length,
    from,
    rows: found.slice(from, from + count).map(predictionRow),
  }
}
