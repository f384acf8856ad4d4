// All layers of a decoder or an encoder in one call, as operators. Internal to the package.
import { operator } from './operator.ts'
import type { Tensor } from './tensor.ts'

type T = Tensor

/** Weights of layers that a fused call takes. */
interface LayerWeights {
  /** Weights and biases of each layer, in the order of `Part` in the file of the operator in native/kernels. */
  parts: readonly (T | null)[]
  /**
   * Block formats of the matrices of each layer, joined by commas, empty for a dense one; '' where all are dense. Then `orders`
   * has the stored row of each row, int64, for each matrix, or null.
   */
  formats: string
  orders: readonly (T | null)[]
}

/**
 * Checks the weights of all layers of a decoder once, for many calls of `decoderLayers`. The result has no elements and owns no
 * weight: each call compares them with what was checked and checks them again where one has changed, and refuses layers with a
 * weight that was freed. Each layer has seven matrices: query, key, value, output, gate, up, down.
 * @throws ShapeError for shapes and dtypes that do not fit each other
 */
export const prepareDecoderLayers = operator<(weights: LayerWeights) => T>(
  'prepareDecoderLayers',
  'tunesmith::prepare_decoder_layers(*parts, *formats, *orders)',
)

/**
 * Tokens through the layers of a Llama-like decoder, without gradients: stream [B,1,C] or [1,B,C] in float32 gives the same
 * shape. Their keys and values are written into the caches. Rows with the same slot are tokens of one text and see those before them.
 */
export const decoderLayers = operator<
  (
    stream: T,
    options: {
      /** Caches of each layer, [B,S,K,D], or with `slots` [R,S,K,D]; position `past` of each row is written. */
      keys: readonly T[]
      values: readonly T[]
      /** Number of tokens of each row in the caches before this one, int64 [B]. */
      past: T
      /** Row of the caches of each row, int64 [B]; null for the same row. */
      slots: T | null
      /** float32 cosines and sines of the position: [1,R/2], or [B,1,R/2] per row; with `positions` the tables [P,R/2]. */
      cos: T
      sin: T
      /** Row of the tables for each row, int64 of B elements; null where `cos` and `sin` are no tables. */
      positions: T | null
      /** bool [B,1,1,S'] up to the longest row, true where a row may attend; null for all. */
      mask: T | null
      /** The result of `prepareDecoderLayers`. */
      layers: T
      /**
       * Low-rank changes of some rows: for each layer and each entry of `changedRows`, int64 [n,2] with the first row and the
       * number of rows, the matrices A [R,inputs] and B [outputs,R] of the seven products, null for none, and their scales.
       */
      changes: readonly (T | null)[]
      scales: readonly number[]
      changedRows: T | null
      eps: number
      /** Number of keys that a query of each layer sees; 0 for all. */
      windows: readonly number[]
      /** Factor of the attention scores. */
      scale: number
    },
  ) => T
>(
  'decoderLayers',
  'tunesmith::decoder_layers(stream, *keys, *values, *past, *slots, *cos, *sin, *positions, *mask, *layers, *changes, *scales, *changedRows, *eps, *windows, *scale)',
)

/** As `prepareDecoderLayers`, for `encoderLayers`, with six matrices: query, key, value, output, up, down. */
export const prepareEncoderLayers = operator<(weights: LayerWeights) => T>(
  'prepareEncoderLayers',
  'tunesmith::prepare_encoder_layers(*parts, *formats, *orders)',
)

/**
 * The layers of an encoder of the BERT family in one call, without gradients: hidden [B,T,C], float32 or bfloat16 as the
 * weights are, gives [B,T,C], with the bits of the separate operators. Each layer has a norm after attention and one after
 * the feed-forward block. Matrices may be blocks of a GGUF file where the rest is float32.
 * @throws ShapeError for other shapes and dtypes, and where gradients are recorded
 */
export const encoderLayers = operator<
  (
    hidden: T,
    options: {
      /** bool, broadcast to [B,H,T,T], true where a query may attend to a key; null for all. */
      mask: T | null
      /** Cumulative lengths of packed documents, with B = 1, int64 [n+1]. */
      starts: T | null
      /** The only tokens of the last layer's output, int64 [M], and their cumulative numbers per document, int64 [n+1]. */
      readPlaces: T | null
      readStarts: T | null
      /** The result of `prepareEncoderLayers`. */
      layers: T
      heads: number
      /** Added to the variances of all norms. */
      eps: number
      /** Factor of the attention scores. */
      scale: number
      /** GELU between the matrices of the feed-forward block: exact, or by tanh. */
      approximate: 'none' | 'tanh'
    },
  ) => T
>(
  'encoderLayers',
  'tunesmith::encoder_layers(hidden, *mask, *starts, *readPlaces, *readStarts, *layers, *heads, *eps, *scale, *approximate)',
)
