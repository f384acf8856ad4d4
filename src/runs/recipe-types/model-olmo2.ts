// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture olmo2. */
export interface Olmo2Config {
  /** Vocabulary size. Default: `50304`. */
  vocabSize?: number
  /** Width of the residual stream. Default: `4096`. */
  hiddenSize?: number
  /** Number of layers. Default: `32`. */
  numLayers?: number
  /** Query heads. Default: `32`. */
  numHeads?: number
  /** Key and value heads (default: numHeads). */
  numKvHeads?: number
  /** Width of the feed-forward block. Default: `11008`. */
  intermediateSize?: number
  /** Activation function of the feed-forward block. Default: `silu`. */
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
  /** Maximum input length in tokens. Default: `2048`. */
  maxPositions?: number
  /** Epsilon of the norms. Default: `0.00001`. */
  normEps?: number
  /** Base of the rotary frequencies. Default: `10000`. */
  ropeTheta?: number
  /**
   * Scaling of the rotary frequencies; dynamic and longrope go by the longest text of a batch. Default:
   * `{"kind":"default"}`.
   */
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
        mscale?: number
        mscaleAllDim?: number
        truncate?: boolean
      }
    | {
        kind: 'longrope'
        shortFactor: readonly number[]
        longFactor: readonly number[]
        originalPositions: number
        factor: number
        attentionFactor?: number
      }
  /** Biases of the attention projections. Default: `false`. */
  attentionBias?: boolean
  /** Dropout of attention weights. Default: `0`. */
  attentionDropout?: number
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number
  /** Tie the output layer to the token embedding. Default: `false`. */
  tiedEmbeddings?: boolean
}
