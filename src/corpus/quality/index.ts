// A trainable classifier of document quality: logistic regression over hashed word n-grams.

import { z } from 'zod'
import { ConfigError, createRandom, parseConfig } from '../../core/index.ts'
import { extractFeatures, type FeatureOptions, type Features } from './features.ts'
import { readModelFile, writeModelFile } from './model-file.ts'

const qualityTrainingOptions = z.strictObject({
  nGrams: z.number().int().min(1).max(5).default(2).describe('maximum n of the word n-grams'),
  bits: z.number().int().min(8).max(24).default(18).describe('logarithm to base 2 of the number of weights'),
  maxWords: z.number().int().min(1).default(10_000).describe('maximum words read per document'),
  epochs: z.number().int().min(1).max(1000).default(10).describe('epochs over the examples'),
  learningRate: z.number().positive().default(1).describe('initial learning rate, decayed linearly to 0'),
  l2: z.number().min(0).default(1e-6).describe('L2 regularisation'),
  balance: z.boolean().default(true).describe('equal total weight for both classes'),
  validationShare: z.number().min(0).max(0.9).default(0.1).describe('share of examples for validation'),
  maxDocuments: z.number().int().min(1).default(200_000).describe('maximum examples per class'),
  seed: z.number().int().default(0).describe('random seed for the order of examples and the validation split'),
})
export type QualityTrainingOptions = z.input<typeof qualityTrainingOptions>

/** Size of the training set and quality on the validation examples; without accuracy and AUC when there are none. */
export interface QualityReport {
  readonly trainingExamples: number
  readonly validationExamples: number
  readonly accuracy?: number
  /** Area under the ROC curve. */
  readonly auc?: number
  /** Mean log loss of the last epoch over the training examples, in nats. */
  readonly loss: number
}

/** A trained classifier of document quality. */
export interface QualityModel {
  /** Probability that the text belongs to the class of good examples. */
  score(text: string): number
  /** Writes the model file that `loadQualityModel` reads. */
  save(path: string): Promise<void>
}

type Texts = Iterable<string> | AsyncIterable<string>

interface Example {
  readonly features: Features
  readonly label: 0 | 1
}

/**
 * Trains on good (`positive`) and bad (`negative`) texts; equal texts, order and options give equal bytes.
 * Keeps the features of all examples in memory, about 8 bytes for each distinct n-gram of a text.
 */
export const trainQualityClassifier = async (
  positive: Texts,
  negative: Texts,
  options: QualityTrainingOptions = {},
): Promise<{ model: QualityModel; report: QualityReport }> => {
  const settings = parseConfig(qualityTrainingOptions, options, 'quality')
  const examples: Example[] = []
  const counts = [0, 0]
  for (const [label, texts] of [[1, positive] as const, [0, negative] as const]) {
    for await (const text of texts) {
      if (counts[label] >= settings.maxDocuments) break
      const features = extractFeatures(text, settings)
      if (features.indices.length === 0) continue
      examples.push({ features, label })
      counts[label]++
    }
  }
  if (counts[0] === 0 || counts[1] === 0) {
    throw new ConfigError(
      `Expected at least one text with words in each class for \`quality\`, got ${counts[1]} good and ${counts[0]} bad. Add examples.`,
    )
  }
  const random = createRandom(settings.seed)
  random.fork('hold-out').shuffle(examples)
  const validation = examples.splice(0, Math.floor(examples.length * settings.validationShare))
  if (!examples.some(({ label }) => label === 0) || !examples.some(({ label }) => label === 1)) {
    throw new ConfigError(
      'Expected both classes among the training examples, got one. Lower `validationShare` or add examples.',
    )
  }

  const weights = new Float32Array(2 ** settings.bits)
  let bias = 0
  let loss = 0
  const classWeight = settings.balance
    ? [examples.length / (2 * (examples.length - positives(examples))), examples.length / (2 * positives(examples))]
    : [1, 1]
  const steps = settings.epochs * examples.length
  const order = random.fork('order')
  let step = 0
  for (let epoch = 0; epoch < settings.epochs; epoch++) {
    order.shuffle(examples)
    loss = 0
    for (const { features, label } of examples) {
      const rate = settings.learningRate * (1 - step++ / steps)
      const margin = dot(weights, features) + bias
      const error = (sigmoid(margin) - label) * classWeight[label]
      loss += logLoss(margin, label)
      const { indices, values } = features
      for (let i = 0; i < indices.length; i++) {
        const index = indices[i]
        weights[index] -= rate * (error * values[i] + settings.l2 * weights[index])
      }
      bias -= rate * 0.1 * error
    }
  }
  const header = { ...pick(settings), bias, positives: counts[1], negatives: counts[0] }
  const report = {
    trainingExamples: examples.length,
    validationExamples: validation.length,
    loss: loss / examples.length,
    ...evaluate(validation.map(({ features, label }) => ({ score: sigmoid(dot(weights, features) + bias), label }))),
  }
  return { model: createModel(header, weights), report }
}

/** Reads a saved model. @throws DataError when the file is not a model, is truncated or was changed */
export const loadQualityModel = async (path: string): Promise<QualityModel> => {
  const { header, weights } = await readModelFile(path)
  return createModel(header, weights)
}

interface ModelFacts extends FeatureOptions {
  readonly bias: number
  readonly positives: number
  readonly negatives: number
}

const createModel = (facts: ModelFacts, weights: Float32Array): QualityModel => {
  const { bits, nGrams, maxWords, bias, positives, negatives } = facts
  return {
    score: (text) => sigmoid(dot(weights, extractFeatures(text, facts)) + bias),
    save: (path) => writeModelFile(path, { bits, nGrams, maxWords, bias, positives, negatives }, weights),
  }
}

const pick = ({ bits, nGrams, maxWords }: FeatureOptions): FeatureOptions => ({ bits, nGrams, maxWords })

const positives = (examples: readonly Example[]): number => examples.reduce((sum, { label }) => sum + label, 0)

const dot = (weights: Float32Array, { indices, values }: Features): number => {
  let sum = 0
  for (let i = 0; i < indices.length; i++) sum += weights[indices[i]] * values[i]
  return sum
}

const sigmoid = (margin: number): number => 1 / (1 + Math.exp(-margin))

const logLoss = (margin: number, label: 0 | 1): number => {
  const signed = label === 1 ? margin : -margin
  return signed > 0 ? Math.log1p(Math.exp(-signed)) : Math.log1p(Math.exp(signed)) - signed
}

const evaluate = (scored: { score: number; label: 0 | 1 }[]): { accuracy?: number; auc?: number } => {
  if (scored.length === 0) return {}
  const right = scored.filter(({ score, label }) => score >= 0.5 === (label === 1)).length
  const ranked = scored.sort((a, b) => a.score - b.score)
  let rankSum = 0
  for (let i = 0; i < ranked.length; ) {
    let end = i
    while (end < ranked.length && ranked[end].score === ranked[i].score) end++
    // Tied scores get their mean rank.
    for (let j = i; j < end; j++) if (ranked[j].label === 1) rankSum += (i + 1 + end) / 2
    i = end
  }
  const good = ranked.reduce((sum, { label }) => sum + label, 0)
  const bad = ranked.length - good
  const auc = good === 0 || bad === 0 ? undefined : (rankSum - (good * (good + 1)) / 2) / (good * bad)
  return { accuracy: right / scored.length, ...(auc === undefined ? {} : { auc }) }
}
