// The matrix that scores words, where it is the table of the body's embeddings: no parameter of its own, and yet an adapter may have a
// value of it, which stands in the head alone.
import { LanguageHead, type Model } from '../models/index.ts'
import type { Linear, Module } from '../nn/index.ts'

export const TIED_PATH = 'head.lmHead.weight'
export const TABLE_PATH = 'body.embedTokens.weight'

/** The layer that uses the table too; undefined where no layer does. */
export const tiedLayer = ({ head, body }: Model): Linear | undefined =>
  (head as Module) instanceof LanguageHead && (head as LanguageHead).lmHead.weight === body.embedTokens.weight
    ? (head as LanguageHead).lmHead
    : undefined
