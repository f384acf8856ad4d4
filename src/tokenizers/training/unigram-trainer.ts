// Trains a Unigram vocabulary: starts from many candidate pieces, then alternates expectation-maximisation of their
// probabilities with pruning. Independent of files and of pre-tokenization.
// @source Kudo 2018, arXiv:1804.10959, section 3.2; Kudo and Richardson 2018, arXiv:1808.06226 (SentencePiece)
import { ConfigError } from '../../core/index.ts'
import { countCharacters, keepCharacters } from './alphabet.ts'
import { findRepeatedSubstrings } from './repeated-substrings.ts'
import { codePointAt, sequenceLength } from './scanners.ts'
import { bestPath, createPathBuffers, dropPieces, expectation, type Lattice } from './unigram-lattice.ts'
import { sortWords, type WordTableData } from './word-table.ts'

/** Options of `trainUnigram`. */
export interface UnigramOptions {
  /** Final number of pieces, without special tokens. */
  pieces: number
  /** Maximum piece length, in characters. */
  maxPieceLength: number
  /** Initial number of candidate pieces. */
  seedSize: number
  /** Share of pieces kept by each pruning. */
  shrinkingFactor: number
  /** Rounds of expectation-maximisation before each pruning. */
  subIterations: number
  /** Maximum number of characters, the most frequent first; text is split at the others. */
  limitAlphabet?: number
  /** Characters that are always pieces. */
  initialAlphabet: string
  onProgress?: (pieces: number) => void
}

/** A piece and its log-probability. */
export type ScoredPiece = readonly [piece: string, score: number]

interface Pieces {
  /** Position of one occurrence of each piece in the text; -1 for a character that does not occur. */
  at: Int32Array
  length: Uint8Array
  logProbability: Float64Array
}

/** Trains a Unigram vocabulary; returns its pieces by descending score. */
export const trainUnigram = (words: WordTableData, options: UnigramOptions): ScoredPiece[] => {
  const { subIterations, shrinkingFactor, onProgress } = options
  const sorted = sortWords(words)
  const characters = keepCharacters(countCharacters(sorted), options.initialAlphabet, options.limitAlphabet)
  if (characters.length > options.pieces) {
    throw new ConfigError(
      `Expected at least ${characters.length} pieces (the number of distinct characters), got ${options.pieces}. ` +
        'Raise `vocabSize`, or set `limitAlphabet`.',
    )
  }
  const text = toSymbols(sorted, characters)
  const { lattice, pieces: seeds } = seedPieces(text, characters.length, options)
  let pieces = seeds
  // Pruning stops 10 % above the target size; the final selection is by probability.
  const enough = Math.floor(options.pieces * 1.1)
  for (;;) {
    for (let round = 0; round < subIterations; round++) pieces = maximise(lattice, pieces)
    onProgress?.(pieces.at.length)
    if (pieces.at.length <= enough) break
    const target = Math.max(enough, Math.floor(pieces.at.length * shrinkingFactor))
    const before = pieces.at.length
    pieces = prune(lattice, pieces, target)
    if (pieces.at.length >= before) break
  }
  return selectFinal(text.symbols, pieces, characters, options.pieces)
}

interface Text {
  symbols: Int32Array
  ends: Uint32Array
  counts: Float64Array
}

/** Converts words to indices of characters; a character outside the alphabet ends a word. */
const toSymbols = (words: WordTableData, characters: number[]): Text => {
  const indexOf = new Map(characters.map((code, index) => [code, index]))
  const symbols: Int32Array = new Int32Array(words.bytes.length)
  const ends: number[] = []
  const counts: number[] = []
  let written = 0
  const close = (word: number) => {
    if (written === (ends[ends.length - 1] ?? 0)) return
    ends.push(written)
    counts.push(words.counts[word])
  }
  for (let word = 0, at = 0; word < words.size; word++) {
    while (at < words.ends[word]) {
      const symbol = indexOf.get(codePointAt(words.bytes, at))
      if (symbol === undefined) close(word)
      else symbols[written++] = symbol
      at += sequenceLength(words.bytes[at])
    }
    close(word)
  }
  return { symbols: symbols.slice(0, written), ends: Uint32Array.from(ends), counts: Float64Array.from(counts) }
}

/** Initial pieces: all characters, then the repeated substrings with the highest frequency times length. */
const seedPieces = (text: Text, characters: number, options: UnigramOptions): { lattice: Lattice; pieces: Pieces } => {
  const found = findRepeatedSubstrings(text, options.maxPieceLength)
  const weight = (index: number) => (found.to[index] - found.from[index]) * found.length[index]
  const chosen = new Uint32Array(found.size)
  for (let i = 0; i < chosen.length; i++) chosen[i] = i
  chosen.sort((a, b) => weight(b) - weight(a) || a - b)
  const taken = Math.max(0, Math.min(chosen.length, options.seedSize - characters))
  const size = characters + taken
  const pieces: Pieces = {
    at: new Int32Array(size).fill(-1),
    length: new Uint8Array(size).fill(1),
    logProbability: new Float64Array(size),
  }
  const weights = new Float64Array(size)
  const edges = new Uint32Array(text.symbols.length + 1)
  for (let word = 0, at = 0; word < text.ends.length; word++) {
    for (; at < text.ends[word]; at++) {
      const character = text.symbols[at]
      weights[character] += text.counts[word]
      pieces.at[character] = at
      edges[at + 1]++
    }
  }
  for (let i = 0; i < taken; i++) {
    const substring = chosen[i]
    weights[characters + i] = weight(substring)
    pieces.length[characters + i] = found.length[substring]
    pieces.at[characters + i] = found.suffixes[found.from[substring]]
    for (let k = found.from[substring]; k < found.to[substring]; k++) edges[found.suffixes[k] + 1]++
  }
  const sum = weights.reduce((total, value) => total + value, 0)
  for (let i = 0; i < size; i++) pieces.logProbability[i] = Math.log(Math.max(weights[i], 1e-3) / sum)
  for (let i = 0; i < text.symbols.length; i++) edges[i + 1] += edges[i]
  const total = edges[text.symbols.length]
  const lattice: Lattice = {
    ends: text.ends,
    counts: text.counts,
    first: edges,
    edgeLength: new Uint8Array(total),
    edgePiece: new Int32Array(total),
  }
  const next = edges.slice(0, text.symbols.length)
  const addEdge = (position: number, length: number, piece: number) => {
    lattice.edgeLength[next[position]] = length
    lattice.edgePiece[next[position]++] = piece
  }
  for (let at = 0; at < text.symbols.length; at++) addEdge(at, 1, text.symbols[at])
  for (let i = 0; i < taken; i++) {
    const substring = chosen[i]
    const length = found.length[substring]
    for (let k = found.from[substring]; k < found.to[substring]; k++) addEdge(found.suffixes[k], length, characters + i)
  }
  return { lattice, pieces }
}

/** One round of expectation-maximisation. Pieces with an expected count below 0.5 are dropped. */
const maximise = (lattice: Lattice, pieces: Pieces): Pieces => {
  const expected = new Float64Array(pieces.at.length)
  expectation(lattice, pieces.logProbability.map(Math.exp), expected)
  const keep: number[] = []
  let sum = 0
  for (let piece = 0; piece < expected.length; piece++) {
    if (expected[piece] < 0.5) continue
    keep.push(piece)
    sum += expected[piece]
  }
  // Digamma instead of the logarithm: a prior that favours fewer pieces.
  const logSum = digamma(sum)
  const kept = selectPieces(lattice, pieces, keep)
  for (let i = 0; i < keep.length; i++) kept.logProbability[i] = digamma(expected[keep[i]]) - logSum
  return kept
}

/** Selects the pieces `keep`, in that order, and removes the others from the lattice. */
const selectPieces = (lattice: Lattice, pieces: Pieces, keep: number[]): Pieces => {
  const renamed = new Int32Array(pieces.at.length).fill(-1)
  for (let i = 0; i < keep.length; i++) renamed[keep[i]] = i
  dropPieces(lattice, renamed)
  return {
    at: Int32Array.from(keep, (piece) => pieces.at[piece]),
    length: Uint8Array.from(keep, (piece) => pieces.length[piece]),
    logProbability: Float64Array.from(keep, (piece) => pieces.logProbability[piece]),
  }
}

/** Keeps the `target` pieces whose removal would reduce the likelihood most. */
const prune = (lattice: Lattice, pieces: Pieces, target: number): Pieces => {
  const size = pieces.at.length
  const { ends, counts } = lattice
  let longest = 0
  for (let word = 0; word < ends.length; word++)
    longest = Math.max(longest, ends[word] - (word === 0 ? 0 : ends[word - 1]))
  const buffers = createPathBuffers(longest)
  const frequency = new Float64Array(size)
  let all = 0
  for (let word = 0; word < ends.length; word++) {
    const start = word === 0 ? 0 : ends[word - 1]
    const count = counts[word]
    all += count
    bestPath(lattice, pieces.logProbability, { start, length: ends[word] - start, inner: false, buffers }, (piece) => {
      frequency[piece] += count
    })
  }
  const sum = frequency.reduce((total, value) => total + value, 0)
  const logSum = Math.log(sum)
  const keep: number[] = []
  const candidates: number[] = []
  const loss = new Float64Array(size)
  const alternative: number[] = []
  for (let piece = 0; piece < size; piece++) {
    alternative.length = 0
    const length = pieces.length[piece]
    const inner = bestPath(
      lattice,
      pieces.logProbability,
      { start: pieces.at[piece], length, inner: length > 1, buffers },
      (part) => alternative.push(part),
    )
    const alone = length === 1 || inner === Number.NEGATIVE_INFINITY
    const best = alone || pieces.logProbability[piece] >= inner
    if (frequency[piece] === 0) {
      // Never on a best path: no loss, unless nothing else makes up its text.
      if (alone) keep.push(piece)
      continue
    }
    if (alone || !best) {
      keep.push(piece)
      continue
    }
    const logSumWithout = Math.log(sum + frequency[piece] * (alternative.length - 1))
    let instead = 0
    for (const part of alternative) instead += Math.log(frequency[part] + frequency[piece]) - logSumWithout
    loss[piece] = (frequency[piece] / all) * (Math.log(frequency[piece]) - logSum - instead)
    candidates.push(piece)
  }
  candidates.sort((a, b) => loss[b] - loss[a] || a - b)
  keep.push(...candidates.slice(0, Math.max(0, target - keep.length)))
  keep.sort((a, b) => a - b)
  return selectPieces(lattice, pieces, keep)
}

/** The final pieces: all characters, and the most probable other pieces. */
const selectFinal = (symbols: Int32Array, pieces: Pieces, characters: number[], size: number): ScoredPiece[] => {
  const scored = new Map<string, number>()
  let lowest = 0
  for (let piece = 0; piece < pieces.at.length; piece++) {
    const at = pieces.at[piece]
    const text = String.fromCodePoint(
      ...Array.from(symbols.subarray(at, at + pieces.length[piece]), (symbol) => characters[symbol]),
    )
    scored.set(text, pieces.logProbability[piece])
    lowest = Math.min(lowest, pieces.logProbability[piece])
  }
  const required = characters.map((code) => String.fromCodePoint(code))
  // Characters that training dropped come last, each slightly less likely than the one before.
  const chosen = new Map<string, number>()
  for (const character of required) {
    const score = scored.get(character)
    if (score === undefined) lowest -= 0.0001
    chosen.set(character, score ?? lowest)
  }
  for (const [text, score] of [...scored].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))) {
    if (chosen.size >= size) break
    if (!chosen.has(text)) chosen.set(text, score)
  }
  return [...chosen].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
}

/** The derivative of the logarithm of the gamma function, for positive `x`. */
export const digamma = (x: number): number => {
  let shifted = x
  let result = 0
  while (shifted < 7) {
    result -= 1 / shifted
    shifted++
  }
  // The asymptotic series about x - 1/2 has no odd powers.
  const middle = shifted - 0.5
  const square = 1 / (middle * middle)
  return (
    result + Math.log(middle) + square * (1 / 24 - square * (7 / 960 - square * (31 / 8064 - square * (127 / 30720))))
  )
}
