// Compares a model that was read back from an export with its source: logits, divergence of the predictions, perplexity,
// and the first layer that differs.
import type { BodyInputs, Model } from '../../models/index.ts'
import { LanguageHead } from '../../models/index.ts'
import { noGrad, scope, Tensor } from '../../tensor/index.ts'
import type { ExportSource, ProofRow } from '../export-target.ts'

/** Tolerance of logits by the dtype of the weights, relative to their largest absolute value. */
export const logitTolerance: Record<string, number> = { float32: 1e-4, float16: 1e-2, bfloat16: 5e-2 }

/** Target, consumer and tolerance of a comparison. */
interface Comparison {
  target: string
  consumer: string
  /** Largest difference of logits, relative to the largest absolute logit. */
  limit: number
  /** Largest mean divergence of the predicted distributions, in nats. */
  klLimit?: number
}

const inputsFor = (ids: readonly number[]): BodyInputs => {
  const inputIds = Tensor.from(Int32Array.from(ids), { shape: [1, ids.length], dtype: 'int64' })
  return { inputIds, attentionMask: Tensor.from(new Uint8Array(ids.length).fill(1), { shape: [1, ids.length] }) }
}

/** Token ids of a text as the model gets them, within its context. */
const idsOf = (source: ExportSource, text: string): number[] => {
  const { maxPositions = 512 } = source.model.facts
  const { ids } = source.tokenizer.encode(text)
  return ids.filter((id) => id < source.model.facts.vocabSize).slice(0, Math.min(maxPositions, 256))
}

/** Logits of a text as float32 rows. */
const logitsOf = (model: Model, ids: readonly number[]): { values: Float32Array; width: number } =>
  noGrad(() =>
    scope(() => {
      const { logits } = model.forward(inputsFor(ids))
      const width = logits.shape.at(-1) ?? 1
      return { values: logits.to('float32').contiguous().toFloat32Array(), width }
    }),
  )

/** log-softmax of one row. */
const logProbs = (values: Float32Array, from: number, width: number): Float64Array => {
  let most = Number.NEGATIVE_INFINITY
  for (let i = 0; i < width; i++) if (values[from + i] > most) most = values[from + i]
  let sum = 0
  for (let i = 0; i < width; i++) sum += Math.exp(values[from + i] - most)
  const shift = most + Math.log(sum)
  return Float64Array.from({ length: width }, (_, i) => values[from + i] - shift)
}

/** Sums over the rows of several texts. */
class LogitDifferences {
  #largest = 0
  #scale = 0
  #kl = 0
  #rows = 0
  #agreeing = 0
  #losses: [number, number] = [0, 0]
  #targets = 0

  /** Adds the rows of a text; `next[i]` is the token that row i should predict. */
  add(ours: Float32Array, theirs: Float32Array, width: number, next: readonly (number | undefined)[] = []): void {
    for (let i = 0; i < ours.length; i++) {
      const difference = Math.abs(ours[i] - theirs[i])
      if (!(difference <= this.#largest))
        this.#largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference
      this.#scale = Math.max(this.#scale, Math.abs(ours[i]))
    }
    for (let row = 0, from = 0; from < ours.length; row++, from += width) {
      const [p, q] = [logProbs(ours, from, width), logProbs(theirs, from, width)]
      let [best, other] = [0, 0]
      for (let i = 0; i < width; i++) {
        this.#kl += Math.exp(p[i]) * (p[i] - q[i])
        if (p[i] > p[best]) best = i
        if (q[i] > q[other]) other = i
      }
      this.#rows++
      if (best === other) this.#agreeing++
      const target = next[row]
      if (target === undefined || target >= width) continue
      this.#losses[0] -= p[target]
      this.#losses[1] -= q[target]
      this.#targets++
    }
  }

  /** Largest difference, relative to the largest absolute logit. */
  get relative(): number {
    return this.#largest / Math.max(this.#scale, 1e-12)
  }

  /** Mean divergence of theirs from ours, in nats. */
  get kl(): number {
    return Math.max(0, this.#kl / Math.max(1, this.#rows))
  }

  /** Share of rows with the same most likely class. */
  get agreement(): number {
    return this.#agreeing / Math.max(1, this.#rows)
  }

  /** Perplexity of the source and of the export; undefined without targets. */
  get perplexities(): [number, number] | undefined {
    if (this.#targets === 0) return undefined
    return [Math.exp(this.#losses[0] / this.#targets), Math.exp(this.#losses[1] / this.#targets)]
  }

  /** The rows of the proof. */
  rows({ target, consumer, limit, klLimit }: Comparison, detail?: () => string | undefined): ProofRow[] {
    const round = (value: number) => Number(value.toPrecision(3))
    const ok = this.relative <= limit
    const rows: ProofRow[] = [
      {
        target,
        consumer,
        check: 'logits, largest relative difference',
        value: round(this.relative),
        limit,
        ok,
        ...(ok ? {} : { detail: detail?.() }),
      },
      {
        target,
        consumer,
        check: 'divergence of predictions (nats)',
        value: round(this.kl),
        ...(klLimit === undefined ? {} : { limit: klLimit }),
        ok: klLimit === undefined || this.kl <= klLimit,
      },
      { target, consumer, check: 'same most likely class', value: round(this.agreement), ok: true },
    ]
    if (this.perplexities !== undefined)
      rows.push({
        target,
        consumer,
        check: 'perplexity of the model, of the export',
        value: this.perplexities.map((one) => one.toPrecision(5)).join(', '),
        ok: true,
      })
    return rows
  }
}

/** The first layer whose output differs by more than the tolerance. */
const firstDifferentLayer = (
  source: ExportSource,
  other: Model,
  ids: readonly number[],
  limit: number,
): string | undefined =>
  noGrad(() =>
    scope(() => {
      const inputs = { ...inputsFor(ids), allHidden: true }
      const [ours, theirs] = [source.model, other].map((model) => model.bodyForward(inputs).allHidden ?? [])
      const differs = (a: Tensor, b: Tensor) => {
        const [x, y] = [a.to('float32'), b.to('float32')]
        return x.sub(y).abs().max().item() > limit * Math.max(x.abs().max().item(), 1e-12)
      }
      const at = ours.findIndex((hidden, i) => theirs[i] === undefined || differs(hidden, theirs[i]))
      if (at < 0) return 'the hidden states agree: the output layer differs'
      return at === 0 ? 'the embeddings differ' : `layer ${at - 1} is the first that differs`
    }),
  )

/** Compares a model that was read back with the source on texts, and frees it. */
export const compareModels = (
  source: ExportSource,
  other: Model,
  texts: readonly string[],
  comparison: Comparison,
): ProofRow[] => {
  other.eval()
  const differences = new LogitDifferences()
  const causal = source.model.facts.causal && source.model.head instanceof LanguageHead
  const encoded = texts.map((text) => idsOf(source, text)).filter((ids) => ids.length > 0)
  for (const ids of encoded) {
    const [ours, theirs] = [source.model, other].map((model) => logitsOf(model, ids))
    differences.add(ours.values, theirs.values, ours.width, causal ? ids.slice(1) : [])
  }
  const rows = differences.rows(comparison, () => firstDifferentLayer(source, other, encoded[0], comparison.limit))
  for (const tensor of new Set(other.parameters().values())) tensor.free()
  return rows
}

/**
 * Compares the logits of another program with those of the source on texts.
 * @param most tokens of a text that are compared
 * @param logits computes the logits of token ids, row by row
 */
export const compareLogits = async (
  source: ExportSource,
  texts: readonly string[],
  comparison: Comparison,
  most: number,
  logits: (ids: readonly number[], width: number) => Promise<Float32Array>,
): Promise<ProofRow[]> => {
  const differences = new LogitDifferences()
  for (const text of texts) {
    const ids = idsOf(source, text).slice(0, most)
    if (ids.length === 0) continue
    const { values, width } = logitsOf(source.model, ids)
    differences.add(values, await logits(ids, width), width, ids.slice(1))
  }
  return differences.rows(comparison)
}
