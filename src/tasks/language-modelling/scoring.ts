// Log-probabilities of known tokens under a language model, summed over pieces of text in packed batches. Independent of metrics and of
// the source of text.

import { setImmediate } from 'node:timers/promises'
import { ConfigError } from '../../core/index.ts'
import { computeByTurns } from '../../distributed/index.ts'
import type { Body, BodyFacts } from '../../models/index.ts'
import type { Linear, Module } from '../../nn/index.ts'
import { inferenceMode, scope, Tensor } from '../../tensor/index.ts'
import type { WorkHooks } from '../task.ts'

/** The part of a model that scoring uses: any `Model` with a language-modelling head has it. */
export interface ScoredModel {
  readonly body: Body
  readonly head: Module
  readonly facts: BodyFacts
  readonly training: boolean
  /** Checks weights that were not checked when they were loaded. */
  ready(): void
  train(): unknown
  eval(): unknown
}

interface VocabularyHead {
  lmHead: Linear
  /** [N,C] -> the input of `logits`, [N,C]. */
  prepare(hidden: Tensor): Tensor
  /** -> [N,V] */
  logits(prepared: Tensor): Tensor
}

/** Input tokens, and the positions at which known tokens are scored. */
export interface Piece {
  ids: ArrayLike<number>
  places: ArrayLike<number>
  /** The token to score at each position: the next one for causal models, the masked one for masked models. */
  labels: ArrayLike<number>
}

export interface PieceScore {
  /** Sum of the labels' log-probabilities, in nats. */
  logProbability: number
  /** Labels that have the highest logit. */
  correct: number
}

export interface ScoreOptions extends WorkHooks {
  /** Maximum tokens per batch; a longer piece is a batch of its own. */
  batchTokens: number
}

/** Logits in memory at a time: 32 MiB of float32. */
const chunkValues = 2 ** 23

/** The head of a language model. @throws ConfigError for another head */
const vocabularyHead = (model: Pick<ScoredModel, 'head'>): VocabularyHead => {
  const head = model.head as Module & Partial<VocabularyHead>
  if (head.lmHead === undefined || typeof head.prepare !== 'function') {
    throw new ConfigError(
      `Expected a model with a language-modelling head, got ${head.constructor.name}. Load it with head: 'causal-lm' or 'masked-lm'.`,
    )
  }
  return head as Module & VocabularyHead
}

/** Yields each piece with its score, in order. The model runs in evaluation mode and returns to its mode afterwards. */
export async function* scorePieces<P extends Piece>(
  model: ScoredModel,
  pieces: AsyncIterable<P> | Iterable<P>,
  { batchTokens, signal, group }: ScoreOptions,
): AsyncGenerator<[piece: P, score: PieceScore], void, undefined> {
  vocabularyHead(model)
  const wasTraining = model.training
  model.eval()
  const compute = async (batch: readonly P[]) => {
    // Signals and progress are handled between two batches.
    await setImmediate()
    signal?.throwIfAborted()
    return scoreBatch(model, batch)
  }
  try {
    for await (const [batch, scores] of computeByTurns(group, batchesOf(pieces, batchTokens), compute))
      for (const [i, piece] of batch.entries()) yield [piece, scores[i]]
  } finally {
    if (wasTraining) model.train()
  }
}

async function* batchesOf<P extends Piece>(
  pieces: AsyncIterable<P> | Iterable<P>,
  batchTokens: number,
): AsyncGenerator<readonly P[], void, undefined> {
  let batch: P[] = []
  let tokens = 0
  for await (const piece of pieces) {
    if (batch.length > 0 && tokens + piece.ids.length > batchTokens) {
      yield batch
      batch = []
      tokens = 0
    }
    batch.push(piece)
    tokens += piece.ids.length
  }
  if (batch.length > 0) yield batch
}

/**
 * The scores of pieces in one packed batch, without attention between pieces.
 * @throws CheckpointError for loaded weights that are not finite
 */
export const scoreBatch = (model: ScoredModel, pieces: readonly Piece[]): PieceScore[] => {
  model.ready()
  const tokens = pieces.reduce((sum, { ids }) => sum + ids.length, 0)
  const count = pieces.reduce((sum, { labels }) => sum + labels.length, 0)
  if (count === 0) return pieces.map(() => ({ logProbability: 0, correct: 0 }))
  const inputIds = new BigInt64Array(tokens)
  const starts = new BigInt64Array(pieces.length + 1)
  const places = new BigInt64Array(count)
  const labels = new BigInt64Array(count)
  let at = 0
  let label = 0
  pieces.forEach((piece, i) => {
    for (let k = 0; k < piece.labels.length; k++) {
      places[label] = BigInt(at + piece.places[k])
      labels[label++] = BigInt(piece.labels[k])
    }
    for (let k = 0; k < piece.ids.length; k++) inputIds[at + k] = BigInt(piece.ids[k])
    at += piece.ids.length
    starts[i + 1] = BigInt(at)
  })
  const { device } = vocabularyHead(model).lmHead
  const { logProbabilities, correct } = inferenceMode(() =>
    scope(() => {
      const toTensor = (values: BigInt64Array, shape = [values.length]) => Tensor.from(values, { shape, device })
      const { hidden } = model.body.forward({
        inputIds: toTensor(inputIds, [1, inputIds.length]),
        // On the CPU, as starts decide shapes.
        starts: Tensor.from(starts),
      })
      return scoreHidden(model, hidden.flatten(0, 1).indexSelect(0, toTensor(places)), labels)
    }),
  )
  label = 0
  return pieces.map(({ labels: own }) => {
    const score: PieceScore = { logProbability: 0, correct: 0 }
    for (const end = label + own.length; label < end; label++) {
      score.logProbability += logProbabilities[label]
      score.correct += correct[label]
    }
    return score
  })
}

/** Log-probability of a known token at each hidden state [N,C], and whether it has the highest logit. Call it inside a scope, without autograd. */
export const scoreHidden = (
  model: Pick<ScoredModel, 'head'>,
  hidden: Tensor,
  known: BigInt64Array,
): { logProbabilities: Float32Array; correct: Uint8Array } => {
  const head = vocabularyHead(model)
  const { lmHead } = head
  const count = known.length
  const logProbabilities = new Float32Array(count)
  const correct = new Uint8Array(count)
  const prepared = head.prepare(hidden)
  const labels = Tensor.from(known, { shape: [count], device: lmHead.device })
  const rows = Math.max(1, Math.floor(chunkValues / lmHead.shape[0]))
  for (let start = 0; start < count; start += rows) {
    scope(() => {
      const size = Math.min(rows, count - start)
      const part = prepared.narrow(0, start, size)
      const logits = head.logits(part).to('float32')
      const own = logits.gather(1, labels.narrow(0, start, size).unsqueeze(1)).squeeze(1)
      logProbabilities.set(own.sub(logits.logsumexp(-1)).toFloat32Array(), start)
      correct.set(own.ge(logits.amax(-1)).to('float32').toFloat32Array(), start)
    })
  }
  return { logProbabilities, correct }
}
