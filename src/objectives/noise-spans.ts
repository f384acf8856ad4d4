// The arithmetic of span corruption: how many tokens and spans are noise, where they lie, and how long inputs and targets become.
// Works on plain arrays; knows no batch.
// @source Raffel et al. 2020, arXiv:1910.10683, section 3.1.4, and the published code of T5
import type { Random } from '../core/index.ts'

export interface NoiseConfig {
  /** Share of the tokens that are noise. */
  noiseShare: number
  /** Mean tokens of a noise span. */
  meanSpanLength: number
}

/** Halves go to the even neighbour, as the published code rounds. */
const round = (x: number): number => {
  const below = Math.floor(x)
  if (x - below !== 0.5) return Math.round(x)
  return below % 2 === 0 ? below : below + 1
}

/** How many of `length` tokens are noise, and in how many spans; at least one token of each kind, so `length` is at least 2. */
export const noiseCounts = (length: number, { noiseShare, meanSpanLength }: NoiseConfig) => {
  const tokens = Math.min(Math.max(round(length * noiseShare), 1), length - 1)
  const spans = Math.min(Math.max(round(tokens / meanSpanLength), 1), tokens, length - tokens)
  return { tokens, spans }
}

/** Lengths of the corrupted input and of the target that a row of `length` tokens becomes, with `closing` tokens after each. */
export const corruptedLengths = (length: number, config: NoiseConfig, closing: number) => {
  const { tokens, spans } = noiseCounts(length, config)
  return { inputLength: length - tokens + spans + closing, targetLength: tokens + spans + closing }
}

/** The longest row whose corrupted input has at most `inputLength` tokens, and its target's length. */
export const rowLengthFor = (inputLength: number, config: NoiseConfig, closing: number) => {
  let length = Math.max(inputLength - closing, 2)
  while (corruptedLengths(length + 1, config, closing).inputLength <= inputLength) length++
  while (length > 2 && corruptedLengths(length, config, closing).inputLength > inputLength) length--
  const { targetLength } = corruptedLengths(length, config, closing)
  // Half of each: the published code keeps targets no longer than inputs.
  if (config.noiseShare === 0.5 && targetLength > inputLength)
    return { rowLength: length - 1, targetLength: targetLength - 1 }
  return { rowLength: length, targetLength }
}

/** Cuts `items` into `segments` parts of at least one, every way equally likely. */
export const randomSegments = (items: number, segments: number, random: Random): Uint32Array => {
  const begins = new Uint8Array(items - 1).fill(1, 0, segments - 1)
  random.shuffle(begins)
  const lengths = new Uint32Array(segments)
  let segment = 0
  lengths[0] = 1
  for (let i = 0; i < begins.length; i++) {
    segment += begins[i]
    lengths[segment]++
  }
  return lengths
}

export interface Corrupted {
  inputs: Uint32Array
  targets: Uint32Array
}

/**
 * Replaces each noise span by a sentinel of its own in the inputs; the targets are the sentinels, each before its span. Spans of
 * text `kept[i]` and of noise `noise[i]` take turns, text first.
 */
export const corruptSpans = (
  ids: ArrayLike<number>,
  kept: ArrayLike<number>,
  noise: ArrayLike<number>,
  sentinels: readonly number[],
  eos?: number,
): Corrupted => {
  const spans = noise.length
  let noisy = 0
  for (let i = 0; i < spans; i++) noisy += noise[i]
  const closing = eos === undefined ? 0 : 1
  const inputs = new Uint32Array(ids.length - noisy + spans + closing)
  const targets = new Uint32Array(noisy + spans + closing)
  let from = 0
  let input = 0
  let target = 0
  for (let i = 0; i < spans; i++) {
    for (let end = from + kept[i]; from < end; from++) inputs[input++] = ids[from]
    inputs[input++] = sentinels[i]
    targets[target++] = sentinels[i]
    for (let end = from + noise[i]; from < end; from++) targets[target++] = ids[from]
  }
  // Text after the last span, which random segments never leave.
  for (; from < ids.length; from++) inputs[input++] = ids[from]
  if (eos !== undefined) {
    inputs[input] = eos
    targets[target] = eos
  }
  return { inputs, targets }
}
