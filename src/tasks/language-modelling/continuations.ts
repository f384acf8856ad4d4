// Log-probabilities of several continuations of one prompt under a causal model: each prompt runs once, and all continuations of a
// batch reuse its KV cache.
import { KvCache } from '../../generation/index.ts'
import { cat, inferenceMode, scope, Tensor } from '../../tensor/index.ts'
import { type PieceScore, type ScoredModel, scoreHidden } from './scoring.ts'

/** A prompt with its continuations as token ids. */
export interface PromptContinuations {
  /** At least one token. */
  prompt: readonly number[]
  /** Each has at least one token. */
  continuations: readonly (readonly number[])[]
}

/** Rows of ids as a tensor, padded on one side. */
const rowsOf = (
  rows: readonly (readonly number[])[],
  length: number,
  side: 'left' | 'right',
  device: string,
): Tensor => {
  const ids = new BigInt64Array(rows.length * length)
  rows.forEach((row, r) => {
    const start = r * length + (side === 'left' ? length - row.length : 0)
    row.forEach((id, i) => {
      ids[start + i] = BigInt(id)
    })
  })
  return Tensor.from(ids, { shape: [rows.length, length], device })
}

/** Attention mask and positions of `length` new tokens after `known` others, in rows with `pads` padding tokens in front. */
const maskOf = (pads: readonly number[], known: number, length: number, device: string) => {
  if (pads.every((pad) => pad === 0)) return {}
  const [rows, total] = [pads.length, known + length]
  const seen = new Uint8Array(rows * total).fill(1)
  const positions = new BigInt64Array(rows * length)
  pads.forEach((pad, r) => {
    seen.fill(0, r * total, r * total + Math.min(pad, total))
    for (let t = 0; t < length; t++) positions[r * length + t] = BigInt(Math.max(0, known + t - pad))
  })
  return {
    attentionMask: Tensor.from(seen, { shape: [rows, total], dtype: 'bool', device }),
    positionIds: Tensor.from(positions, { shape: [rows, length], device }),
  }
}

/**
 * The score of each continuation of each prompt. The model must be in evaluation mode.
 * @throws CheckpointError for loaded weights that are not finite
 */
export const scoreContinuations = (model: ScoredModel, groups: readonly PromptContinuations[]): PieceScore[][] => {
  if (groups.length === 0) return []
  model.ready()
  const { device } = model.body.embedTokens
  const longest = Math.max(...groups.map(({ prompt }) => prompt.length))
  const pads = groups.map(({ prompt }) => longest - prompt.length)
  // One row per continuation: the index of its prompt, and its tokens.
  const rows = groups.flatMap(({ continuations }, group) => continuations.map((ids) => ({ group, ids })))
  // The last token of a continuation is scored but is no input.
  const length = Math.max(...rows.map(({ ids }) => ids.length)) - 1
  const cache = new KvCache(model.facts.numLayers, longest + length)
  try {
    const { logProbabilities, correct } = inferenceMode(() =>
      scope(() => {
        const prompts = model.body.forward({
          inputIds: rowsOf(
            groups.map(({ prompt }) => prompt),
            longest,
            'left',
            device,
          ),
          cache: cache.layers,
          pastLength: 0,
          ...maskOf(pads, 0, longest, device),
        }).hidden
        const ends = prompts.narrow(1, longest - 1, 1).squeeze(1) // [G,C]
        const select = (hidden: Tensor, places: readonly number[]) =>
          hidden.indexSelect(0, Tensor.from(BigInt64Array.from(places, BigInt), { device }))
        const firsts = select(
          ends,
          rows.map(({ group }) => group),
        )
        let hidden = firsts
        if (length > 0) {
          cache.select(rows.map(({ group }) => group))
          const continued = model.body.forward({
            inputIds: rowsOf(
              rows.map(({ ids }) => ids.slice(0, -1)),
              length,
              'right',
              device,
            ),
            cache: cache.layers,
            pastLength: longest,
            ...maskOf(
              rows.map(({ group }) => pads[group]),
              longest,
              length,
              device,
            ),
          }).hidden
          const places = rows.flatMap(({ ids }, r) => Array.from({ length: ids.length - 1 }, (_, t) => r * length + t))
          if (places.length > 0) hidden = cat([firsts, select(continued.flatten(0, 1), places)], 0)
        }
        // In the order of the hidden states: all first tokens, then the other tokens row by row.
        const labels = [...rows.map(({ ids }) => ids[0]), ...rows.flatMap(({ ids }) => ids.slice(1))]
        return scoreHidden(model, hidden, BigInt64Array.from(labels, BigInt))
      }),
    )
    let at = rows.length
    const scores: PieceScore[][] = groups.map(() => [])
    rows.forEach(({ group, ids }, r) => {
      const score: PieceScore = { logProbability: logProbabilities[r], correct: correct[r] }
      for (const end = at + ids.length - 1; at < end; at++) {
        score.logProbability += logProbabilities[at]
        score.correct += correct[at]
      }
      scores[group].push(score)
    })
    return scores
  } finally {
    cache.free()
  }
}
