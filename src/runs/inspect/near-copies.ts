// Texts that are nearly the same, among many: MinHash finds candidates, and the share of common pairs of words decides.
import { createMinhasher } from '../../corpus/index.ts'

/** Pairs of neighbouring words, or the words of a short text. */
const pairsOf = (text: string): Set<string> => {
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []
  if (words.length < 3) return new Set(words)
  return new Set(words.slice(1).map((word, i) => `${words[i]} ${word}`))
}

const jaccard = (a: ReadonlySet<string>, b: ReadonlySet<string>): number => {
  let both = 0
  for (const one of a) if (b.has(one)) both++
  return both === 0 ? 0 : both / (a.size + b.size - both)
}

export class NearCopies<Item> {
  readonly #minhasher = createMinhasher({ nGram: 2, bands: 20, rows: 4 })
  /** The first text of each band's key. */
  readonly #bands = Array.from({ length: 20 }, () => new Map<bigint, number>())
  readonly #texts: { pairs: Set<string>; item: Item }[] = []
  readonly #similarity: number
  readonly #most: number

  /**
   * @param similarity least share of common pairs of words
   * @param most texts that are kept; later ones are not compared
   */
  constructor(similarity: number, most: number) {
    this.#similarity = similarity
    this.#most = most
  }

  /** The item of the nearest text, if it is near. */
  find(text: string): Item | undefined {
    return this.#nearest(pairsOf(text), this.#minhasher.signature(text))
  }

  /** As `find`, and keeps the text. */
  add(text: string, item: Item): Item | undefined {
    if (this.#texts.length >= this.#most) return undefined
    const keys = this.#minhasher.signature(text)
    const pairs = pairsOf(text)
    const nearest = this.#nearest(pairs, keys)
    const number = this.#texts.push({ pairs, item }) - 1
    for (const [band, key] of keys.entries()) if (!this.#bands[band].has(key)) this.#bands[band].set(key, number)
    return nearest
  }

  #nearest(pairs: ReadonlySet<string>, keys: BigUint64Array): Item | undefined {
    const candidates = new Set<number>()
    for (const [band, key] of keys.entries()) {
      const number = this.#bands[band].get(key)
      if (number !== undefined) candidates.add(number)
    }
    let best: Item | undefined
    let most = this.#similarity
    for (const number of [...candidates].sort((a, b) => a - b)) {
      const { pairs: others, item } = this.#texts[number]
      const share = jaccard(pairs, others)
      if (share < most || (best !== undefined && share === most)) continue
      best = item
      most = share
    }
    return best
  }
}
