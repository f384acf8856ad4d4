// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture gpt-neox. */
export interface GptNeoxConfig {
  /** Vocabulary size. Default: `50432`. */
  vocabSize?: number | undefined
  /** Width of the residual stream. Default: `6144`. */
  hiddenSize?: number | undefined
  /** Number of layers. Default: `44`. */
  numLayers?: number | undefined
  /** Attention heads. Default: `64`. */
  numHeads?: number | undefined
  /** Width of the feed-forward block. Default: `24576`. */
  intermediateSize?: number | undefined
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
    | undefined
  /** Maximum input length in tokens. Default: `2048`. */
  maxPositions?: number | undefined
  /** Epsilon of the norms. Default: `0.00001`. */
  normEps?: number | undefined
  /** Base of the rotary frequencies. Default: `10000`. */
  ropeTheta?: number | undefined
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
        attentionFactor?: number | undefined
        mscale?: number | undefined
        mscaleAllDim?: number | undefined
        truncate?: boolean | undefined
      }
    | {
        kind: 'longrope'
        shortFactor: readonly number[]
        longFactor: readonly number[]
        originalPositions: number
        factor: number
        attentionFactor?: number | undefined
      }
    | undefined
  /** Share of the elements of a head that are rotated. Default: `0.25`. */
  partialRotaryFactor?: number | undefined
  /** Attention and feed-forward block read the same input. Default: `true`. */
  parallelResidual?: boolean | undefined
  /** Biases of the attention projections. Default: `true`. */
  attentionBias?: boolean | undefined
  /** Dropout after embeddings and layers. Default: `0`. */
  hiddenDropout?: number | undefined
  /** Dropout of attention weights. Default: `0`. */
  attentionDropout?: number | undefined
  /** Dropout before the output layer of token labels. Default: `0.1`. */
  classifierDropout?: number | undefined
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number | undefined
  /** Tie the output layer to the token embedding. Default: `false`. */
  tiedEmbeddings?: boolean | undefined
}
