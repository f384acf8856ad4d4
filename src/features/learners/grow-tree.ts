// One regression tree of gradient boosting: grown leaf-wise, the split with the largest gain first, from histograms of gradients.
// Independent of the loss. @source Ke et al. 2017 (LightGBM); scikit-learn HistGradientBoosting
import { createRandom } from '../../core/index.ts'

/** Sampled values per column for the borders. */
const sampledRows = 100_000

interface BinnedFeatures {
  rows: number
  columns: number
  maxBins: number
  /** Column after column: the bin of each value. */
  bins: Uint8Array
  /** Ascending borders of each column: a value is in the first bin whose border it does not exceed, or in the one after the last. */
  borders: Float32Array[]
}

/** Row-major values -> column-major bins. */
export const binFeatures = (
  values: Float32Array,
  { columns, maxBins, seed }: { columns: number; maxBins: number; seed: number },
): BinnedFeatures => {
  const rows = values.length / columns
  const bins = new Uint8Array(values.length)
  const borders: Float32Array[] = []
  const random = createRandom(`${seed}/bins`)
  const chosen = Array.from({ length: Math.min(rows, sampledRows) }, (_, i) =>
    rows <= sampledRows ? i : random.integer(rows),
  )
  const sample = new Float32Array(chosen.length)
  for (let column = 0; column < columns; column++) {
    for (let i = 0; i < sample.length; i++) sample[i] = values[chosen[i] * columns + column]
    sample.sort()
    const own = bordersOf(sample, maxBins)
    borders.push(own)
    const from = column * rows
    for (let row = 0; row < rows; row++) bins[from + row] = binOf(values[row * columns + column], own)
  }
  return { rows, columns, maxBins, bins, borders }
}

const bordersOf = (sorted: Float32Array, maxBins: number): Float32Array => {
  const distinct: number[] = []
  for (const value of sorted) if (value !== distinct.at(-1)) distinct.push(value)
  const found: number[] = []
  const put = (below: number, above: number) => {
    const middle = Math.fround(below + (above - below) / 2)
    const border = middle < above ? middle : below
    if (border !== found.at(-1)) found.push(border)
  }
  if (distinct.length <= maxBins) for (let i = 1; i < distinct.length; i++) put(distinct[i - 1], distinct[i])
  else
    for (let bin = 1; bin < maxBins; bin++) {
      const at = Math.floor((bin * sorted.length) / maxBins)
      // Equal values are in one bin.
      let next = at
      while (next < sorted.length && sorted[next] === sorted[at - 1]) next++
      if (next < sorted.length) put(sorted[next - 1], sorted[next])
    }
  return Float32Array.from(found)
}

const binOf = (value: number, borders: Float32Array): number => {
  let [low, high] = [0, borders.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (value > borders[middle]) low = middle + 1
    else high = middle
  }
  return low
}

export interface TreeOptions {
  maxLeaves: number
  minLeafRows: number
  /** L2 regularisation of leaf values. */
  l2: number
  learningRate: number
}

/** Nodes of a tree, the root first; column -1 is a leaf. */
export interface Tree {
  column: number[]
  /** Rows with a value of at most the border go left. */
  border: number[]
  left: number[]
  right: number[]
  value: number[]
}

interface Histogram {
  /** Alternating sums of gradients and second derivatives, by column and bin. */
  sums: Float64Array
  counts: Int32Array
}

interface Split {
  gain: number
  column: number
  bin: number
}

interface Leaf {
  node: number
  from: number
  to: number
  gradient: number
  curvature: number
  /** Undefined where there are too few rows to split. */
  histogram: Histogram | undefined
  split: Split | undefined
}

const leastCurvature = 1e-3

/** Grows trees over the same rows and reuses its buffers. */
export class TreeGrower {
  readonly #data: BinnedFeatures
  readonly #options: TreeOptions
  readonly #rows: Int32Array
  readonly #spare: Int32Array
  readonly #gradients: Float64Array
  readonly #curvatures: Float64Array
  readonly #pool: Histogram[] = []

  constructor(data: BinnedFeatures, options: TreeOptions) {
    this.#data = data
    this.#options = options
    this.#rows = new Int32Array(data.rows)
    this.#spare = new Int32Array(data.rows)
    this.#gradients = new Float64Array(data.rows)
    this.#curvatures = new Float64Array(data.rows)
  }

  /** Fits a tree to the gradients and adds its values to `scores` (every `stride`th from `offset`). */
  grow(
    gradients: Float64Array,
    curvatures: Float64Array,
    scores: Float64Array,
    { offset = 0, stride = 1 }: { offset?: number; stride?: number } = {},
  ): Tree {
    const { maxLeaves, l2, learningRate } = this.#options
    const tree: Tree = { column: [], border: [], left: [], right: [], value: [] }
    const rows = this.#rows
    for (let i = 0; i < rows.length; i++) rows[i] = i
    let [gradient, curvature] = [0, 0]
    for (let i = 0; i < rows.length; i++) {
      gradient += gradients[i]
      curvature += curvatures[i]
    }
    const whole = this.#measure(0, rows.length, gradients, curvatures)
    const root = this.#leaf(tree, { from: 0, to: rows.length, gradient, curvature }, whole)
    const leaves = [root]
    let count = 1
    while (count < maxLeaves) {
      let best = -1
      leaves.forEach(({ split }, i) => {
        if (split !== undefined && (best < 0 || split.gain > leaves[best].split!.gain)) best = i
      })
      if (best < 0) break
      const [leaf] = leaves.splice(best, 1)
      leaves.push(...this.#divide(tree, leaf, gradients, curvatures))
      count++
    }
    for (const leaf of leaves) {
      const value = (-learningRate * leaf.gradient) / (leaf.curvature + l2 + 1e-15)
      tree.value[leaf.node] = value
      for (let i = leaf.from; i < leaf.to; i++) scores[rows[i] * stride + offset] += value
      if (leaf.histogram !== undefined) this.#pool.push(leaf.histogram)
    }
    return tree
  }

  #leaf(
    tree: Tree,
    { from, to, gradient, curvature }: Pick<Leaf, 'from' | 'to' | 'gradient' | 'curvature'>,
    histogram: Histogram | undefined,
  ): Leaf {
    const node = tree.column.push(-1) - 1
    tree.border.push(0)
    tree.left.push(-1)
    tree.right.push(-1)
    tree.value.push(0)
    const facts = { node, from, to, gradient, curvature, histogram }
    return { ...facts, split: this.#bestSplit(facts) }
  }

  #divide(tree: Tree, leaf: Leaf, gradients: Float64Array, curvatures: Float64Array): [Leaf, Leaf] {
    const { column, bin } = leaf.split!
    const { from, to } = leaf
    const { bins, borders } = this.#data
    const [rows, spare] = [this.#rows, this.#spare]
    const first = column * this.#data.rows
    let [left, right] = [from, 0]
    const sums = { gradient: 0, curvature: 0 }
    for (let i = from; i < to; i++) {
      const row = rows[i]
      if (bins[first + row] <= bin) {
        rows[left++] = row
        sums.gradient += gradients[row]
        sums.curvature += curvatures[row]
      } else spare[right++] = row
    }
    rows.set(spare.subarray(0, right), left)
    const others = { gradient: leaf.gradient - sums.gradient, curvature: leaf.curvature - sums.curvature }
    const parts = [
      { from, to: left, ...sums },
      { from: left, to, ...others },
    ]
    const small = left - from <= to - left ? 0 : 1
    const large = parts[1 - small]
    const whole = leaf.histogram!
    const halves: (Histogram | undefined)[] = [undefined, undefined]
    if (large.to - large.from < 2 * this.#options.minLeafRows) this.#pool.push(whole)
    else {
      // Histogram of the larger half = parent minus smaller half.
      halves[small] = this.#measure(parts[small].from, parts[small].to, gradients, curvatures)
      halves[1 - small] = this.#subtract(whole, halves[small])
    }
    const leaves = parts.map((part, i) => this.#leaf(tree, part, halves[i]))
    tree.column[leaf.node] = column
    tree.border[leaf.node] = borders[column][bin]
    tree.left[leaf.node] = leaves[0].node
    tree.right[leaf.node] = leaves[1].node
    return leaves as [Leaf, Leaf]
  }

  #measure(from: number, to: number, gradients: Float64Array, curvatures: Float64Array): Histogram {
    const { bins, columns, maxBins, rows: total } = this.#data
    const histogram = this.#take()
    const { sums, counts } = histogram
    const [rows, g, h] = [this.#rows, this.#gradients, this.#curvatures]
    const count = to - from
    const own = rows.subarray(from, to)
    for (let i = 0; i < count; i++) {
      g[i] = gradients[own[i]]
      h[i] = curvatures[own[i]]
    }
    for (let column = 0; column < columns; column++) {
      const first = column * total
      const base = column * maxBins
      for (let i = 0; i < count; i++) {
        const bin = base + bins[first + own[i]]
        sums[2 * bin] += g[i]
        sums[2 * bin + 1] += h[i]
        counts[bin]++
      }
    }
    return histogram
  }

  /** Subtracts in place. */
  #subtract(whole: Histogram, part: Histogram): Histogram {
    for (let i = 0; i < whole.sums.length; i++) whole.sums[i] -= part.sums[i]
    for (let i = 0; i < whole.counts.length; i++) whole.counts[i] -= part.counts[i]
    return whole
  }

  #take(): Histogram {
    const used = this.#pool.pop()
    if (used !== undefined) {
      used.sums.fill(0)
      used.counts.fill(0)
      return used
    }
    const size = this.#data.columns * this.#data.maxBins
    return { sums: new Float64Array(2 * size), counts: new Int32Array(size) }
  }

  #bestSplit({ from, to, gradient, curvature, histogram }: Omit<Leaf, 'split'>): Split | undefined {
    const { minLeafRows, l2 } = this.#options
    const rows = to - from
    if (histogram === undefined || rows < 2 * minLeafRows || curvature < leastCurvature) return undefined
    const { sums, counts } = histogram
    const { columns, borders, maxBins } = this.#data
    const whole = (gradient * gradient) / (curvature + l2)
    let best: Split | undefined
    let most = 1e-10
    for (let column = 0; column < columns; column++) {
      const base = column * maxBins
      const last = borders[column].length
      let [g, h, count] = [0, 0, 0]
      for (let bin = 0; bin < last; bin++) {
        g += sums[2 * (base + bin)]
        h += sums[2 * (base + bin) + 1]
        count += counts[base + bin]
        if (count < minLeafRows) continue
        if (rows - count < minLeafRows) break
        const otherH = curvature - h
        if (h < leastCurvature || otherH < leastCurvature) continue
        const otherG = gradient - g
        const gain = (g * g) / (h + l2) + (otherG * otherG) / (otherH + l2) - whole
        if (gain <= most) continue
        most = gain
        best = { gain, column, bin }
      }
    }
    return best
  }
}
