// Predictions that any program made: JSON lines as `evaluate` writes them, SQuAD's JSON of answers by id, separated values, CoNLL
// files, or plain lines. They are matched with records by id where they have ids, else by order.
import { ConfigError, DataError, didYouMean, show } from '../../core/index.ts'
import { textLines } from '../../files/index.ts'
import { conllSentences } from '../records/conll-sentences.ts'
import { readJson } from '../records/json-rows.ts'
import { openRows } from '../records/read-rows.ts'
import { FaultCounter, type Place } from '../records/row.ts'
import type { TaskDefinition, TaskPrediction, TaskRecord } from '../task.ts'

interface Found extends Place {
  id: string | undefined
  fields: { [name: string]: unknown }
}

/**
 * Reads a prediction for every record, in the order of the records.
 * @throws DataError with file and line for a prediction that is malformed, repeated, missing or of an unknown record
 */
export const readPredictions = async <
  Config extends object,
  Record extends TaskRecord,
  Prediction extends TaskPrediction,
>(
  path: string,
  task: Pick<TaskDefinition<Config, Record, never, Prediction>, 'parsePrediction'>,
  records: readonly Record[],
  config: Config,
  { noAnswer }: { noAnswer?: string } = {},
): Promise<Prediction[]> => {
  const found: Found[] = []
  for await (const one of predictionsIn(path)) found.push(one)
  const noAnswerProbabilities = noAnswer === undefined ? undefined : await numbersById(noAnswer)
  const parse = ({ fields, file, line }: Found, record: Record): Prediction => {
    try {
      const more = noAnswerProbabilities === undefined ? {} : { noAnswerProbability: noAnswerProbabilities[record.id] }
      return task.parsePrediction({ ...fields, ...more }, record, config)
    } catch (error) {
      throw error instanceof ConfigError ? new DataError(error.message, file, line) : error
    }
  }
  if (found.length === 0) throw new DataError('Expected predictions, got an empty file.', path)
  if (!found.every(({ id }) => id !== undefined)) {
    if (found.length !== records.length)
      throw new DataError(
        `Expected ${records.length} predictions, one for each record in their order, got ${found.length}. Add ids, or check that none is missing.`,
        path,
      )
    return records.map((record, i) => parse(found[i], record))
  }
  const wanted = new Map(records.map((record) => [record.id, record]))
  const byId = new Map<string, Found>()
  for (const one of found) {
    const { id, file, line } = one
    if (!wanted.has(id!))
      throw new DataError(
        `Expected an id of the references, got "${id}".${records.length < 20_000 ? didYouMean(id!, wanted.keys()) : ''} Check that both files belong together.`,
        file,
        line,
      )
    if (byId.has(id!)) throw new DataError(`Expected one prediction for each id, got "${id}" again.`, file, line)
    byId.set(id!, one)
  }
  const missing = records.filter(({ id }) => !byId.has(id))
  if (missing.length > 0)
    throw new DataError(
      `Expected a prediction for each of the ${records.length} records, got none for ${missing.length}, the first "${missing[0].id}". Add them.`,
      path,
    )
  return records.map((record) => parse(byId.get(record.id)!, record))
}

const nameOf = (id: unknown): string | undefined =>
  typeof id === 'string' || typeof id === 'number' || typeof id === 'bigint' ? String(id) : undefined

async function* predictionsIn(path: string): AsyncGenerator<Found> {
  const name = path.replace(/\.(gz|bz2|zst)$/, '')
  const faults = new FaultCounter('error')
  if (/\.(conll|bio|iob2?)$/.test(name)) {
    for await (const { tags, file, line } of conllSentences(path, { tagged: true, faults }))
      yield { id: undefined, fields: { tags }, file, line }
    return
  }
  if (name.endsWith('.txt')) {
    for await (const { text, number } of textLines(path))
      yield { id: undefined, fields: { prediction: text }, file: path, line: number }
    return
  }
  if (name.endsWith('.json')) {
    const content = await readJson(path)
    if (typeof content === 'object' && content !== null && !Array.isArray(content)) {
      for (const [i, [id, prediction]] of Object.entries(content).entries()) {
        const fields =
          typeof prediction === 'object' && prediction !== null && !Array.isArray(prediction)
            ? prediction
            : { prediction }
        yield { id, fields: fields as Found['fields'], file: path, line: i + 1 }
      }
      return
    }
  }
  const source = await openRows(path, { format: 'auto', header: true, quotes: 'auto' })
  for await (const { values, file, line } of source.rows(faults))
    yield { id: nameOf(values.id), fields: values, file, line }
}

/** Numbers by id: SQuAD's file of no-answer probabilities. */
const numbersById = async (path: string): Promise<{ [id: string]: number }> => {
  const content = await readJson(path)
  const isObject = typeof content === 'object' && content !== null && !Array.isArray(content)
  const wrong = isObject ? Object.values(content).find((value) => typeof value !== 'number') : content
  if (!isObject || wrong !== undefined)
    throw new DataError(`Expected an object of numbers by id, got ${show(wrong)}.`, path)
  return content as { [id: string]: number }
}
