// The interface of decoders.
import type { Fields } from '../fields.ts'

/** Turns token strings into strings of text, to be joined without a separator. */
export type Decoder = (tokens: string[]) => string[]

/** A decoder type of tokenizer.json. */
export interface DecoderDefinition {
  /** `type` in tokenizer.json. */
  type: string
  /** Reads the JSON form; `nested` reads a decoder inside it. */
  read(fields: Fields, nested: (value: unknown, where: string) => Decoder): Decoder
}

/** Declares a decoder type. */
export const defineDecoder = (definition: DecoderDefinition): DecoderDefinition => definition
