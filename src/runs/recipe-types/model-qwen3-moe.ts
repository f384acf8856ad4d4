// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture qwen3-moe. */
export interface Qwen3MoeConfig {
  /** Vocabulary size. Default: `151936`. */
  vocabSize?: number
  /** Width of the residual stream. Default: `2048`. */
  hiddenSize?: number
  /** Number of layers. Default: `24`. */
  numLayers?: number
  /** Query heads. Default: `32`. */
  numHeads?: number
  /** Key and value heads. Default: `4`. */
  numKvHeads?: number
  /** Size of a head (default: hiddenSize / numHeads). */
  headDim?: number
  /** Width of feed-forward blocks without experts. Default: `6144`. */
  intermediateSize?: number
  /** Width of each expert. Default: `768`. */
  expertSize?: number
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
  /** Sliding-window attention in all layers. Default: `false`. */
  useSlidingWindow?: boolean
  /** Keys that a query attends to then (default: 4096). */
  slidingWindow?: number
  /** Experts of each mixture. Default: `128`. */
  numExperts?: number
  /** Experts that each token is sent to. Default: `8`. */
  expertsPerToken?: number
  /** Add the loss that balances the experts, in training of a language model. Default: `false`. */
  outputRouterLogits?: boolean
  /** Factor of that loss. Default: `0.001`. */
  routerLossFactor?: number
  /** Divide the weights of a token's experts by their sum. Default: `false`. */
  normalizeWeights?: boolean
  /** Each such layer has a mixture. Default: `1`. */
  sparseInterval?: number
  /** Numbers of layers without a mixture, from 0. */
  denseLayers?: readonly number[]
  /** Dropout of attention weights. Default: `0`. */
  attentionDropout?: number
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number
  /** Tie the output layer to the token embedding. Default: `false`. */
  tiedEmbeddings?: boolean
}
