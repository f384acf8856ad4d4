// Predictions of two runs for the same records, filtered, a page at a time.
import { join } from 'node:path'
import { comparePredictions, type PredictionPair, type PredictionPairs } from '../../../runs/index.ts'
import { modelFiles, runFiles } from '../../../tracking/index.ts'
import { finiteOrNull, listedValue } from '../shown-values.ts'
import type { PairFilter, PredictionPage, PredictionRow, PredictionText } from '../types/compare-types.ts'
import { Recent } from './recent.ts'

/** What a page of predictions is made from. */
export interface PredictionQuery {
  first: string
  second: string
  filter: PairFilter
  search: string
  from: number
  count: number
}

const recent = new Recent<PredictionPairs>(3)

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

const rowOf = ({ id, inputs, answer, predictions, scores }: PredictionPair): PredictionRow => ({
  id,
  inputs: inputs.map(([name, value]) => [name, listedValue(value)]),
  answer: listedValue(answer),
  predictions: [predictionText(predictions[0]), predictionText(predictions[1])],
  scores: [finiteOrNull(scores[0]), finiteOrNull(scores[1])],
})

/** One page of the records that fit the filter and the search. */
export const predictionPage = async (query: PredictionQuery): Promise<PredictionPage> => {
  const { first, second, filter, search, from, count } = query
  const files = [first, second].flatMap((folder) =>
    [modelFiles.evaluation, modelFiles.predictions].map((name) => join(folder, runFiles.model, name)),
  )
  const pairs = await recent.of('predictions', files, () => comparePredictions(first, second))
  const counted = Object.entries(filters).map(([name, fits]) => [
    name,
    pairs.pairs.filter((pair) => fits(pair, pairs)).length,
  ])
  const wanted = search.toLowerCase()
  const found = pairs.pairs.filter((pair) => filters[filter](pair, pairs) && contains(pair, wanted))
  // Of scores between right and wrong, the largest differences tell most.
  if (!pairs.rightOrWrong) found.sort((a, b) => Math.abs(advantage(b, pairs)) - Math.abs(advantage(a, pairs)))
  return {
    ...{ metric: pairs.metric, lowerIsBetter: pairs.lowerIsBetter, rightOrWrong: pairs.rightOrWrong },
    counts: Object.fromEntries(counted) as Record<PairFilter, number>,
    total: found.length,
    from,
    rows: found.slice(from, from + count).map(rowOf),
  }
}
