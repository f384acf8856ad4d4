// The frozen base at work: a vector, or several, for each sequence of tokens. Sorted by length and run without padding where the model
// can; what the cache has is not computed again. Knows no architecture, no task and no learner.
import { setImmediate } from 'node:timers/promises'
import type { Model } from '../models/index.ts'
import { mustPad, placeSequences } from '../objectives/index.ts'
import { inferenceMode, scope, Tensor } from '../tensor/index.ts'
import { FeatureCache, keyOf } from './cache.ts'
import { bodyInputsFor, type FeaturePooling, poolFeatures } from './layers.ts'

export interface FeatureSequence {
  ids: Uint32Array
  typeIds?: Uint8Array
  /** With pooling `tokens`: the tokens whose vectors are wanted, rising; all unless given. */
  positions?: Uint32Array
}

export interface FeatureSource {
  layer: string | number
  pooling: FeaturePooling
}

export interface ExtractOptions extends FeatureSource {
  /** Folder of the cache; kept in memory only unless given. */
  cache?: string
  /** What the base is, down to its bits: a part of the cache's name. */
  identity: string
  padId: number
  batchTokens?: number
  /** Features that are held back before a file of them is written, in bytes. */
  shardBytes?: number
  /** Called after each batch with how many sequences are there, computed or cached. */
  onProgress?(done: number): void
  onNote?(line: string): void
  signal?: AbortSignal
}

export interface Extracted {
  /** float32 [rows,C], in the order of the sequences. */
  features: Tensor
  /** Rows of each sequence. */
  rows: Int32Array
  /** Different sequences that the cache had, and that went through the base. */
  cached: number
  computed: number
  /** Tokens that went through the base. */
  tokens: number
  seconds: number
}

const defaultBatchTokens = 2048

/** @throws ConfigError for a layer that the model does not have */
export const extractFeatures = async (
  model: Model,
  sequences: readonly FeatureSequence[],
  options: ExtractOptions,
): Promise<Extracted> => {
  const { layer, pooling, identity, batchTokens = defaultBatchTokens, signal, onProgress, onNote } = options
  const started = performance.now()
  const about = { version: 1, base: identity, layer, pooling }
  const cache = await FeatureCache.open(options.cache, about, model.facts.hiddenSize, options.shardBytes)
  for (const path of cache.damaged)
    onNote?.(`${path} of the feature cache was damaged: it is removed, and its features are computed again.`)
  const keys = sequences.map(({ ids, typeIds, positions }) => keyOf(ids, typeIds, positions))
  const missing = new Map<string, FeatureSequence>()
  keys.forEach((key, i) => {
    if (!cache.has(key)) missing.set(key, sequences[i])
  })
  const distinct = new Set(keys).size
  const work = [...missing].sort(([, a], [, b]) => a.ids.length - b.ids.length)
  let done = distinct - work.length
  if (work.length > 0 && done > 0) onProgress?.(done)
  const wasTraining = model.training
  model.eval()
  try {
    try {
      for (const batch of batches(work, batchTokens, mustPad({ unpadded: true }, model))) {
        // Lets signals and progress through between two batches.
        await setImmediate()
        signal?.throwIfAborted()
        const chosen = batch.map(([, sequence]) => sequence)
        const found = featuresOf(model, chosen, options)
        for (let i = 0; i < batch.length; i++) await cache.add(batch[i][0], found[i])
        done += batch.length
        onProgress?.(done)
      }
    } finally {
      // Also where it was stopped: what is done need not be done again.
      await cache.flush()
    }
    return {
      features: cache.gather(keys),
      rows: Int32Array.from(keys, (key) => cache.rowsOf(key)),
      cached: distinct - work.length,
      computed: work.length,
      tokens: work.reduce((sum, [, { ids }]) => sum + ids.length, 0),
      seconds: (performance.now() - started) / 1000,
    }
  } finally {
    cache.close()
    if (wasTraining) model.train()
  }
}

/** The rows of each sequence of a batch. */
const featuresOf = (
  model: Model,
  sequences: readonly FeatureSequence[],
  { layer, pooling, padId }: ExtractOptions,
): Float32Array[] => {
  const { device } = model.body.embedTokens.weight
  const width = model.facts.hiddenSize
  const values = inferenceMode(() =>
    scope(() => {
      const typed = sequences.some(({ typeIds }) => typeIds !== undefined)
      const examples = sequences.map(({ ids, typeIds = new Uint8Array(ids.length) }) => ({
        ids,
        starts: [0],
        ...(typed ? { typeIds } : {}),
      }))
      const { inputs } = placeSequences(examples, padId, { padded: mustPad({ unpadded: true }, model), device })
      const outputs = model.bodyForward(bodyInputsFor(inputs, layer, pooling))
      const rows = poolFeatures(outputs, inputs, { layer, pooling })
      const asked = selectedRows(sequences, pooling)
      const kept = asked === undefined ? rows : rows.indexSelect(0, Tensor.from(asked, { dtype: 'int64', device }))
      return kept.to({ device: 'cpu' }).toFloat32Array()
    }),
  )
  let at = 0
  return sequences.map(({ ids, positions }) => {
    const rows = pooling === 'tokens' ? (positions?.length ?? ids.length) : 1
    return values.subarray(at, (at += rows * width))
  })
}

/** Which tokens of a batch are wanted; undefined for all rows that there are. */
const selectedRows = (sequences: readonly FeatureSequence[], pooling: FeaturePooling): Int32Array | undefined => {
  if (pooling !== 'tokens' || sequences.every(({ positions }) => positions === undefined)) return undefined
  const asked: number[] = []
  let first = 0
  for (const { ids, positions } of sequences) {
    for (const place of positions ?? ids.keys()) asked.push(first + place)
    first += ids.length
  }
  return Int32Array.from(asked)
}

type Work = [key: string, sequence: FeatureSequence]

/** Cuts work sorted by length into batches, each as full as may be; one that is too long is a batch of its own. */
function* batches(work: readonly Work[], most: number, padded: boolean): Generator<Work[], void> {
  let batch: Work[] = []
  let sum = 0
  for (const one of work) {
    const { length } = one[1].ids
    const size = padded ? length * (batch.length + 1) : sum + length
    if (batch.length > 0 && size > most) {
      yield batch
      batch = []
      sum = 0
    }
    batch.push(one)
    sum += length
  }
  if (batch.length > 0) yield batch
}
