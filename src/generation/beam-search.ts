// Beam search for one prompt: keeps the best partial and finished sequences. Equal to transformers' beam search step by
// step, including its float32 sums. Independent of models: takes log-probabilities and returns which beams to extend.
import type { GenerationSettings } from './options.ts'

/** Minus infinity for sums that must stay comparable. */
const never = -1e9

interface Beam {
  /** New tokens only. */
  ids: number[]
  score: number
  finished: boolean
}

interface Candidate extends Beam {
  /** Index of the beam that it extends. */
  from: number
}

const sum32 = (a: number, b: number) => Math.fround(a + b)

/** The `count` items with the highest scores; equal scores keep their order. */
const best = <Item extends { score: number }>(items: readonly Item[], count: number): Item[] =>
  items
    .map((item, i) => ({ item, i }))
    .sort((a, b) => b.item.score - a.item.score || a.i - b.i)
    .slice(0, count)
    .map(({ item }) => item)

/** The `count` best tokens over all beams of a prompt, by log-probability plus the beam's own score. */
const bestTokens = (rows: readonly Float32Array[], offsets: readonly number[], count: number) => {
  const found: { row: number; id: number; score: number }[] = []
  let lowest = Number.NEGATIVE_INFINITY
  rows.forEach((scores, row) => {
    const offset = offsets[row]
    for (let id = 0; id < scores.length; id++) {
      const score = sum32(scores[id], offset)
      if (found.length === count && !(score > lowest)) continue
      let at = found.length
      while (at > 0 && found[at - 1].score < score) at--
      found.splice(at, 0, { row, id, score })
      if (found.length > count) found.pop()
      lowest = found[found.length - 1].score
    }
  })
  return found
}

type BeamSettings = Pick<GenerationSettings, 'numBeams' | 'lengthPenalty' | 'earlyStopping' | 'eosTokenIds'>

/** The beams of one prompt. */
export class BeamSearch {
  readonly #settings: BeamSettings
  readonly #maxNewTokens: number
  readonly #stops: (ids: readonly number[]) => boolean
  #running: Beam[]
  #finished: Beam[]
  #mayImprove = true
  #exhausted = false
  #length = 0

  /** @param stops whether a sequence ends by other means than an end token */
  constructor(settings: BeamSettings, maxNewTokens: number, stops: (ids: readonly number[]) => boolean) {
    this.#settings = settings
    this.#maxNewTokens = maxNewTokens
    this.#stops = stops
    const beams = (first: number) =>
      Array.from({ length: settings.numBeams }, (_, i) => ({
        ids: [],
        score: i === 0 ? first : never,
        finished: false,
      }))
    this.#running = beams(0)
    this.#finished = beams(never)
  }

  /** New tokens of the unfinished beams. */
  get texts(): readonly (readonly number[])[] {
    return this.#running.map(({ ids }) => ids)
  }

  /** Whether no better sequence can be found. */
  get done(): boolean {
    const full = this.#settings.earlyStopping === true && this.#finished.every(({ finished }) => finished)
    return !this.#mayImprove || full || this.#exhausted
  }

  /**
   * Extends the beams by one token.
   * @param scores log-probabilities of the next token, a row [V] for each beam
   * @returns for each new beam the index of the one that it extends
   */
  advance(scores: readonly Float32Array[]): number[] {
    const { numBeams, eosTokenIds = [], lengthPenalty, earlyStopping } = this.#settings
    const keep = Math.max(2, 1 + eosTokenIds.length) * numBeams
    const length = this.#length + 1
    const offsets = this.#running.map(({ score }) => score)
    const candidates: Candidate[] = bestTokens(scores, offsets, keep).map(({ row, id, score }) => {
      const ids = [...this.#running[row].ids, id]
      return {
        ids,
        score,
        from: row,
        finished: eosTokenIds.includes(id) || length >= this.#maxNewTokens || this.#stops(ids),
      }
    })
    const running = best(
      candidates.map((candidate) => ({
        ...candidate,
        score: candidate.finished ? sum32(candidate.score, never) : candidate.score,
      })),
      numBeams,
    )
    // Only the best `numBeams` candidates may finish; the others make sure that enough beams continue.
    const closed = earlyStopping === true && this.#finished.every(({ finished }) => finished)
    const ended = candidates.map(({ ids, score, finished }, rank) => {
      const counts = finished && rank < numBeams
      let value = Math.fround(score / Math.fround(length ** lengthPenalty))
      for (const barred of [closed, !this.#mayImprove, !counts]) if (barred) value = sum32(value, never)
      return { ids, score: value, finished: counts }
    })
    this.#finished = best([...this.#finished, ...ended], numBeams)
    this.#running = running.map(({ ids, score }) => ({ ids, score, finished: false }))
    this.#exhausted = candidates.every(({ finished }) => finished)
    this.#length = length
    this.#mayImprove &&= this.#canImprove()
    return running.map(({ from }) => from)
  }

  /**
   * Whether the best unfinished beam could beat the worst finished one; an estimate, since longer texts may score
   * better.
   */
  #canImprove(): boolean {
    const { earlyStopping, lengthPenalty } = this.#settings
    const reach = earlyStopping === 'never' && lengthPenalty > 0 ? this.#maxNewTokens : this.#length
    const possible = Math.fround(this.#running[0].score / Math.fround(reach ** lengthPenalty))
    const worst = Math.min(...this.#finished.map(({ score }) => score))
    return this.#finished.some(({ finished }) => possible > (finished ? worst : never))
  }

  /** The best sequences with their scores, best first. */
  results(count: number): { ids: number[]; score: number }[] {
    return this.#finished.slice(0, count).map(({ ids, score }) => ({ ids, score }))
  }
}
