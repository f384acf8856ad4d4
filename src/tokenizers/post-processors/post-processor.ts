// The interface of post-processors.
import type { Encoding } from '../encoding.ts'
import type { Fields } from '../fields.ts'

/** Adds special tokens to encoded sequences. */
export interface PostProcessor {
  /** Number of special tokens added to one sequence or to a pair. */
  added(isPair: boolean): number
  /** Turns the encodings of one or two sequences into the encodings that are concatenated to the result. */
  process(encodings: Encoding[], addSpecialTokens: boolean): Encoding[]
}

/** A post-processor type of tokenizer.json. */
export interface PostProcessorDefinition {
  /** `type` in tokenizer.json. */
  type: string
  /** Reads the JSON form; `nested` reads a post-processor inside it. */
  read(fields: Fields, nested: (value: unknown, where: string) => PostProcessor): PostProcessor
}

/** Declares a post-processor type. */
export const definePostProcessor = (definition: PostProcessorDefinition): PostProcessorDefinition => definition

/** Applies `make` to the encoding and to each of its overflowing windows. */
export const mapWindows = (encoding: Encoding, make: (one: Encoding) => Encoding): Encoding => {
  const made = make(encoding)
  made.overflowing = encoding.overflowing.map(make)
  return made
}
