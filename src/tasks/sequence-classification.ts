// Sequence classification: one class for each text or pair of texts, or any number of labels.

import { z } from 'zod'
import { ConfigError, DataError, didYouMean, show } from '../core/index.ts'
import type { Metric } from '../objectives/index.ts'
import { noGrad, Tensor } from '../tensor/index.ts'
import { createTextEncoder, defaultMaxLength } from '../tokenizers/index.ts'
import {
  balanceClasses,
  balanceLabels,
  classLoss,
  classLossFields,
  classWeightsField,
  divergence,
  weightsOf,
} from './learning/class-loss.ts'
import { decisionParts, fitClassification } from './learning/fit-classification.ts'
import {
  expectClasses,
  expectFewClasses,
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
import { argmax, rounded, sigmoid, softmax } from './learning/probabilities.ts'
import { createRowCriterion, splitRows } from './learning/row-criterion.ts'
import { ClassScores, classScoreNames } from './metrics/class-scores.ts'
import { MultiLabelScores, multiLabelScoreNames } from './metrics/multi-label-scores.ts'
import { GrowingList, type ScoredUnits } from './metrics/scored-units.ts'
import { type Checked, flagLabelsIn, labelIn, labelListIn } from './records/columns.ts'
import { classificationDatasets } from './records/known-datasets.ts'
import { allOf, readRecords } from './records/read-records.ts'
import { streaming } from './records/record-source.ts'
import { isFields } from './records/row.ts'
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
import { type Texts, textColumns, textFields, textsFromInput, textsOf, unsetPair } from './records/text-columns.ts'
import { defineTask, type Scorer, type TaskExample, type TaskPrediction, type TaskRecord } from './task.ts'

const config = z
  .strictObject({
    ...textFields,
    label: z.string().default('label').describe('column with the label: a name, or its index in `labels`'),
    labels: labelsField('class names in the order of their indices (default: the labels in the data, sorted)'),
    labelMap: labelMapField('labels'),
    multiLabel: z.boolean().default(false).describe('any number of labels per record: a list, or a text with commas'),
    labelColumns: labelsField('multi-label: one column of 0 and 1 per label, instead of `label`'),
    threshold: z.number().gt(0).lt(1).default(0.5).describe('multi-label: minimum probability of a predicted label'),
    thresholds: z
      .record(z.string(), z.number().gt(0).lt(1))
      .optional()
      .describe('multi-label: minimum probability by label (default: threshold)'),
    temperature: z
      .number()
      .positive()
      .default(1)
      .describe('divides the logits before probabilities: above 1 lowers the confidence'),
    fit: z
      .array(z.enum(decisionParts))
      .default([])
      .describe('parts to fit on the validation records after training: temperature, and thresholds with multiLabel'),
    positive: z.string().optional().describe('class whose precision, recall and F1 are reported'),
    classWeights: classWeightsField,
    ...classLossFields,
  })
  .superRefine((settings, context) => {
    const { multiLabel, labelSmoothing, focalGamma, positive, labels, labelColumns, thresholds, fit } = settings
    const refuse = (field: string, why: string) =>
      context.addIssue({ code: 'custom', path: [field], message: `Expected no \`${field}\` ${why}. Remove it.` })
    if (multiLabel && labelSmoothing > 0) refuse('labelSmoothing', 'with `multiLabel`, where it has no effect')
    if (focalGamma > 0 && labelSmoothing > 0) refuse('labelSmoothing', 'with `focalGamma`')
    if (!multiLabel && thresholds !== undefined) refuse('thresholds', 'without `multiLabel`')
    if (!multiLabel && fit.includes('thresholds')) refuse('fit: thresholds', 'without `multiLabel`')
    if (!multiLabel && labelColumns !== undefined) refuse('labelColumns', 'without `multiLabel`')
    if (labels !== undefined && labelColumns !== undefined)
      refuse('labels', 'with `labelColumns`, which are the labels')
    if (multiLabel && positive !== undefined) refuse('positive', 'with `multiLabel`, where each label has scores')
  })

type Config = z.output<typeof config>

/** A text or a pair of texts with its labels. */
export interface ClassificationRecord extends TaskRecord, Texts {
  /** Names of the labels: one, or any number with `multiLabel`; undefined where they are not known. */
  labels: readonly string[] | undefined
}

/** An encoded record with its labels. */
export interface ClassificationExample extends TaskExample {
  /** Indices of the labels; undefined where they are not known. */
  labels: Uint32Array | undefined
}

/** `label`, or `labels` with `multiLabel`; `probabilities` by label where they are known. */
export interface ClassificationPrediction extends TaskPrediction {
  label?: string
  labels?: string[]
  probabilities?: { [label: string]: number }
}

/** How many records have each label, and whether answers differ. */
type LabelStatistics = RecordStatistics & AnswerVariety & { labels: Map<string, number> }

const term = 'classification'

export const sequenceClassification = defineTask<
  Config,
  ClassificationRecord,
  ClassificationExample,
  ClassificationPrediction,
  'sequence-classification',
  LabelStatistics
>({
  type: 'sequence-classification',
  source: 'arXiv:1804.07461 (GLUE)',
  summary: 'one class, or any number of labels, for each text or pair of texts',
  config,
  head: 'sequence-classification',
  datasets: classificationDatasets,
  dataSettings: [...Object.keys(textFields), 'label', 'labels', 'labelMap', 'labelColumns'],
  mainMetric: ({ multiLabel }) => (multiLabel ? 'f1Micro' : 'accuracy'),
  metricNames: ({ multiLabel, positive }) => (multiLabel ? [...multiLabelScoreNames] : classScoreNames({ positive })),
  read: streaming((path, settings, { labelled = true, ...flow } = {}) => {
    const { label, labelColumns } = settings
    const named =
      labelColumns === undefined
        ? { label }
        : Object.fromEntries(labelColumns.map((one) => [`labelColumns ${one}`, one]))
    const columns = { ...textColumns(settings), ...(labelled ? named : {}) }
    return readRecords<Omit<ClassificationRecord, keyof TaskRecord>>(
      path,
      settings,
      {
        columns,
        datasets: classificationDatasets,
        unset: unsetPair(settings),
        fields: (row) => {
          const labels = labelled ? labelsIn(settings, row) : { value: undefined }
          const all = allOf<{ texts: Texts; labels: readonly string[] | undefined }>({
            texts: textsOf(row, settings),
            labels: labels as Checked<readonly string[] | undefined>,
          })
          return 'fault' in all ? all : { value: { ...all.value.texts, labels: all.value.labels } }
        },
      },
      flow,
    )
  }),
  answerFields: ['labels'],
  statistics: countingRecords(
    () => ({ ...noAnswers(), labels: new Map<string, number>() }),
    (statistics, { labels }: ClassificationRecord) => {
      if (labels === undefined) return
      addAnswer(statistics, labels.join(', '))
      for (const label of labels) addOne(statistics.labels, label)
    },
  ),
  recordFromInput: (fields, id, settings) => ({
    id,
    file: 'input',
    line: undefined,
    ...textsFromInput(fields, settings),
    labels: undefined,
  }),
  headOptions(statistics, { labels, labelColumns, multiLabel }) {
    expectVariedAnswers(statistics)
    const found = labels ?? labelColumns ?? sortedLabels(statistics.labels.keys())
    if (labels === undefined && !multiLabel) expectFewClasses(found, statistics)
    return {
      labels: multiLabel && found.length > 0 ? [...found] : expectClasses(found, statistics),
      problemType: multiLabel ? 'multi-label' : 'single-label',
    }
  },
  prepare(tokenizer, settings, { maxLength = defaultMaxLength(tokenizer), headOptions, trainedOn }) {
    const {
      multiLabel,
      labelSmoothing,
      focalGamma,
      rDrop,
      threshold,
      thresholds = {},
      temperature,
      classWeights,
    } = settings
    const labels = expectLabels(headOptions.labels)
    const numberOf = labelNumbers(labels)
    const encodeText = createTextEncoder(tokenizer, maxLength, headOptions)
    const weights = weightsOf(
      classWeights,
      labels,
      trainedOn &&
        (() => {
          const counts = countLabels(trainedOn as LabelStatistics, labels)
          return multiLabel ? balanceLabels(counts, trainedOn.records) : balanceClasses(counts)
        }),
    )
    const weightOf = ({ labels: own }: ClassificationExample): number => {
      if (own === undefined) return 0
      return multiLabel ? labels.length : (weights?.[own[0]] ?? 1)
    }
    const criterion = createRowCriterion<ClassificationExample>({
      term,
      head: 'sequence-classification',
      outputs: multiLabel ? 'labels' : 'classes',
      padId: tokenizer.special.pad?.id ?? 0,
      weight: weightOf,
      targets(examples, device) {
        if (!multiLabel) {
          const numbers = BigInt64Array.from(examples, ({ labels: own }) => BigInt(own?.[0] ?? -100))
          return Tensor.from(numbers, { shape: [numbers.length], device })
        }
        // NaN marks an unknown target.
        const values = new Float32Array(examples.length * labels.length)
        examples.forEach(({ labels: own }, i) => {
          if (own === undefined) values.fill(Number.NaN, i * labels.length, (i + 1) * labels.length)
          else for (const label of own) values[i * labels.length + label] = 1
        })
        return Tensor.from(values, { shape: [examples.length, labels.length], device })
      },
      loss: (logits, targets) => classLoss(logits, targets, { multiLabel, labelSmoothing, focalGamma, weights }),
      consistency:
        rDrop === 0
          ? undefined
          : (first, second, targets) => {
              const known = multiLabel ? targets.isnan().logicalNot() : targets.ne(-100)
              return divergence(first, second, multiLabel, known.to('float32')).mul(rDrop)
            },
      measure(logits, targets, { known }): { [name: string]: Metric } {
        if (multiLabel || known === 0) return {}
        return { accuracy: { sum: noGrad(() => logits.argmax(-1).eq(targets).sum()), weight: known } }
      },
      describeTarget: ({ labels: own }) =>
        own === undefined ? 'not known' : Array.from(own, (label) => labels[label]).join(', '),
    })
    return {
      criterion,
      rows: {
        kind: multiLabel ? 'labels' : 'class',
        outputs: labels.length,
        targets: ({ labels: own }) => {
          if (own === undefined) return Array(multiLabel ? labels.length : 1).fill(Number.NaN)
          return multiLabel ? labels.map((_, i) => Number(own.includes(i))) : own
        },
        weights,
      },
      encode(record) {
        const encoded = encodeText(record.text, record.pair)
        if (encoded.ids.length === 0)
          throw new DataError('Expected a text with at least one token, got none.', record.file, record.line)
        const numbers = record.labels?.map((label) => numberOf(label, record))
        return [{ ...encoded, labels: numbers === undefined ? undefined : Uint32Array.from(numbers) }]
      },
      split: splitRows,
      decode({ id }, [{ logits: given }]) {
        const logits = temperature === 1 ? given : Float32Array.from(given, (logit) => logit / temperature)
        if (multiLabel) {
          const values = Array.from(logits, sigmoid)
          return {
            id,
            labels: labels.filter((_, i) => values[i] >= (thresholds[labels[i]] ?? threshold)),
            probabilities: Object.fromEntries(labels.map((label, i) => [label, rounded(values[i])])),
          }
        }
        const values = softmax(logits)
        return {
          id,
          label: labels[argmax(logits)],
          probabilities: Object.fromEntries(labels.map((label, i) => [label, rounded(values[i])])),
        }
      },
    }
  },
  afterTraining: fitClassification,
  parsePrediction(fields, { id }, { multiLabel }) {
    const { label, labels, prediction, probabilities } = fields
    const shares = isShares(probabilities) ? { probabilities } : {}
    if (multiLabel) {
      const given = labels ?? prediction ?? label
      const list =
        typeof given === 'string' ? labelListIn({ values: { given }, file: '', line: 1 }, 'given') : { value: given }
      if ('value' in list && Array.isArray(list.value)) return { id, labels: list.value.map(String), ...shares }
      throw new ConfigError(`Expected a list for \`labels\`, got ${show(given)}.`)
    }
    const predicted = label ?? prediction
    if (typeof predicted === 'string' || typeof predicted === 'number' || typeof predicted === 'boolean')
      return { id, label: String(predicted).trim(), ...shares }
    throw new ConfigError(`Expected a label for \`label\`, got ${show(predicted)}.`)
  },
  labelCounts: ({ labels }) => labels,
  baselines(trained, { multiLabel }, random) {
    const { labels: counts } = trained
    const labels = sortedLabels(counts.keys())
    if (!multiLabel) {
      const label = mostFrequent(counts)
      return [
        { name: 'majority class', predict: ({ id }) => ({ id, label }) },
        { name: 'random class', predict: ({ id }) => ({ id, label: randomItem(labels, random) }) },
      ]
    }
    const share = (label: string) => counts.get(label)! / trained.records
    const usual = labels.filter((label) => share(label) >= 0.5)
    const frequent = usual.length > 0 || counts.size === 0 ? usual : [mostFrequent(counts)]
    const drawn = () => labels.filter((label) => random.float() < share(label))
    return [
      { name: 'most frequent labels', predict: ({ id }) => ({ id, labels: frequent }) },
      { name: 'random labels', predict: ({ id }) => ({ id, labels: drawn() }) },
    ]
  },
  scorer: (settings, headLabels) => new LabelScorer(settings, headLabels),
})

/** Scores labels, which get numbers as they come: those that only predictions have become classes behind all others. */
class LabelScorer implements Scorer<ClassificationRecord, ClassificationPrediction> {
  readonly #settings: Config
  /** Undefined: those of the records. */
  readonly #labels: readonly string[] | undefined
  readonly #numbers = new Map<string, number>()
  readonly #ofRecords = new Set<string>()
  readonly #ofPredictions = new Set<string>()
  /** Different answers of records and of predictions. */
  readonly #answers = { known: new Set<string>(), predicted: new Set<string | undefined>() }
  readonly #classes = new ClassScores()
  /** With `multiLabel`, of each record: how many labels it has, these labels, how many the prediction has, and these. */
  readonly #sets = new GrowingList()
  #records = 0

  constructor(settings: Config, headLabels: readonly string[] | undefined) {
    this.#settings = settings
    this.#labels = settings.labels ?? settings.labelColumns ?? headLabels
  }

  add(record: ClassificationRecord, { label, labels: several, probabilities }: ClassificationPrediction): void {
    const right = known(record)
    this.#records++
    if (this.#labels === undefined) for (const one of right) this.#ofRecords.add(one)
    for (const one of several ?? (label === undefined ? [] : [label])) this.#ofPredictions.add(one)
    this.#answers.known.add(right.join(', '))
    this.#answers.predicted.add(this.#settings.multiLabel ? several?.join(', ') : label)
    if (!this.#settings.multiLabel) {
      this.#classes.add(this.#numberOf(right[0]), this.#numberOf(label ?? ''), probabilities?.[label ?? ''])
      return
    }
    for (const labels of [right, several ?? []]) {
      this.#sets.push(labels.length)
      for (const one of labels) this.#sets.push(this.#numberOf(one))
    }
  }

  units(): ScoredUnits {
    const { multiLabel, positive } = this.#settings
    const labels = this.#labels ?? sortedLabels(this.#ofRecords)
    const unknown = [...this.#ofPredictions].filter((label) => resolveLabel(label, labels) === undefined)
    const all = [...labels, ...sortedLabels(unknown)]
    const places = new Map(all.map((label, i) => [label, i]))
    const found = [...this.#numbers.keys()].map((label) => places.get(resolveLabel(label, all) ?? label)!)
    if (multiLabel) return this.#multiLabelUnits(all, found)
    if (positive !== undefined && !labels.includes(positive))
      throw new ConfigError(
        `Expected one of the labels ${labels.join(', ')} for \`positive\`, got "${positive}".${didYouMean(positive, labels)}`,
      )
    const named = positive === undefined ? {} : { positive: places.get(resolveLabel(positive, all) ?? positive)! }
    return this.#classes.units({ labels: all, ...named }, (number) => found[number])
  }

  warnings(): string[] {
    const { known: given, predicted } = this.#answers
    if (this.#records < 2 || predicted.size > 1 || given.size < 2) return []
    const [answer] = predicted
    return [`The model predicts ${answer === '' ? 'no label' : `"${answer}"`} for every record.`]
  }

  #numberOf(label: string): number {
    const number = this.#numbers.get(label) ?? this.#numbers.size
    if (number === this.#numbers.size) this.#numbers.set(label, number)
    return number
  }

  #multiLabelUnits(labels: readonly string[], placeOf: readonly number[]): ScoredUnits {
    const scores = new MultiLabelScores(labels)
    const sets = this.#sets.values()
    let at = 0
    const next = () => Array.from(sets.subarray(at + 1, (at += 1 + sets[at])), (number) => placeOf[number])
    for (let i = 0; i < this.#records; i++) {
      const right = next()
      scores.add(right, [...new Set(next())])
    }
    return scores
  }
}

const labelsIn = (settings: Config, row: Parameters<typeof labelIn>[0]): Checked<readonly string[]> => {
  const named = namedLabelsIn(settings, row)
  const { labelMap } = settings
  return 'fault' in named || labelMap === undefined
    ? named
    : { value: [...new Set(named.value.map((label) => mapLabel(label, labelMap)))] }
}

/** The labels of a row as the data has them, or by their indices in `labels`. */
const namedLabelsIn = (
  { label, labels, labelColumns, labelMap, multiLabel }: Config,
  row: Parameters<typeof labelIn>[0],
): Checked<readonly string[]> => {
  if (labelColumns !== undefined) return flagLabelsIn(row, labelColumns)
  const one = multiLabel ? undefined : labelIn(row, label)
  const written = one === undefined ? labelListIn(row, label) : 'fault' in one ? one : { value: [one.value] }
  if ('fault' in written || labels === undefined) return written
  const names: string[] = []
  for (const value of written.value) {
    const name = resolveLabel(value, labels) ?? (Object.hasOwn(labelMap ?? {}, value) ? value : undefined)
    if (name === undefined) return { fault: unknownLabel(value, labels) }
    if (!names.includes(name)) names.push(name)
  }
  return { value: names }
}

/** The labels of a record. @throws DataError where they are not known */
const known = ({ labels, file, line }: ClassificationRecord): readonly string[] => {
  if (labels !== undefined) return labels
  throw new DataError('Expected a record with a label, got one without.', file, line)
}

const countLabels = ({ labels: found, file = '' }: LabelStatistics, labels: readonly string[]): Float64Array => {
  const counts = new Float64Array(labels.length)
  const numberOf = labelNumbers(labels)
  for (const [label, count] of found) counts[numberOf(label, { file, line: undefined })] += count
  return counts
}

const isShares = (value: unknown): value is { [label: string]: number } =>
  isFields(value) && Object.values(value).every((share) => typeof share === 'number')
