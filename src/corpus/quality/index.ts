// A trainable classifier of document quality: logistic regression over hashed word n-grams.

import { open, stat } from 'node:fs/promises'
import { z } from 'zod'
import { ConfigError, createRandom, DataError, parseConfig, sha256, writeFileAtomic } from '../../core/index.ts'
import { type HashPair, hashText, mix32 } from '../hash/index.ts'
import { splitWords } from '../text/index.ts'

/** A sparse vector sorted by index, with L2 norm 1 so that long documents do not outweigh short ones. */
interface Features {
  readonly indices: Uint32Array
  readonly values: Float32Array
}

interface FeatureOptions {
  /** Maximum n of the word n-grams, 1 to 5. */
  readonly nGrams: number
  /** The vector has 2^bits elements. */
  readonly bits: number
  /** Maximum words read per document. */
  readonly maxWords: number
}

const pair: HashPair = { high: 0, low: 0 }

export const extractFeatures = (text: string, { nGrams, bits, maxWords }: FeatureOptions): Features => {
  // The first `maxWords` words are within so many characters, so the rest need not be split.
  const words = splitWords(text.length > maxWords * 20 ? text.slice(0, maxWords * 20) : text)
  const count = Math.min(words.length, maxWords)
  const hashes = new Uint32Array(count)
  for (let i = 0; i < count; i++) {
    const word = words[i].toLowerCase()
    hashText(word, 0, word.length, pair)
    hashes[i] = pair.low
  }
  const counts = new Map<number, number>()
  const shift = 32 - bits
  for (let i = 0; i < count; i++) {
    let hash = 0
    for (let n = 1; n <= nGrams && i + n <= count; n++) {
      hash = mix32(Math.imul(hash, 31) + hashes[i + n - 1] + n)
      const index = hash >>> shift
      counts.set(index, (counts.get(index) ?? 0) + 1)
    }
  }
  const indices = Uint32Array.from(counts.keys()).sort()
  const values = new Float32Array(indices.length)
  let squares = 0
  for (let i = 0; i < indices.length; i++) {
    // The logarithm keeps one repeated word from dominating.
    const value = 1 + Math.log(counts.get(indices[i])!)
    values[i] = value
    squares += value * value
  }
  const scale = squares === 0 ? 0 : 1 / Math.sqrt(squares)
  for (let i = 0; i < values.length; i++) values[i] *= scale
  return { indices, values }
}

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
  const { bits, nGrams, maxWords } = settings
  const header = { bits, nGrams, maxWords, bias, positives: counts[1], negatives: counts[0] }
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

const createModel = (header: Omit<ModelHeader, 'weightsSha256'>, weights: Float32Array): QualityModel => ({
  score: (text) => sigmoid(dot(weights, extractFeatures(text, header)) + header.bias),
  save: (path) => writeModelFile(path, header, weights),
})

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

const magic = 'TSQUAL1\n'
const maxHeaderBytes = 64 * 2 ** 10

const modelHeader = z.strictObject({
  bits: z.number().int().min(8).max(24),
  nGrams: z.number().int().min(1).max(5),
  maxWords: z.number().int().min(1).max(10_000_000),
  bias: z.number(),
  positives: z.number().int().min(0),
  negatives: z.number().int().min(0),
  weightsSha256: z.string().length(64),
})
type ModelHeader = z.output<typeof modelHeader>

const writeModelFile = async (
  path: string,
  header: Omit<ModelHeader, 'weightsSha256'>,
  weights: Float32Array,
): Promise<void> => {
  const bytes = new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength)
  const json = Buffer.from(JSON.stringify({ ...header, weightsSha256: sha256(bytes) }))
  const size = Buffer.alloc(4)
  size.writeUInt32LE(json.length)
  await writeFileAtomic(path, Buffer.concat([Buffer.from(magic), size, json, bytes]))
}

const readModelFile = async (path: string): Promise<{ header: ModelHeader; weights: Float32Array }> => {
  const fault = (expected: string, got: string | number) =>
    new DataError(`Expected ${expected} for a quality model, got ${got}. Train it again or fetch it again.`, path)
  const size = await stat(path).then(
    (found) => found.size,
    () => undefined,
  )
  if (size === undefined) throw fault('a readable file', 'none')
  const file = await open(path)
  try {
    const start = Buffer.alloc(magic.length + 4)
    const { bytesRead } = await file.read(start, 0, start.length, 0)
    if (bytesRead < start.length || start.toString('latin1', 0, magic.length) !== magic) {
      throw fault('the mark TSQUAL1', JSON.stringify(start.toString('latin1', 0, Math.min(bytesRead, magic.length))))
    }
    const headerBytes = start.readUInt32LE(magic.length)
    if (headerBytes > maxHeaderBytes || start.length + headerBytes > size) {
      throw fault(`a header of at most ${Math.min(maxHeaderBytes, size)} bytes`, headerBytes)
    }
    const json = Buffer.alloc(headerBytes)
    await file.read(json, 0, headerBytes, start.length)
    let value: unknown
    try {
      value = JSON.parse(json.toString('utf8'))
    } catch {
      throw fault('a JSON header', 'broken JSON')
    }
    const header = parseConfig(modelHeader, value, path)
    const weightBytes = 4 * 2 ** header.bits
    if (size !== start.length + headerBytes + weightBytes) {
      throw fault(`${start.length + headerBytes + weightBytes} bytes`, size)
    }
    const weights = new Float32Array(2 ** header.bits)
    const bytes = new Uint8Array(weights.buffer)
    for (let done = 0; done < weightBytes; ) {
      const { bytesRead: read } = await file.read(bytes, done, weightBytes - done, start.length + headerBytes + done)
      if (read === 0) throw fault(`${weightBytes} bytes of weights`, done)
      done += read
    }
    if (sha256(bytes) !== header.weightsSha256) throw fault('weights that match their checksum', 'other bytes')
    return { header, weights }
  } finally {
    await file.close()
  }
}
