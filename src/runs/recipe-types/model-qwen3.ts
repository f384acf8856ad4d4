// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture qwen3. */
export interface Qwen3Config {
  /** Entries of the vocabulary. Default: `151936`. */
  vocabSize?: number
  /** Width of the residual stream. Default: `896`. */
  hiddenSize?: number
  /** blocks. Default: `24`. */
  numLayers?: number
  /** Query heads. Default: `14`. */
  numHeads?: number
  /** Key and value heads. Default: `2`. */
  numKvHeads?: number
  /** Width inside the feed-forward block. Default: `4864`. */
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
  /** Longest input. Default: `32768`. */
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
  /** Dropout of attention weights. Default: `0`. */
  attentionDropout?: number
  /** Standard deviation of fresh weights. Default: `0.02`. */
  initializerRange?: number
  /** Output layer shares the token embedding. Default: `false`. */
  tiedEmbeddings?: boolean
  /** Size of a head. Default: `128`. */
  headDim?: number
  /** Biases in the attention projections. Default: `false`. */
  attentionBias?: boolean
}
