// Speculative decoding: tokens that probably follow a text are proposed at little cost, and the model computes all of them in one forward
// pass. Each place of the text then gets the token that it would have got anyway, from the same logits and the same random number; a proposal
// only decides whether the logits after it are known already. So texts are the same with and without proposals, greedy or sampled.
import { ConfigError, restoreRandom } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { noGrad, chooseTokens as sampleTokens, scope, Tensor } from '../tensor/index.ts'
import { asLanguageModel, type LanguageModel } from './decoding-batch.ts'
import { nextLogits } from './row-decoder.ts'
import type { ScheduledText } from './scheduled-text.ts'
import { SlotCache } from './slot-cache.ts'

/** How tokens are proposed. */
export interface SpeculationOptions {
  /**
   * Small decoder that proposes tokens, with the vocabulary of the model (default: none; what followed the same tokens earlier in the
   * prompt or the text is proposed). It stays the caller's, who frees it.
   */
  draft?: Model
  /** Maximum number of tokens that are proposed at once (default: 8). */
  maxDraftTokens?: number
}

/** A text that grows, with the number of tokens that may be proposed for it. */
interface Wish {
  text: ScheduledText
  count: number
}

/** A way to guess what follows. */
interface Proposer {
  /** At most `count` tokens for each text; fewer or none where there is no guess. */
  propose(wishes: readonly Wish[]): (readonly number[])[]
  free(): void
}

/** Tokens that must be the same for what followed them to be proposed; longer matches are looked for first. */
const matchLengths = [3, 2] as const

/** The tokens that followed the last tokens of a text where they occurred before, at the latest such place. */
export const lookUp = (seen: readonly number[], count: number): number[] => {
  for (const length of matchLengths) {
    const start = seen.length - length
    for (let at = start - 1; at >= 0; at--) {
      let same = 0
      while (same < length && seen[at + same] === seen[start + same]) same++
      if (same === length) return seen.slice(at + length, at + length + count)
    }
  }
  return []
}

/** Proposes from the prompt and the text itself. @source arXiv:2304.04487 */
const promptLookup: Proposer = {
  propose: (wishes) => wishes.map(({ text, count }) => lookUp(text.text.seen, count)),
  free: () => undefined,
}

/** A text in the cache of the draft model. */
interface DraftRow {
  slot: number
  /** Tokens that are cached. */
  ids: number[]
  /** Of these, the first ones that are known to be the text's. */
  sure: number
}

/** Tokens that the draft model reads in one step of a text that it does not know yet. */
const draftPrefill = 256

const float64 = (values: readonly number[]): Tensor => Tensor.from(Float64Array.from(values))

/** Proposes what a smaller model would write, with the random numbers that will choose the tokens. @source arXiv:2211.17192 */
class DraftModel implements Proposer {
  readonly #model: LanguageModel
  readonly #cache: SlotCache
  readonly #rows = new Map<ScheduledText, DraftRow>()

  constructor(model: LanguageModel) {
    this.#model = model
    this.#cache = new SlotCache(model.facts.numLayers, 1)
    model.eval()
    model.body.makeContiguous()
  }

  propose(wishes: readonly Wish[]): (readonly number[])[] {
    this.#forgetEnded()
    const drafts = wishes.map((): number[] => [])
    const { vocabSize, maxPositions = Number.POSITIVE_INFINITY } = this.#model.facts
    const randoms = wishes.map(({ text: { text } }) => text.random && restoreRandom(text.random.state()))
    let pieces = wishes.flatMap(({ text, count }, i) => {
      const { seen } = text.text
      if (count === 0 || seen.length + count > maxPositions || seen.some((id) => id >= vocabSize)) return []
      const { slot, ids } = this.#rowOf(text)
      return [{ i, slot, ids: seen.slice(ids.length, ids.length + draftPrefill) }]
    })
    while (pieces.length > 0) {
      const chosen = scope(() => {
        const logits = nextLogits(this.#model, this.#cache, pieces)
        const temperatures = pieces.map(({ i }) => wishes[i].text.chooser.temperature ?? 0)
        const uniforms = pieces.map(({ i }) => randoms[i]?.float() ?? 0)
        const [ids] = noGrad(() => sampleTokens(logits, float64(temperatures), float64(uniforms)))
        return Array.from(ids.toTypedArray() as BigInt64Array, Number)
      })
      pieces = pieces.flatMap(({ i, slot, ids }, piece) => {
        const { text, count } = wishes[i]
        const row = this.#rows.get(text) as DraftRow
        row.ids.push(...ids)
        const { seen } = text.text
        // A long prompt is read in several steps, before which nothing can be proposed.
        if (row.ids.length < seen.length) return []
        row.sure = seen.length
        drafts[i].push(chosen[piece])
        return drafts[i].length < count ? [{ i, slot, ids: [chosen[piece]] }] : []
      })
    }
    return drafts
  }

  free(): void {
    this.#rows.clear()
    this.#cache.free()
  }

  #forgetEnded(): void {
    for (const text of this.#rows.keys()) if (text.ended) this.#rows.delete(text)
  }

  /** The row of a text, with what the text did not become taken back. At least its last token is not cached. */
  #rowOf(text: ScheduledText): DraftRow {
    const { seen } = text.text
    const row = this.#rows.get(text) ?? { slot: this.#freeSlot(), ids: [], sure: 0 }
    this.#rows.set(text, row)
    let same = Math.min(row.sure, seen.length - 1)
    while (same < Math.min(row.ids.length, seen.length - 1) && row.ids[same] === seen[same]) same++
    row.ids.length = same
    this.#cache.truncate(row.slot, same)
    return row
  }

  #freeSlot(): number {
    const used = new Set([...this.#rows.values()].map(({ slot }) => slot))
    for (let slot = 0; ; slot++) {
      if (used.has(slot)) continue
      if (slot === this.#cache.size) this.#cache.resize(slot + 1)
      this.#cache.truncate(slot, 0)
      return slot
    }
  }
}

const defaultMost = 8

/** Proposes tokens for the texts of a scheduler, more of them where they were right before. */
export class Speculation {
  readonly #proposer: Proposer
  readonly #most: number
  readonly #lengths = new WeakMap<ScheduledText, number>()
  /** Tokens that were proposed, and those of them that the texts then had. */
  readonly counts = { proposed: 0, accepted: 0 }

  /** @throws ConfigError for a model or a draft that is no decoder, or a number of tokens out of range */
  constructor(model: LanguageModel, { draft, maxDraftTokens = defaultMost }: SpeculationOptions) {
    if (!(Number.isInteger(maxDraftTokens) && maxDraftTokens > 0))
      throw new ConfigError(`Expected a whole number above 0 for \`maxDraftTokens\`, got ${maxDraftTokens}.`)
    if (!model.facts.causal)
      throw new ConfigError('Speculative decoding needs a decoder: this model has an encoder. Remove `speculation`.')
    this.#most = maxDraftTokens
    if (draft === undefined) this.#proposer = promptLookup
    else {
      const language = asLanguageModel(draft, 'speculation')
      if (!language.facts.causal)
        throw new ConfigError(
          'Expected a decoder for `speculation.draft`, got a model with an encoder. Choose another.',
        )
      this.#proposer = new DraftModel(language)
    }
  }

  /**
   * Tokens that may follow each text.
   * @param rows texts that the model computes at once at most: with many texts, fewer tokens are proposed for each
   */
  propose(texts: readonly ScheduledText[], rows: number): ReadonlyMap<ScheduledText, readonly number[]> {
    const share = Math.floor(Math.max(rows, 1 + this.#most) / Math.max(1, texts.length)) - 1
    if (share < 1) return new Map()
    const wishes = texts.map((text): Wish => {
      const left = text.job.maxNewTokens - text.text.ids.length - 1
      return { text, count: Math.max(0, Math.min(this.#lengths.get(text) ?? this.#most, share, left)) }
    })
    const { vocabSize } = texts[0].job.model.facts
    const drafts = this.#proposer.propose(wishes).map((ids) => {
      const unknown = ids.findIndex((id) => id >= vocabSize)
      return unknown < 0 ? ids : ids.slice(0, unknown)
    })
    return new Map(texts.map((text, i) => [text, drafts[i]]))
  }

  /** Learns how many of the proposed tokens the text has. */
  learn(text: ScheduledText, proposed: number, accepted: number): void {
    this.counts.proposed += proposed
    this.counts.accepted += accepted
    const before = this.#lengths.get(text) ?? this.#most
    this.#lengths.set(text, accepted === proposed ? Math.min(this.#most, before + 2) : Math.max(1, accepted + 1))
  }

  free(): void {
    this.#proposer.free()
  }
}
