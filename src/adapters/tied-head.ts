// A tied output matrix: it is the token embedding of the body and no parameter of its own, and yet an adapter may have
// its own copy of it, which is used in the head alone.
import { LanguageHead, type Model } from '../models/index.ts'
import type { Linear, Module } from '../nn/index.ts'

/** Path of the output matrix. */
export const TIED_PATH = 'head.lmHead.weight'
/** Path of the token embedding. */
export const TABLE_PATH = 'body.embedTokens.weight'

/** The output layer, if its matrix is tied to the token embedding. */
export const tiedLayer = ({ head, body }: Model): Linear | undefined =>
  (head as Module) instanceof LanguageHead &&
  // A matrix of blocks is no parameter, and reading it would dequantise it.
  body.embedTokens.blocks === undefined &&
  (head as LanguageHead).lmHead.weight === body.embedTokens.weight
    ? (head as LanguageHead).lmHead
    : undefined
