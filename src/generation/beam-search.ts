// Beam search over one batch: several texts a prompt followed side by side, the best finished ones kept. Equal to the beam search
// of transformers step for step, its float32 sums included. Knows no model: it is given scores, and says what to do next.
import type { GenerationSettings } from './options.ts'

/** What stands for minus infinity in sums that must stay comparable. */
const never = -1e9

interface Beam {
  /** New tokens only. */
  ids: number[]
  score: number
  finished: boolean
}

interface Candidate extends Beam {
  /** Which of the prompt's beams it grew from. */
  from: number
}

const sum32 = (a: number, b: number) => Math.fround(a + b)

/** The best `count` by score, the first of equals first. */
const best = <Item extends { score: number }>(items: readonly Item[], count: number): Item[] =>
  items
    .map((item, i) => ({ item, i }))
    .sort((a, b) => b.item.score - a.item.score || a.i - b.i)
    .slice(0, count)
    .map(({ item }) => item)

/** Best `count` tokens over the rows of one prompt, by score plus the row's own. */
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

  /** @param stops says whether a text ends by other means than an end token */
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

  /** New tokens of the running texts. */
  get texts(): readonly (readonly number[])[] {
    return this.#running.map(({ ids }) => ids)
  }

  /** Whether nothing better can come. */
  get done(): boolean {
    const full = this.#settings.earlyStopping === true && this.#finished.every(({ finished }) => finished)
    return !this.#mayImprove || full || this.#exhausted
  }

  /** Takes the log-probabilities of the next token of each running text; returns, for each next text, which one it grew from. */
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
    // Only the best `numBeams` may finish; the rest are there so that enough texts go on.
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

  /** Whether the best running text could beat the worst finished one; an estimate, where longer texts may score better. */
  #canImprove(): boolean {
    const { earlyStopping, lengthPenalty } = this.#settings
    const reach = earlyStopping === 'never' && lengthPenalty > 0 ? this.#maxNewTokens : this.#length
    const possible = Math.fround(this.#running[0].score / Math.fround(reach ** lengthPenalty))
    const worst = Math.min(...this.#finished.map(({ score }) => score))
    return this.#finished.some(({ finished }) => possible > (finished ? worst : never))
  }

  /** The best texts, the best first, with their scores. */
  results(count: number): { ids: number[]; score: number }[] {
    return this.#finished.slice(0, count).map(({ ids, score }) => ({ ids, score }))
  }
}
