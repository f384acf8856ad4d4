// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture mixtral. */
export interface MixtralConfig {
  /** Vocabulary size. Default: `32000`. */
  vocabSize?: number | undefined
  /** Width of the residual stream. Default: `4096`. */
  hiddenSize?: number | undefined
  /** Number of layers. Default: `32`. */
  numLayers?: number | undefined
  /** Query heads. Default: `32`. */
  numHeads?: number | undefined
  /** Key and value heads. Default: `8`. */
  numKvHeads?: number | undefined
  /** Size of a head (default: hiddenSize / numHeads). */
  headDim?: number | undefined
  /** Width of each expert. Default: `14336`. */
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
  /** Maximum input length in tokens. Default: `131072`. */
  maxPositions?: number | undefined
  /** Epsilon of the norms. Default: `0.00001`. */
  normEps?: number | undefined
  /** Base of the rotary frequencies. Default: `1000000`. */
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
  /** Sliding window: keys that a query attends to (0: all). Default: `0`. */
  slidingWindow?: number | undefined
  /** Experts of each mixture. Default: `8`. */
  numExperts?: number | undefined
  /** Experts that each token is sent to. Default: `2`. */
  expertsPerToken?: number | undefined
  /** Add the loss that balances the experts, in training of a language model. Default: `false`. */
  outputRouterLogits?: boolean | undefined
  /** Factor of that loss. Default: `0.001`. */
  routerLossFactor?: number | undefined
  /** Dropout of attention weights. Default: `0`. */
  attentionDropout?: number | undefined
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number | undefined
  /** Tie the output layer to the token embedding. Default: `false`. */
  tiedEmbeddings?: boolean | undefined
}
