// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture mistral. */
export interface MistralConfig {
  /** Vocabulary size. Default: `32000`. */
  vocabSize?: number | undefined
  /** Width of the residual stream. Default: `4096`. */
  hiddenSize?: number | undefined
  /** Number of layers. Default: `32`. */
  numLayers?: number | undefined
  /** Query heads. Default: `32`. */
  numHeads?: number | undefined
  /** Key and value heads (default: numHeads). */
  numKvHeads?: number | undefined
  /** Size of a head (default: hiddenSize / numHeads). */
  headDim?: number | undefined
  /** Width of the feed-forward block. Default: `11008`. */
  intermediateSize?: number | undefined
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
    | undefined
  /** Maximum input length in tokens. Default: `2048`. */
  maxPositions?: number | undefined
  /** Epsilon of the norms. Default: `0.000001`. */
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
  /** Biases of the attention projections. Default: `false`. */
  attentionBias?: boolean | undefined
  /** Biases of the feed-forward block. Default: `false`. */
  mlpBias?: boolean | undefined
  /** Sliding window: keys that a query attends to (0: all). Default: `0`. */
  slidingWindow?: number | undefined
  /** Dropout of attention weights. Default: `0`. */
  attentionDropout?: number | undefined
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number | undefined
  /** Tie the output layer to the token embedding. Default: `false`. */
  tiedEmbeddings?: boolean | undefined
}
