// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of `adapter`, by `variant`. */
export interface VariantSettings {
  full: Record<never, never>
  'linear-probe': Record<never, never>
  bitfit: {
    /** Train the head too; unless given, every head but those that score the vocabulary is trained. */
    trainHead?: boolean
  }
  'last-n-layers': {
    /** How many layers are trained, counted from the last. Default: `2`. */
    layers?: number
    /** Train the head too; unless given, every head but those that score the vocabulary is trained. */
    trainHead?: boolean
  }
  lora: {
    /**
     * Layers that get a change: all-linear, or some by our names, such as qProj and vProj. Default:
     * `all-linear`.
     */
    targets?: 'all-linear' | readonly ('qProj' | 'kProj' | 'vProj' | 'oProj' | 'gateProj' | 'upProj' | 'downProj')[]
    /** Rank of the change. Default: `8`. */
    rank?: number
    /** The change is multiplied by alpha / rank. Default: `16`. */
    alpha?: number
    /** Dropout of what the change sees. Default: `0`. */
    dropout?: number
    /** Multiply by alpha / sqrt(rank) (arXiv:2312.03732). Default: `false`. */
    rsLora?: boolean
    /** Train the length of each row apart from its direction (arXiv:2402.09353). Default: `false`. */
    dora?: boolean
    /** Learning rate of B over that of A; 16 is usual for LoRA+ (arXiv:2402.12354). Default: `1`. */
    loraPlusRatio?: number
    /** Train the head too; unless given, every head but those that score the vocabulary is trained. */
    trainHead?: boolean
  }
  houlsby: {
    /**
     * Units of the bottleneck; unless given, hiddenSize / 16 and at least 64, or hiddenSize / 4 where that
     * is less.
     */
    size?: number
    /** Activation in the bottleneck. Default: `relu`. */
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
    /** Factor of the units of the bottleneck on their way up. Default: `1`. */
    scale?: number
    /** Train the head too; unless given, every head but those that score the vocabulary is trained. */
    trainHead?: boolean
  }
  pfeiffer: {
    /**
     * Units of the bottleneck; unless given, hiddenSize / 16 and at least 64, or hiddenSize / 4 where that
     * is less.
     */
    size?: number
    /** Activation in the bottleneck. Default: `relu`. */
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
    /** Factor of the units of the bottleneck on their way up. Default: `1`. */
    scale?: number
    /** Train the head too; unless given, every head but those that score the vocabulary is trained. */
    trainHead?: boolean
  }
  parallel: {
    /**
     * Units of the bottleneck; unless given, hiddenSize / 16 and at least 64, or hiddenSize / 4 where that
     * is less.
     */
    size?: number
    /** Activation in the bottleneck. Default: `relu`. */
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
    /** Factor of the units of the bottleneck on their way up. Default: `4`. */
    scale?: number
    /** Train the head too; unless given, every head but those that score the vocabulary is trained. */
    trainHead?: boolean
  }
  ia3: {
    /** Layers that get factors, by our names, or all-linear. Default: `["kProj","vProj","downProj"]`. */
    targets?: 'all-linear' | readonly ('qProj' | 'kProj' | 'vProj' | 'oProj' | 'gateProj' | 'upProj' | 'downProj')[]
    /** Those of the targets whose input gets the factors, not their output. Default: `["downProj"]`. */
    ofInput?: readonly ('qProj' | 'kProj' | 'vProj' | 'oProj' | 'gateProj' | 'upProj' | 'downProj')[]
    /** Train the head too; unless given, every head but those that score the vocabulary is trained. */
    trainHead?: boolean
  }
  'prefix-tuning': {
    /** Positions in front of every row. Default: `20`. */
    virtualTokens?: number
    /** Units of a network that makes the prefix while it is trained; none unless given. */
    projection?: number
    /**
     * What the prefix begins as: what the base makes of tokens, or draws; tokens, unless a network makes
     * it.
     */
    start?: 'tokens' | 'normal'
    /** Text of those tokens; drawn from the vocabulary unless given. */
    initialText?: string
    /**
     * Learning rate of the head, where one is trained, over that of the virtual tokens; unless given, such
     * that the method's own rate comes to 0.001.
     */
    headRate?: number
    /** Train the head too; unless given, every head but those that score the vocabulary is trained. */
    trainHead?: boolean
  }
  'prompt-tuning': {
    /** Positions in front of every row. Default: `20`. */
    virtualTokens?: number
    /** Text whose tokens they begin as; drawn from the vocabulary unless given. */
    initialText?: string
    /**
     * Learning rate of the head, where one is trained, over that of the virtual tokens; unless given, such
     * that the method's own rate comes to 0.001.
     */
    headRate?: number
    /** Train the head too; unless given, every head but those that score the vocabulary is trained. */
    trainHead?: boolean
  }
  'feature-based': {
    /**
     * Layer of the hidden states: last, an index (0: embeddings, -1: last layer), or mean-last-N for the
     * mean of the last N layers. Default: `last`.
     */
    layer?: number | string
    /**
     * Pooling of a text's token vectors into one (default: mean; tasks that label tokens always use
     * `tokens`).
     */
    pooling?: 'mean' | 'first' | 'last' | 'max' | 'tokens'
    /**
     * Two texts of a record: together in one sequence, or separate, with u, v, |u-v| and u*v as features.
     * Default: `together`.
     */
    pairs?: 'together' | 'separate'
    /** Scale each feature to mean 0 and standard deviation 1 on the training data. Default: `false`. */
    standardize?: boolean
    /** Tokens per batch through the base. Default: `4096`. */
    batchTokens?: number
    /** Folder of the feature cache (default: tunesmith/features in the user's cache). */
    cache?: string
    /** Learner on the features (default: the first of these that supports the task). */
    learner?: 'logistic-regression' | 'ridge' | 'linear-svm' | 'nearest-neighbours' | 'gradient-boosted-trees' | 'mlp'
    /** Inverse strength of the L2 regularisation, as in scikit-learn. Default: `1`. */
    C?: number
    /** Stop when no component of the gradient is larger. Default: `0.00001`. */
    tolerance?: number
    /** Maximum iterations of L-BFGS. Default: `2000`. */
    maxIterations?: number
    /** Strength of the L2 regularisation, as in scikit-learn. Default: `1`. */
    alpha?: number
    /** Number of neighbours that vote. Default: `5`. */
    neighbours?: number
    /** Distance between rows. Default: `cosine`. */
    metric?: 'euclidean' | 'cosine'
    /** Uniform, or distance: weight neighbours by the inverse of their distance. Default: `uniform`. */
    votes?: 'uniform' | 'distance'
    /** Boosting rounds: trees per class, or in all for up to two classes. Default: `100`. */
    rounds?: number
    /** Initial learning rate; it decays linearly to zero. Default: `0.001`. */
    learningRate?: number
    /** Maximum leaves per tree. Default: `31`. */
    maxLeaves?: number
    /** Minimum rows per leaf. Default: `20`. */
    minLeafRows?: number
    /** Histogram bins per feature; 255, as in scikit-learn, takes about three times as long. Default: `64`. */
    bins?: number
    /** L2 regularisation of leaf values. Default: `0`. */
    l2?: number
    /** Width of the hidden layer, or of each hidden layer. Default: `[128]`. */
    hidden?: number | readonly number[]
    /** Training epochs. Default: `20`. */
    epochs?: number
    /** Rows per step. Default: `256`. */
    batch?: number
    /** Decoupled weight decay of AdamW. Default: `0.01`. */
    weightDecay?: number
  }
}

/** A variant with its settings. */
export type VariantChoice = {
  [Variant in keyof VariantSettings]: {
    /** Fine-tuning method. Default: `full`. */
    variant: Variant
    /** Settings of the variant, such as rank. */
    adapter?: VariantSettings[Variant]
  }
}[keyof VariantSettings]
