// Vectors as points of a plane, and which of them are near each other.

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
  return sum
}

/** The eigenvector of the largest eigenvalue of a symmetric matrix without negative ones, by repeated multiplication. */
const firstEigenvector = (matrix: readonly Float64Array[]): { vector: Float64Array; value: number } => {
  const n = matrix.length
  // Not all equal: the vector of ones has no share of any component, since the points are centred.
  let vector = Float64Array.from({ length: n }, (_, i) => Math.sin(i + 1))
  let value = 0
  for (let round = 0; round < 500; round++) {
    const next = Float64Array.from(matrix, (row) => dot(row, vector))
    const length = Math.sqrt(dot(next, next))
    if (length < 1e-12) return { vector: new Float64Array(n), value: 0 }
    for (let i = 0; i < n; i++) next[i] /= length
    const change = Math.abs(length - value)
    value = length
    vector = next
    if (change < 1e-12 * length) break
  }
  return { vector, value }
}

/** The first two principal components of each vector, and the share of the variance that each has. */
export const principalComponents = (
  vectors: readonly (readonly number[])[],
): { points: [number, number][]; shares: [number, number] } => {
  const n = vectors.length
  const width = vectors[0]?.length ?? 0
  const mean = Float64Array.from({ length: width }, (_, j) => vectors.reduce((sum, row) => sum + row[j], 0) / n)
  const centred = vectors.map((row) => Float64Array.from(row, (value, j) => value - mean[j]))
  // Products of rows in place of the covariance: there are fewer texts than dimensions.
  const gram = centred.map((a) => Float64Array.from(centred, (b) => dot(a, b)))
  const total = gram.reduce((sum, row, i) => sum + row[i], 0)
  const first = firstEigenvector(gram)
  const rest = gram.map((row, i) =>
    Float64Array.from(row, (value, j) => value - first.value * first.vector[i] * first.vector[j]),
  )
  const second = firstEigenvector(rest)
  const scale = [first, second].map(({ value }) => Math.sqrt(Math.max(0, value)))
  return {
    points: vectors.map((_, i) => [first.vector[i] * scale[0], second.vector[i] * scale[1]]),
    shares: total > 0 ? [first.value / total, second.value / total] : [0, 0],
  }
}

/** The other vectors by the cosine of their angle to one, nearest first. */
export const nearest = (
  vectors: readonly (readonly number[])[],
  index: number,
): { index: number; similarity: number }[] => {
  const length = (vector: readonly number[]) => Math.sqrt(dot(vector, vector)) || 1
  const own = vectors[index]
  return vectors
    .map((vector, i) => ({ index: i, similarity: dot(own, vector) / (length(own) * length(vector)) }))
    .filter((one) => one.index !== index)
    .sort((a, b) => b.similarity - a.similarity || a.index - b.index)
}
