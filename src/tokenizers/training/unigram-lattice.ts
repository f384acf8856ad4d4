// The segmentation lattice of a set of words: every split into pieces as edges between positions, with expected counts
// (forward-backward) and best paths. Probabilities are not stored as logarithms, because words are short; a word that
// underflows is computed again with logarithms.
// @source Kudo 2018, arXiv:1804.10959; forward-backward over a segmentation lattice

/** Edges of all words; those that start at position `i` are `first[i] .. first[i + 1])`. */
export interface Lattice {
  /** Word `w` is the positions `ends[w - 1] ?? 0 .. ends[w])`. */
  ends: Uint32Array
  counts: Float64Array
  first: Uint32Array
  edgeLength: Uint8Array
  edgePiece: Int32Array
}

const TINY = 1e-280

/** Adds the expected count of each piece to `expected`; returns the log-likelihood of all words. */
export const expectation = (lattice: Lattice, probability: Float64Array, expected: Float64Array): number => {
  const { ends, counts, first, edgeLength, edgePiece } = lattice
  let longest = 0
  for (let word = 0; word < ends.length; word++)
    longest = Math.max(longest, ends[word] - (word === 0 ? 0 : ends[word - 1]))
  const forward = new Float64Array(longest + 1)
  const backward = new Float64Array(longest + 1)
  let likelihood = 0
  for (let word = 0; word < ends.length; word++) {
    const start = word === 0 ? 0 : ends[word - 1]
    const length = ends[word] - start
    forward.fill(0, 0, length + 1)
    forward[0] = 1
    for (let i = 0; i < length; i++) {
      const here = forward[i]
      if (here === 0) continue
      for (let edge = first[start + i]; edge < first[start + i + 1]; edge++) {
        forward[i + edgeLength[edge]] += here * probability[edgePiece[edge]]
      }
    }
    const total = forward[length]
    if (!(total > TINY)) {
      likelihood += counts[word] * expectationInLogs(lattice, word, probability, expected)
      continue
    }
    backward[length] = 1
    const share = counts[word] / total
    for (let i = length - 1; i >= 0; i--) {
      let sum = 0
      const here = forward[i] * share
      for (let edge = first[start + i]; edge < first[start + i + 1]; edge++) {
        const path = probability[edgePiece[edge]] * backward[i + edgeLength[edge]]
        sum += path
        expected[edgePiece[edge]] += here * path
      }
      backward[i] = sum
    }
    likelihood += counts[word] * Math.log(total)
  }
  return likelihood
}

const addLogs = (a: number, b: number): number => {
  if (a === Number.NEGATIVE_INFINITY) return b
  return a > b ? a + Math.log1p(Math.exp(b - a)) : b + Math.log1p(Math.exp(a - b))
}

const expectationInLogs = (
  { ends, counts, first, edgeLength, edgePiece }: Lattice,
  word: number,
  probability: Float64Array,
  expected: Float64Array,
): number => {
  const start = word === 0 ? 0 : ends[word - 1]
  const length = ends[word] - start
  const forward = new Float64Array(length + 1).fill(Number.NEGATIVE_INFINITY)
  const backward = new Float64Array(length + 1).fill(Number.NEGATIVE_INFINITY)
  forward[0] = 0
  for (let i = 0; i < length; i++) {
    for (let edge = first[start + i]; edge < first[start + i + 1]; edge++) {
      const to = i + edgeLength[edge]
      const path = forward[i] + Math.log(probability[edgePiece[edge]])
      if (path > Number.NEGATIVE_INFINITY) forward[to] = addLogs(forward[to], path)
    }
  }
  const total = forward[length]
  // A word that has no split into pieces is ignored.
  if (total === Number.NEGATIVE_INFINITY) return 0
  backward[length] = 0
  for (let i = length - 1; i >= 0; i--) {
    for (let edge = first[start + i]; edge < first[start + i + 1]; edge++) {
      const path = Math.log(probability[edgePiece[edge]]) + backward[i + edgeLength[edge]]
      if (path === Number.NEGATIVE_INFINITY) continue
      backward[i] = addLogs(backward[i], path)
      expected[edgePiece[edge]] += counts[word] * Math.exp(forward[i] + path - total)
    }
  }
  return total
}

/** Reusable buffers of `bestPath`. */
export interface PathBuffers {
  score: Float64Array
  edge: Int32Array
}

/** Creates buffers for words of up to `longest` positions. */
export const createPathBuffers = (longest: number): PathBuffers => ({
  score: new Float64Array(longest + 1),
  edge: new Int32Array(longest + 1),
})

/**
 * Finds the best path over the positions [start, start + length): returns its log-probability, or -Infinity if there is
 * none, and calls `visit` with its pieces, last first. With `inner`, an edge over the whole range is not used.
 */
export const bestPath = (
  lattice: Lattice,
  logProbability: Float64Array,
  { start, length, inner, buffers }: { start: number; length: number; inner: boolean; buffers: PathBuffers },
  visit: (piece: number) => void,
): number => {
  const { first, edgeLength, edgePiece } = lattice
  const { score, edge: into } = buffers
  score.fill(Number.NEGATIVE_INFINITY, 0, length + 1)
  score[0] = 0
  for (let i = 0; i < length; i++) {
    const here = score[i]
    if (here === Number.NEGATIVE_INFINITY) continue
    for (let edge = first[start + i]; edge < first[start + i + 1]; edge++) {
      const to = i + edgeLength[edge]
      if (to > length || (inner && edgeLength[edge] === length)) continue
      const path = here + logProbability[edgePiece[edge]]
      if (path > score[to]) {
        score[to] = path
        into[to] = edge
      }
    }
  }
  if (score[length] === Number.NEGATIVE_INFINITY) return score[length]
  for (let i = length; i > 0; i -= edgeLength[into[i]]) visit(edgePiece[into[i]])
  return score[length]
}

/** Removes the edges of dropped pieces in place; `renamed[piece]` is the piece's new number, or -1 if dropped. */
export const dropPieces = (lattice: Lattice, renamed: Int32Array): void => {
  const { first, edgeLength, edgePiece } = lattice
  let kept = 0
  for (let position = 0, edge = 0; position < first.length - 1; position++) {
    const end = first[position + 1]
    for (; edge < end; edge++) {
      const piece = renamed[edgePiece[edge]]
      if (piece < 0) continue
      edgeLength[kept] = edgeLength[edge]
      edgePiece[kept++] = piece
    }
    first[position + 1] = kept
  }
}
