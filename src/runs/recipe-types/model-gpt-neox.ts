// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture gpt-neox. */
export interface GptNeoxConfig {
  /** Vocabulary size. Default: `50432`. */
  vocabSize?: number
  /** Width of the residual stream. Default: `6144`. */
  hiddenSize?: number
  /** Number of layers. Default: `44`. */
  numLayers?: number
  /** Attention heads. Default: `64`. */
  numHeads?: number
  /** Width of the feed-forward block. Default: `24576`. */
  intermediateSize?: number
  /** Activation function of the feed-forward block. Default: `gelu`. */
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
  /** Share of the elements of a head that are rotated. Default: `0.25`. */
  partialRotaryFactor?: number
  /** Attention and feed-forward block read the same input. Default: `true`. */
  parallelResidual?: boolean
  /** Biases of the attention projections. Default: `true`. */
  attentionBias?: boolean
  /** Dropout after embeddings and layers. Default: `0`. */
  hiddenDropout?: number
  /** Dropout of attention weights. Default: `0`. */
  attentionDropout?: number
  /** Dropout before the output layer of token labels. Default: `0.1`. */
  classifierDropout?: number
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number
  /** Tie the output layer to the token embedding. Default: `false`. */
  tiedEmbeddings?: boolean
}
