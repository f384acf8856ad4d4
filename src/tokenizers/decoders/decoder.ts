// What a decoder is. It knows none of them.
import type { Fields } from '../fields.ts'

/** Turns tokens into text; the strings that come out are joined without anything between them. */
export type Decoder = (tokens: string[]) => string[]

export interface DecoderDefinition {
  type: string
  read(fields: Fields, nested: (value: unknown, where: string) => Decoder): Decoder
}

export const defineDecoder = (definition: DecoderDefinition): DecoderDefinition => definition
