// The arithmetic of span corruption: number and position of noise tokens and spans, and lengths of inputs and targets.
// Works on plain arrays.
// @source Raffel et al. 2020, arXiv:1910.10683, section 3.1.4, and the published code of T5
import type { Random } from '../core/index.ts'

/** How much of a row becomes noise. */
export interface NoiseConfig {
  /** Share of noise tokens. */
  noiseShare: number
  /** Mean length of a noise span, in tokens. */
  meanSpanLength: number
}

/** Rounds halves to even, as the published code does. */
const round = (x: number): number => {
  const below = Math.floor(x)
  if (x - below !== 0.5) return Math.round(x)
  return below % 2 === 0 ? below : below + 1
}

/** Number of noise tokens and noise spans in `length` tokens (at least 2): at least one noise token and one other. */
export const noiseCounts = (length: number, { noiseShare, meanSpanLength }: NoiseConfig) => {
  const tokens = Math.min(Math.max(round(length * noiseShare), 1), length - 1)
  const spans = Math.min(Math.max(round(tokens / meanSpanLength), 1), tokens, length - tokens)
  return { tokens, spans }
}

/** Lengths of corrupted input and target for a row of `length` tokens, with `closing` end tokens after each. */
export const corruptedLengths = (length: number, config: NoiseConfig, closing: number) => {
  const { tokens, spans } = noiseCounts(length, config)
  return { inputLength: length - tokens + spans + closing, targetLength: tokens + spans + closing }
}

/** Length of the longest row whose corrupted input has at most `inputLength` tokens, and of its target. */
export const rowLengthFor = (inputLength: number, config: NoiseConfig, closing: number) => {
  let length = Math.max(inputLength - closing, 2)
  while (corruptedLengths(length + 1, config, closing).inputLength <= inputLength) length++
  while (length > 2 && corruptedLengths(length, config, closing).inputLength > inputLength) length--
  const { targetLength } = corruptedLengths(length, config, closing)
  // With half of the tokens noise, the published code keeps targets no longer than inputs.
  if (config.noiseShare === 0.5 && targetLength > inputLength)
    return { rowLength: length - 1, targetLength: targetLength - 1 }
  return { rowLength: length, targetLength }
}

/** Lengths of a random split of `items` into `segments` parts of at least one, all splits equally likely. */
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

/** Corrupted input and target ids. */
export interface Corrupted {
  inputs: Uint32Array
  targets: Uint32Array
}

/**
 * Replaces each noise span by its own sentinel in the inputs; the targets are the sentinels, each followed by its span.
 * Text spans of lengths `kept[i]` and noise spans of lengths `noise[i]` alternate, text first.
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
  // Text after the last noise span; random segments never leave any.
  for (; from < ids.length; from++) inputs[input++] = ids[from]
  if (eos !== undefined) {
    inputs[input] = eos
    targets[target] = eos
  }
  return { inputs, targets }
}
