// Token classification: a tag for each word of a sentence, such as the entity that it belongs to. The first token of a word carries
// its tag, as in BERT's paper; the others have no label. Long sentences become windows, and each word is labelled in one of them.
// @source Devlin et al. 2019, arXiv:1810.04805, section 5.3

import { z } from 'zod'
import { ConfigError, DataError, show } from '../core/index.ts'
import { expandFiles } from '../files/index.ts'
import { defaultMaxLength } from '../tokenizers/index.ts'
import { balanceClasses, classWeightsField, weightsOf } from './learning/class-loss.ts'
import {
  expectClasses,
  expectLabels,
  expectVariedAnswers,
  labelMapField,
  labelNumbers,
  labelsField,
  mapLabel,
  resolveLabel,
  sortedLabels,
  unknownLabel,
} from './learning/label-set.ts'
import { argmax } from './learning/probabilities.ts'
import { createTokenCriterion, splitPlaces } from './learning/token-criterion.ts'
import { createWordEncoder } from './learning/word-encoder.ts'
import { TagScores, tagScoreNames } from './metrics/class-scores.ts'
import {
  type EntityScheme,
  EntityScores,
  entitySchemes,
  entityScoreNames,
  entitySpans,
} from './metrics/entity-scores.ts'
import { expectColumns, idIn, namedValueIn, unreadColumns } from './records/columns.ts'
import { conllSentences, type TaggedSentence } from './records/conll-sentences.ts'
import { tokenDatasets } from './records/known-datasets.ts'
import { filesOfSplit, openRows, rowFields } from './records/read-rows.ts'
import { RecordSink, streaming } from './records/record-source.ts'
import { type DataRow, FaultCounter, type RecordFault } from './records/row.ts'
import {
  type AnswerVariety,
  addAnswer,
  addOne,
  countingRecords,
  mostFrequent,
  noAnswers,
  type RecordStatistics,
  randomItem,
} from './records/statistics.ts'
import {
  defineTask,
  type ReadOptions,
  type TaskData,
  type TaskExample,
  type TaskPrediction,
  type TaskRecord,
} from './task.ts'

const { format: rowFormat, group: _group, ...otherFields } = rowFields

const config = z.strictObject({
  ...otherFields,
  format: z
    .enum(['conll', ...rowFormat.def.innerType.options])
    .default('auto')
    .describe(
      'file format: conll (one token and its tag per line), or rows with lists of tokens and tags; auto: by the file name',
    ),
  tokens: z.string().default('tokens').describe('column with the list of words'),
  tags: z.string().default('tags').describe('column with the list of tags: names, or their indices in `labels`'),
  labels: labelsField('tag names in the order of their indices (default: the tags in the data, sorted)'),
  labelMap: labelMapField('tags, or for their types'),
  scheme: z
    .enum([...entitySchemes, 'none'])
    .default('lenient')
    .describe(
      'tagging scheme of the entities: lenient, as CoNLL and seqeval; a strict scheme; or none for independent tags such as parts of speech',
    ),
  stride: z.int().nonnegative().default(64).describe('overlap of consecutive windows of a long sentence, in tokens'),
  classWeights: classWeightsField,
  labelSmoothing: z.number().min(0).lt(1).default(0).describe('label smoothing: probability mass spread over all tags'),
})

type Config = z.output<typeof config>

/**
 * Words of a running text: letters, marks, digits and underscores, or another character. Invisible characters, such as joiners and soft
 * hyphens, belong to the word that they are in; the byte order mark is white space.
 */
const wordPattern = /(?:[\p{L}\p{M}\p{N}_]|(?!\s)\p{Cf})+|[^\s\p{L}\p{M}\p{N}_](?:(?!\s)\p{Cf})*/gu

/** A sentence with its tags. */
export interface TaggedRecord extends TaskRecord {
  tokens: readonly string[]
  /** The running text that the tokens are words of, which the model reads as it is (default: the tokens joined by spaces). */
  text?: string
  /** Undefined where they are not known. */
  tags: readonly string[] | undefined
}

/** An encoded sentence, or a window of it. */
export interface TaggedExample extends TaskExample {
  /** Positions of the first tokens of the words that are labelled in this example. */
  positions: Uint32Array
  /** Indices of those words in the sentence. */
  words: Uint32Array
  /** How many words, from that one on, begin in each of those tokens. */
  covered: Uint32Array
  /** [T], tag indices at those positions; -100 elsewhere, and where the tag is not known. */
  labels: Int32Array
}

/** How often each word has each tag. */
type TagStatistics = RecordStatistics & AnswerVariety & { words: Map<string, Map<string, number>> }

/** The predicted tags. */
export interface TaggedPrediction extends TaskPrediction {
  tags: string[]
}

export const tokenClassification = defineTask<
  Config,
  TaggedRecord,
  TaggedExample,
  TaggedPrediction,
  'token-classification',
  TagStatistics
>({
  type: 'token-classification',
  source: 'aclanthology.org/W03-0419 (CoNLL-2003)',
  summary: 'a tag for each word, such as its entity type',
  config,
  head: 'token-classification',
  datasets: tokenDatasets,
  dataSettings: [...Object.keys(rowFields), 'tokens', 'tags', 'labels', 'labelMap'],
  mainMetric: ({ scheme }) => (scheme === 'none' ? 'tokenAccuracy' : 'f1'),
  metricNames: ({ scheme }) => [...(scheme === 'none' ? tagScoreNames : entityScoreNames)],
  read: streaming(readTagged),
  answerFields: ['tags'],
  statistics: countingRecords(
    () => ({ ...noAnswers(), words: new Map<string, Map<string, number>>() }),
    (statistics, { tokens, tags = [] }: TaggedRecord) => {
      tags.forEach((tag, i) => {
        addAnswer(statistics, tag)
        const known = statistics.words.get(tokens[i])
        if (known === undefined) statistics.words.set(tokens[i], new Map([[tag, 1]]))
        else addOne(known, tag)
      })
    },
  ),
  recordFromInput(fields, id) {
    const { tokens, text } = fields
    const own = tokens == null && typeof text === 'string' ? text : undefined
    const words = own === undefined ? tokens : own.match(wordPattern)
    if (
      Array.isArray(words) &&
      words.length > 0 &&
      words.every((word) => typeof word === 'string' && word.trim() !== '')
    )
      return {
        id,
        file: 'input',
        line: undefined,
        tokens: words as string[],
        tags: undefined,
        ...(own === undefined ? {} : { text: own }),
      }
    throw new ConfigError(`Expected words for \`tokens\`, or a \`text\`, got ${show(tokens ?? text)}.`)
  },
  alignedInputs: ({ tokens }) => ({ tokens }),
  headOptions(statistics, { labels, scheme }) {
    expectVariedAnswers(statistics)
    const found = expectClasses(labels ?? sortedLabels(tagCounts(statistics).keys()), statistics)
    if (scheme !== 'none') expectScheme(found, scheme, statistics)
    return { labels: found }
  },
  prepare(tokenizer, settings, { maxLength = defaultMaxLength(tokenizer), headOptions, trainedOn }) {
    const labels = expectLabels(headOptions.labels)
    const numberOf = labelNumbers(labels)
    const encodeWords = createWordEncoder(tokenizer, { maxLength, stride: settings.stride })
    const weights = weightsOf(
      settings.classWeights,
      labels,
      trainedOn &&
        (() => {
          const counts = new Float64Array(labels.length)
          const place = { file: trainedOn.file ?? '', line: undefined }
          for (const [tag, count] of tagCounts(trainedOn as TagStatistics)) counts[numberOf(tag, place)] += count
          return balanceClasses(counts)
        }),
    )
    const unseen = labels.includes('O') ? 'O' : labels[0]
    return {
      criterion: createTokenCriterion<TaggedExample>({
        labels,
        weights,
        labelSmoothing: settings.labelSmoothing,
        padId: tokenizer.special.pad?.id ?? 0,
      }),
      rows: {
        kind: 'class',
        outputs: labels.length,
        positions: ({ positions }) => positions,
        targets: ({ positions, labels: own }) =>
          Float64Array.from(positions, (at) => (own[at] === -100 ? Number.NaN : own[at])),
        weights,
      },
      encode(record) {
        const numbers = record.tags?.map((tag) => numberOf(tag, record))
        const windows = encodeWords(record.tokens, record.text)
        if (windows.length === 0 || windows[0].ids.length === 0)
          throw new DataError('Expected words with at least one token, got none.', record.file, record.line)
        return windows.map((window) => {
          const own = new Int32Array(window.ids.length).fill(-100)
          if (numbers !== undefined)
            window.positions.forEach((position, i) => {
              own[position] = numbers[window.words[i]]
            })
          return { ...window, starts: [0], labels: own }
        })
      },
      split: splitPlaces,
      decode({ id, tokens }, outputs) {
        const tags: string[] = new Array(tokens.length).fill(unseen)
        for (const { example, logits } of outputs)
          example.positions.forEach((position, i) => {
            const tag = labels[argmax(logits.subarray(position * labels.length, (position + 1) * labels.length))]
            const word = example.words[i]
            // A token that several words begin in is one entity, not one for each of them.
            const further = tag.replace(/^B-/, 'I-')
            tags.fill(labels.includes(further) ? further : tag, word, word + example.covered[i])
            tags[word] = tag
          })
        return { id, tags }
      },
    }
  },
  parsePrediction(fields, { id, tokens }, { labels }) {
    const given = fields.tags ?? fields.prediction ?? fields.labels
    const list = typeof given === 'string' ? given.trim().split(/\s+/) : given
    if (!Array.isArray(list)) throw new ConfigError(`Expected a list for \`tags\`, got ${show(given)}.`)
    if (list.length !== tokens.length)
      throw new ConfigError(`Expected ${tokens.length} tags, one per word, got ${list.length}.`)
    return { id, tags: list.map((tag) => resolveLabel(String(tag), labels ?? []) ?? String(tag)) }
  },
  labelCounts: (statistics) => tagCounts(statistics),
  baselines(trained, _, random) {
    const all = tagCounts(trained)
    const usual = mostFrequent(all)
    const usualOf = new Map([...trained.words].map(([word, tags]) => [word, mostFrequent(tags)]))
    const names = sortedLabels(all.keys())
    const tagged =
      (tagOf: (word: string) => string) =>
      ({ id, tokens }: TaggedRecord) => ({ id, tags: tokens.map(tagOf) })
    return [
      { name: 'most frequent tag', predict: tagged(() => usual) },
      { name: "each word's most frequent tag", predict: tagged((word) => usualOf.get(word) ?? usual) },
      { name: 'random tag', predict: tagged(() => randomItem(names, random)) },
    ]
  },
  scorer({ scheme, labels: given }, headLabels) {
    const labels = given ?? headLabels
    const scores = scheme === 'none' ? new TagScores() : new EntityScores(scheme)
    const named = (tag: string) => (labels === undefined ? tag : (resolveLabel(tag, labels) ?? tag))
    return {
      add({ tags, file, line }, prediction) {
        if (tags === undefined) throw new DataError('Expected a record with tags, got one without.', file, line)
        try {
          scores.add(tags.map(named), prediction.tags)
        } catch (error) {
          throw error instanceof ConfigError ? new DataError(error.message, file, line) : error
        }
      },
      units: () => scores,
    }
  },
})

/** How often words have each tag: word by word, in the order in which they came. */
const tagCounts = ({ words }: TagStatistics): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const tags of words.values()) for (const [tag, count] of tags) counts.set(tag, (counts.get(tag) ?? 0) + count)
  return counts
}

/** Checks tags before training starts. @throws DataError for tags that do not follow the scheme */
const expectScheme = (labels: readonly string[], scheme: EntityScheme, { file }: RecordStatistics): void => {
  try {
    entitySpans(labels, scheme)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new DataError(`${error.message} For independent tags, such as parts of speech, set \`scheme\` none.`, file)
  }
}

async function readTagged(
  path: string,
  settings: Config,
  { labelled = true, signal, onRecord }: ReadOptions<TaggedRecord> = {},
): Promise<TaskData<TaggedRecord>> {
  const { onFault, limit = Number.POSITIVE_INFINITY, split } = settings
  const faults = new FaultCounter(onFault, 'settings')
  // A text file with tags can only be CoNLL; without tags it may have plain sentences.
  const isTaggedText = labelled && settings.format === 'auto' && /\.txt(\.(gz|bz2|zst))?$/.test(path)
  const isConll = settings.format === 'conll' || isTaggedText || /\.(conllu?|bio|iob2?)(\.\w+)?$/.test(path)
  const sink = new RecordSink<TaggedRecord>({ onRecord })
  const seen = new Set<string>()
  let files: string[]
  let sentences: AsyncIterable<TaggedSentence & { id?: string }>
  if (isConll) {
    files = filesOfSplit(await expandFiles(path, ['.conll', '.conllu', '.bio', '.iob', '.iob2', '.txt']), split, path)
    sentences = conllOf(files, { tagged: labelled, faults, signal })
  } else {
    const source = await openRows(path, { ...settings, format: settings.format === 'conll' ? 'auto' : settings.format })
    files = source.files
    sentences = rowsOf(source.rows(faults, signal), settings, { labelled, faults, unread: sink.unread })
  }
  let number = 0
  for await (const { tokens, tags, file, line, id } of sentences) {
    if (sink.count >= limit) break
    const name = id ?? String(number)
    number++
    const named = tags === undefined ? { names: undefined } : namesOf(tags, settings)
    if ('fault' in named) faults.fault(named.fault, { file, line })
    else if (id !== undefined && seen.has(id))
      faults.count('repeated-id', `Expected distinct ids, got "${id}" again.`, { file, line })
    else {
      if (id !== undefined) seen.add(id)
      const wait = sink.add({ id: name, file, line, tokens, tags: named.names })
      if (wait !== undefined) await wait
    }
  }
  return sink.finish(path, files, faults)
}

const namesOf = (
  tags: readonly string[],
  { labels, labelMap }: Pick<Config, 'labels' | 'labelMap'>,
): { names: string[] } | { fault: RecordFault } => {
  const names: string[] = []
  for (const tag of tags) {
    const known = labels === undefined ? tag : resolveLabel(tag, labels)
    const name = mapLabel(known ?? tag, labelMap)
    if (known === undefined && name === tag) return { fault: unknownLabel(tag, labels ?? []) }
    names.push(name)
  }
  return { names }
}

async function* conllOf(files: readonly string[], options: Parameters<typeof conllSentences>[1]) {
  for (const file of files) yield* conllSentences(file, options)
}

async function* rowsOf(
  rows: AsyncIterable<DataRow>,
  settings: Config,
  { labelled, faults, unread }: { labelled: boolean; faults: FaultCounter; unread: Set<string> },
): AsyncGenerator<TaggedSentence & { id?: string }> {
  let file: string | undefined
  for await (const row of rows) {
    if (row.file !== file) {
      const columns = { tokens: settings.tokens, ...(labelled ? { tags: settings.tags } : {}), id: settings.id }
      expectColumns(row, columns)
      for (const name of unreadColumns(row, columns, {}, settings.ignoreColumns)) unread.add(name)
      file = row.file
    }
    const place = { file: row.file, line: row.line }
    const tokens = listOf(row.values[settings.tokens])
    const written = labelled ? namedValueIn(row, settings.tags) : { value: undefined }
    if ('fault' in written) {
      faults.fault(written.fault, place)
      continue
    }
    const tags = listOf(written.value)
    const own = settings.id === undefined ? { value: undefined } : idIn(row, settings.id)
    if ('fault' in own) faults.fault(own.fault, place)
    else if (tokens === undefined || tokens.length === 0 || tokens.some((token) => token.trim() === ''))
      faults.count(
        'empty-text',
        `Expected words in column "${settings.tokens}", got ${show(row.values[settings.tokens])}.`,
        place,
      )
    else if (labelled && tags?.length !== tokens.length)
      faults.count(
        'misaligned-tags',
        `Expected ${tokens.length} tags in column "${settings.tags}", one per word, got ${tags?.length ?? show(row.values[settings.tags])}.`,
        place,
      )
    else yield { tokens, tags, ...place, ...(own.value === undefined ? {} : { id: own.value }) }
  }
}

/** A list, or a text split at white space. */
const listOf = (value: unknown): string[] | undefined => {
  if (typeof value === 'string') return value.trim().split(/\s+/)
  if (
    Array.isArray(value) &&
    value.every((part) => typeof part === 'string' || typeof part === 'number' || typeof part === 'bigint')
  )
    return value.map(String)
  return undefined
}
