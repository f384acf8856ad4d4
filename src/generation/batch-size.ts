// Refuses settings that would make more rows than memory can hold, before anything is allocated.
import { freemem } from 'node:os'
import { ConfigError, formatBytes } from '../core/index.ts'
import type { GenerationSettings } from './options.ts'

/** float32 logits, their log-probabilities, and the copy that JavaScript reads. */
const bytesPerLogit = 3 * 4

/**
 * Compares the logits of one step with free memory. The cache of keys and values comes on top, so what passes may still
 * be too much; what fails cannot work.
 * @throws ConfigError for more beams than tokens in the vocabulary, and for more rows than fit
 */
export const checkBatchSize = (
  { numBeams, numReturnSequences }: Pick<GenerationSettings, 'numBeams' | 'numReturnSequences'>,
  prompts: number,
  vocabSize: number,
  freeBytes: number = freemem(),
): void => {
  if (numBeams > vocabSize)
    throw new ConfigError(
      `Expected at most ${vocabSize} for \`numBeams\`, one for each token of the vocabulary, got ${numBeams}. Use fewer: 4 to 10 are usual.`,
    )
  const perPrompt = Math.max(numBeams, numReturnSequences)
  const bytes = prompts * perPrompt * vocabSize * bytesPerLogit
  if (bytes <= freeBytes) return
  const key = numBeams > 1 ? 'numBeams' : 'numReturnSequences'
  const remedy = perPrompt > 1 ? `Lower \`${key}\`, or pass fewer prompts.` : 'Pass fewer prompts.'
  throw new ConfigError(
    `Expected sequences that fit in ${formatBytes(freeBytes)} of free memory, got ${prompts} prompts × ${perPrompt}, whose logits alone need ${formatBytes(bytes)}. ${remedy}`,
  )
}
