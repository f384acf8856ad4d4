// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture mistral. */
export interface MistralConfig {
  /** Entries of the vocabulary. Default: `32000`. */
  vocabSize?: number
  /** Width of the residual stream. Default: `4096`. */
  hiddenSize?: number
  /** blocks. Default: `32`. */
  numLayers?: number
  /** Query heads. Default: `32`. */
  numHeads?: number
  /** Key and value heads; numHeads unless given. */
  numKvHeads?: number
  /** Size of a head; hiddenSize / numHeads unless given. */
  headDim?: number
  /** Width inside the feed-forward block. Default: `11008`. */
  intermediateSize?: number
  /** Of the feed-forward block. Default: `silu`. */
  activation?:
    | 'gelu'
    | 'gelu_new'
    | 'gelu_pytorch_tanh'
    | 'gelu_fast'
    | 'quick_gelu'
    | 'relu'
    | 'silu'
    | 'swish'
    | 'tanh'
    | 'sigmoid'
  /** Longest input. Default: `2048`. */
  maxPositions?: number
  /** Added to variances. Default: `0.000001`. */
  normEps?: number
  /** Base of the rotary frequencies. Default: `10000`. */
  ropeTheta?: number
  /** Stretching of the rotary frequencies. Default: `{"kind":"default"}`. */
  ropeScaling?:
    | {
        kind: 'default'
      }
    | {
        kind: 'linear'
        factor: number
      }
    | {
        kind: 'dynamic'
        factor: number
        originalPositions: number
      }
    | {
        kind: 'llama3'
        factor: number
        lowFreqFactor: number
        highFreqFactor: number
        originalPositions: number
      }
    | {
        kind: 'yarn'
        factor: number
        originalPositions: number
        betaFast: number
        betaSlow: number
        attentionFactor?: number
      }
  /** Biases in the attention projections. Default: `false`. */
  attentionBias?: boolean
  /** Biases in the gated block. Default: `false`. */
  mlpBias?: boolean
  /** Keys further back are not seen; 0 sees all. Default: `0`. */
  slidingWindow?: number
  /** Dropout of attention weights. Default: `0`. */
  attentionDropout?: number
  /** Standard deviation of fresh weights. Default: `0.02`. */
  initializerRange?: number
  /** Output layer shares the token embedding. Default: `false`. */
  tiedEmbeddings?: boolean
}
