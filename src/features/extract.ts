// Feature extraction with a frozen base: one vector, or one per token, for each sequence. Sequences are sorted by length and run
// without padding where the model can; cached features are not computed again.
import { setImmediate } from 'node:timers/promises'
import { RowCache } from '../checkpoint/index.ts'
import { computeByTurns, type ProcessGroup, shortHash } from '../distributed/index.ts'
import { forEachPart } from '../generation/index.ts'
import type { Model } from '../models/index.ts'
import { mustPad, placeSequences } from '../objectives/index.ts'
import { cat, freeTensors, inferenceMode, keep, noGrad, scope, Tensor } from '../tensor/index.ts'
import { keyOf } from './cache.ts'
import { bodyInputsFor, type FeaturePooling, poolFeatures } from './layers.ts'

/** A sequence to extract features of. */
export interface FeatureSequence {
  ids: Uint32Array
  typeIds?: Uint8Array
  /** With pooling `tokens`: positions of the tokens, ascending (default: all). */
  positions?: Uint32Array
}

interface FeatureSource {
  layer: string | number
  pooling: FeaturePooling
}

/** What is extracted, and where it is cached. */
export interface ExtractOptions extends FeatureSource {
  /** Folder of the cache (default: in memory only). */
  cache?: string
  /** Hash of the base's weights and precision: part of the cache's key. */
  identity: string
  padId: number
  batchTokens?: number
  /** Size in bytes at which a cache file is written. */
  shardBytes?: number
  /** Called after each batch with the number of sequences that are done, computed or cached. */
  onProgress?(done: number): void
  onNote?(line: string): void
  signal?: AbortSignal | undefined
  /** The processes that divide the batches; all get all features, and the first one writes the cache. */
  group?: ProcessGroup | undefined
}

/** Extracted features. */
export interface Extracted {
  /** float32 [rows,C], in the order of the sequences. */
  features: Tensor
  /** Number of rows of each sequence. */
  rows: Int32Array
  /** Distinct sequences that were in the cache, and that were computed. */
  cached: number
  computed: number
  /** Tokens that went through the base. */
  tokens: number
  seconds: number
}

const defaultBatchTokens = 2048

/** Features of the sequences, in their order. @throws ConfigError for a layer that the model does not have */
export const extractFeatures = async (
  model: Model,
  sequences: readonly FeatureSequence[],
  options: ExtractOptions,
): Promise<Extracted> => {
  const { layer, pooling, identity, batchTokens = defaultBatchTokens, signal, onProgress, onNote, group } = options
  const started = performance.now()
  const about = { version: 1, base: identity, layer, pooling }
  const limits = { most: options.shardBytes, writes: group?.first ?? true }
  const open = () => RowCache.open(options.cache, about, model.facts.hiddenSize, limits)
  // The first process removes what is damaged before the others read.
  const cache = await (group === undefined ? open() : group.firstBefore(open))
  for (const path of cache.damaged)
    onNote?.(`Removing the damaged file ${path} of the feature cache: its features are computed again.`)
  const keys = sequences.map(({ ids, typeIds, positions }) => keyOf(ids, typeIds, positions))
  const missing = new Map<string, FeatureSequence>()
  keys.forEach((key, i) => {
    if (!cache.has(key)) missing.set(key, sequences[i])
  })
  const distinct = new Set(keys).size
  const work = [...missing].sort(([, a], [, b]) => a.ids.length - b.ids.length)
  await group?.expectEqual({ 'texts without cached features': shortHash(work.map(([key]) => key)) })
  let done = distinct - work.length
  if (work.length > 0 && done > 0) onProgress?.(done)
  const compute = async (batch: readonly Work[]) => {
    // Signals and progress are handled between two batches.
    await setImmediate()
    signal?.throwIfAborted()
    const chosen = batch.map(([, sequence]) => sequence)
    // A long text of a decoder needs no more memory and time at once than a batch.
    const isLong = chosen.length === 1 && chosen[0].ids.length > batchTokens
    if (isLong && model.facts.causal && layer === 'last') return featuresInParts(model, chosen[0], options)
    return featuresOf(model, chosen, options)
  }
  const planned = [...batches(work, batchTokens, mustPad({ unpadded: true }, model))]
  const wasTraining = model.training
  model.eval()
  try {
    // A request of a server is one batch that nothing keeps.
    if (planned.length === 1 && group === undefined && cache.folder === undefined) {
      const [batch] = planned
      const found = await compute(batch)
      onProgress?.(distinct)
      const rowsByKey = new Map(batch.map(([key], i) => [key, found[i]]))
      const rows = keys.map((key) => rowsByKey.get(key) as Float32Array)
      return { ...joined(rows, model.facts.hiddenSize), ...counts(started, work, distinct) }
    }
    try {
      for await (const [batch, found] of computeByTurns(group, planned, compute)) {
        for (let i = 0; i < batch.length; i++) await cache.add(batch[i][0], found[i])
        done += batch.length
        onProgress?.(done)
      }
    } finally {
      // Also after an abort, so that finished work is not repeated.
      await cache.flush()
    }
    return {
      features: cache.gather(keys),
      rows: Int32Array.from(keys, (key) => cache.rowsOf(key)),
      ...counts(started, work, distinct),
    }
  } finally {
    cache.close()
    if (wasTraining) model.train()
  }
}

const counts = (started: number, work: readonly Work[], distinct: number) => ({
  cached: distinct - work.length,
  computed: work.length,
  tokens: work.reduce((sum, [, { ids }]) => sum + ids.length, 0),
  seconds: (performance.now() - started) / 1000,
})

/** Rows of several sequences as one tensor, float32 [rows,C]. */
const joined = (parts: readonly Float32Array[], width: number): Pick<Extracted, 'features' | 'rows'> => {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return {
    features: Tensor.from(all, { shape: [all.length / width, width] }),
    rows: Int32Array.from(parts, ({ length }) => length / width),
  }
}

/** The rows of each sequence of a batch. */
const featuresOf = (
  model: Model,
  sequences: readonly FeatureSequence[],
  { layer, pooling, padId }: ExtractOptions,
): Float32Array[] => {
  const { device } = model.body.embedTokens
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
      return valuesOf(poolFeatures(outputs, inputs, { layer, pooling }), sequences, pooling)
    }),
  )
  let at = 0
  return sequences.map(({ ids, positions }) => {
    const rows = pooling === 'tokens' ? (positions?.length ?? ids.length) : 1
    return values.subarray(at, (at += rows * width))
  })
}

/** The rows of one sequence, which a decoder computes in parts of at most `batchTokens` tokens. */
const featuresInParts = async (
  model: Model,
  sequence: FeatureSequence,
  { layer, pooling, batchTokens = defaultBatchTokens, signal }: ExtractOptions,
): Promise<Float32Array[]> => {
  const { ids } = sequence
  const parts: Tensor[] = []
  try {
    await forEachPart(model, ids, (hidden) => parts.push(keep(hidden)), { partTokens: batchTokens, signal })
    return noGrad(() =>
      scope(() => {
        const starts = Tensor.from(BigInt64Array.from([0n, BigInt(ids.length)]))
        const rows = poolFeatures({ hidden: cat(parts, 0).unsqueeze(0) }, { starts }, { layer, pooling })
        return [valuesOf(rows, [sequence], pooling)]
      }),
    )
  } finally {
    freeTensors(parts)
  }
}

/** The values of the rows of a batch, without those that no sequence selects. */
const valuesOf = (rows: Tensor, sequences: readonly FeatureSequence[], pooling: FeaturePooling): Float32Array => {
  const selected = selectedRows(sequences, pooling)
  const kept =
    selected === undefined ? rows : rows.indexSelect(0, Tensor.from(selected, { dtype: 'int64', device: rows.device }))
  return kept.to({ device: 'cpu' }).toFloat32Array()
}

/** Rows of a batch that are selected by `positions`; undefined for all. */
const selectedRows = (sequences: readonly FeatureSequence[], pooling: FeaturePooling): Int32Array | undefined => {
  if (pooling !== 'tokens' || sequences.every(({ positions }) => positions === undefined)) return undefined
  const selected: number[] = []
  let first = 0
  for (const { ids, positions } of sequences) {
    for (const place of positions ?? ids.keys()) selected.push(first + place)
    first += ids.length
  }
  return Int32Array.from(selected)
}

type Work = [key: string, sequence: FeatureSequence]

/** Batches of work sorted by length, with at most `maxTokens` tokens each; a longer sequence is a batch of its own. */
function* batches(work: readonly Work[], maxTokens: number, padded: boolean): Generator<Work[], void> {
  let batch: Work[] = []
  let sum = 0
  for (const one of work) {
    const { length } = one[1].ids
    const size = padded ? length * (batch.length + 1) : sum + length
    if (batch.length > 0 && size > maxTokens) {
      yield batch
      batch = []
      sum = 0
    }
    batch.push(one)
    sum += length
  }
  if (batch.length > 0) yield batch
}
