// Temperature and thresholds of a classification specialist, fitted on its validation records: settings that are stored with it,
// its predictions with them, and how much better they are.
import { DataError } from '../../core/index.ts'
import { Calibration } from '../metrics/calibration.ts'
import type { Measured, Measurement, TaskPrediction, TaskRecord } from '../task.ts'
import { argmax, rounded, softmax } from './probabilities.ts'

// @source Guo et al. 2017, arXiv:1706.04599, section 4.2 (temperature); Fan and Lin 2007 (thresholds by label)
/** Decisions of one record: probabilities by label, and which labels are right. */
export interface Decisions {
  probabilities: readonly number[]
  right: readonly number[]
}

interface DecisionQuality {
  calibrationError: number
  /** Mean negative log-likelihood in nats: by record, or by label of a record with `multiLabel`. */
  negativeLogLikelihood: number
  f1Macro: number
}

interface DecisionFit {
  temperature: number
  /** By label, in their order; undefined where thresholds are not fitted. */
  thresholds: number[] | undefined
}

/** Predictions have six digits: a probability of 1 stands for at least this. */
const least = 5e-7
const bounded = (share: number): number => Math.min(1 - least, Math.max(least, share))

/** The probabilities at another temperature. */
const atTemperature = (probabilities: readonly number[], temperature: number, multiLabel: boolean): number[] => {
  if (temperature === 1) return [...probabilities]
  if (!multiLabel)
    return Array.from(softmax(probabilities.map((share) => Math.log(Math.max(share, 1e-300)) / temperature)))
  return probabilities.map((share) => {
    const logit = Math.log(bounded(share) / (1 - bounded(share)))
    return 1 / (1 + Math.exp(-logit / temperature))
  })
}

const lossOf = (all: readonly Decisions[], temperature: number, multiLabel: boolean): number => {
  let [sum, count] = [0, 0]
  for (const { probabilities, right } of all) {
    const shares = atTemperature(probabilities, temperature, multiLabel)
    if (!multiLabel) {
      sum -= Math.log(Math.max(shares[right[0]], 1e-300))
      count++
      continue
    }
    for (const [label, share] of shares.entries()) {
      sum -= Math.log(right.includes(label) ? bounded(share) : 1 - bounded(share))
      count++
    }
  }
  return sum / count
}

/** The temperature with the smallest negative log-likelihood, by golden-section search over its logarithm: the loss has one minimum. */
const bestTemperature = (all: readonly Decisions[], multiLabel: boolean): number => {
  const ratio = (Math.sqrt(5) - 1) / 2
  const loss = (logarithm: number) => lossOf(all, Math.exp(logarithm), multiLabel)
  let [low, high] = [Math.log(0.05), Math.log(20)]
  let [left, right] = [high - ratio * (high - low), low + ratio * (high - low)]
  let [lossLeft, lossRight] = [loss(left), loss(right)]
  for (let i = 0; i < 40; i++) {
    if (lossLeft <= lossRight) {
      ;[high, right, lossRight] = [right, left, lossLeft]
      left = high - ratio * (high - low)
      lossLeft = loss(left)
    } else {
      ;[low, left, lossLeft] = [left, right, lossRight]
      right = low + ratio * (high - low)
      lossRight = loss(right)
    }
  }
  return Math.exp((low + high) / 2)
}

const f1Of = (both: number, predicted: number, right: number): number =>
  predicted + right === 0 ? 0 : (2 * both) / (predicted + right)

/** The threshold of a label with the best F1; of equal ones, the one nearest to `usual`. */
const bestThreshold = (shares: readonly number[], isRight: readonly boolean[], usual: number): number => {
  const right = isRight.filter(Boolean).length
  if (right === 0) return usual
  const order = shares.map((_, i) => i).sort((a, b) => shares[b] - shares[a])
  const at = shares.filter((share) => share >= usual)
  let [best, score] = [usual, f1Of(shares.filter((share, i) => share >= usual && isRight[i]).length, at.length, right)]
  let both = 0
  order.forEach((index, k) => {
    both += Number(isRight[index])
    const [here, next] = [shares[index], k + 1 < order.length ? shares[order[k + 1]] : 0]
    if (here === next) return
    const threshold = (here + next) / 2
    const f1 = f1Of(both, k + 1, right)
    const nearer = Math.abs(threshold - usual) < Math.abs(best - usual)
    if (f1 > score + 1e-12 || (f1 > score - 1e-12 && nearer && best !== usual)) [best, score] = [threshold, f1]
  })
  return best
}

/** Fits what is asked for. @param usual threshold that labels without a better one keep */
export const fitDecision = (
  all: readonly Decisions[],
  labels: number,
  { temperature, thresholds }: { temperature: boolean; thresholds: boolean },
  { multiLabel, usual }: { multiLabel: boolean; usual: number },
): DecisionFit => {
  const best = temperature ? bestTemperature(all, multiLabel) : 1
  if (!thresholds) return { temperature: best, thresholds: undefined }
  const shares = all.map(({ probabilities }) => atTemperature(probabilities, best, multiLabel))
  return {
    temperature: best,
    thresholds: Array.from({ length: labels }, (_, label) =>
      bestThreshold(
        shares.map((own) => own[label]),
        all.map(({ right }) => right.includes(label)),
        usual,
      ),
    ),
  }
}

/** Calibration, loss and F1 of decisions at a temperature and with thresholds by label. */
export const decisionQuality = (
  all: readonly Decisions[],
  labels: number,
  { temperature, thresholds }: { temperature: number; thresholds: readonly number[] },
  multiLabel: boolean,
): DecisionQuality => {
  const calibration = new Calibration()
  const counts = Array.from({ length: labels }, () => ({ both: 0, predicted: 0, right: 0 }))
  for (const { probabilities, right } of all) {
    const shares = atTemperature(probabilities, temperature, multiLabel)
    const top = shares.indexOf(Math.max(...shares))
    const chosen = multiLabel ? (label: number) => shares[label] >= thresholds[label] : (label: number) => label === top
    if (!multiLabel) calibration.add(shares[top], right[0] === top)
    for (const [label, count] of counts.entries()) {
      // Of several labels, the confidence of the decision for or against each.
      if (multiLabel)
        calibration.add(Math.max(shares[label], 1 - shares[label]), shares[label] >= 0.5 === right.includes(label))
      count.both += Number(chosen(label) && right.includes(label))
      count.predicted += Number(chosen(label))
      count.right += Number(right.includes(label))
    }
  }
  return {
    calibrationError: calibration.error(),
    negativeLogLikelihood: lossOf(all, temperature, multiLabel),
    f1Macro: counts.reduce((sum, { both, predicted, right }) => sum + f1Of(both, predicted, right), 0) / labels,
  }
}

export const decisionParts = ['temperature', 'thresholds'] as const

interface DecisionSettings {
  fit: readonly (typeof decisionParts)[number][]
  multiLabel: boolean
  temperature: number
  threshold: number
  thresholds?: { [label: string]: number } | undefined
}

interface LabelPrediction extends TaskPrediction {
  label?: string
  labels?: string[]
  probabilities?: { [label: string]: number }
}

/** Fits what the settings ask for: `temperature` and `thresholds`; undefined where they ask for nothing. */
export const fitClassification = <Prediction extends LabelPrediction>(
  settings: DecisionSettings,
): Measurement<TaskRecord & { labels: readonly string[] | undefined }, Prediction> | undefined => {
  const { fit, multiLabel, temperature, threshold, thresholds } = settings
  if (fit.length === 0) return undefined
  const decisions: Decisions[] = []
  let names: readonly string[] = []
  const add = (labels: readonly string[], probabilities: { [label: string]: number }) => {
    if (decisions.length === 0) names = Object.keys(probabilities)
    decisions.push({
      probabilities: names.map((name) => probabilities[name]),
      right: labels.map((label) => names.indexOf(label)),
    })
  }
  const finish = (): Measured<Prediction> => {
    if (names.length === 0)
      throw new DataError('`fit` needs validation records and probabilities of the labels, got none. Remove `fit`.')
    const usual = names.map((name) => thresholds?.[name] ?? threshold)
    const found = fitDecision(
      decisions,
      names.length,
      { temperature: fit.includes('temperature'), thresholds: fit.includes('thresholds') },
      { multiLabel, usual: threshold },
    )
    const chosen = (found.thresholds ?? usual).map(rounded)
    const scale = rounded(found.temperature)
    return {
      settings: {
        temperature: rounded(temperature * scale),
        thresholds:
          found.thresholds === undefined ? thresholds : Object.fromEntries(names.map((name, i) => [name, chosen[i]])),
      },
      predict(prediction) {
        const { probabilities: given = {} } = prediction
        const shares = atTemperature(
          names.map((name) => given[name]),
          scale,
          multiLabel,
        )
        const probabilities = Object.fromEntries(names.map((name, k) => [name, rounded(shares[k])]))
        if (!multiLabel) return { ...prediction, label: names[argmax(shares)], probabilities }
        return { ...prediction, labels: names.filter((_, k) => shares[k] >= chosen[k]), probabilities }
      },
      fitted: {
        records: decisions.length,
        before: decisionQuality(decisions, names.length, { temperature: 1, thresholds: usual }, multiLabel),
        after: decisionQuality(decisions, names.length, { temperature: scale, thresholds: chosen }, multiLabel),
      },
    }
  }
  return {
    add({ labels, file, line }, { probabilities = {} }) {
      if (labels === undefined)
        throw new DataError('`fit` needs labels of all validation records, got one without.', file, line)
      add(labels, probabilities)
    },
    finish,
  }
}
