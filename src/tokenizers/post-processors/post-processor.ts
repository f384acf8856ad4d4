// What a post-processor is. It knows none of them.
import type { Encoding } from '../encoding.ts'
import type { Fields } from '../fields.ts'

export interface PostProcessor {
  /** How many special tokens it adds to one sequence or a pair. */
  added(isPair: boolean): number
  /** Turns the encodings of one or two sequences into those that are joined to the result. */
  process(encodings: Encoding[], addSpecialTokens: boolean): Encoding[]
}

export interface PostProcessorDefinition {
  type: string
  read(fields: Fields, nested: (value: unknown, where: string) => PostProcessor): PostProcessor
}

export const definePostProcessor = (definition: PostProcessorDefinition): PostProcessorDefinition => definition

/** The encoding and each window that overflowed from it, each remade. */
export const remake = (encoding: Encoding, make: (one: Encoding) => Encoding): Encoding => {
  const made = make(encoding)
  made.overflowing = encoding.overflowing.map(make)
  return made
}
