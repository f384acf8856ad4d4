// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture smollm3. */
export interface Smollm3Config {
  /** Vocabulary size. Default: `128256`. */
  vocabSize?: number
  /** Width of the residual stream. Default: `2048`. */
  hiddenSize?: number
  /** Number of layers. Default: `36`. */
  numLayers?: number
  /** Query heads. Default: `16`. */
  numHeads?: number
  /** Key and value heads. Default: `4`. */
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
  /** Maximum input length in tokens. Default: `32768`. */
  maxPositions?: number
  /** Epsilon of the norms. Default: `0.000001`. */
  normEps?: number
  /** Base of the rotary frequencies. Default: `2000000`. */
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
  /** 1 for each layer with rotary positions (default: by positionlessInterval). */
  ropeLayers?: readonly (0 | 1)[]
  /** Each such layer has no positions. Default: `4`. */
  positionlessInterval?: number
  /** Sliding-window attention in layers without positions. Default: `false`. */
  useSlidingWindow?: boolean
  /** Keys that a query attends to in those layers. */
  slidingWindow?: number
  /** Attention of each layer (default: by useSlidingWindow). */
  layerTypes?: readonly ('full_attention' | 'sliding_attention')[]
  /** Biases of the attention projections. Default: `false`. */
  attentionBias?: boolean
  /** Biases of the feed-forward block. Default: `false`. */
  mlpBias?: boolean
  /** Dropout of attention weights. Default: `0`. */
  attentionDropout?: number
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number
  /** Tie the output layer to the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean
}
