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
     * Whose vectors: last, a number (0 the embeddings, -1 the last), or mean-last-N for the mean of the
     * last N. Default: `last`.
     */
    layer?: number | string
    /**
     * How a text's tokens become one vector; the mean unless given. Tasks about tokens use `tokens`,
     * always.
     */
    pooling?: 'mean' | 'first' | 'last' | 'max' | 'tokens'
    /**
     * Two texts of a record: in one sequence, or apart, where u, v, |u-v| and u*v are the features.
     * Default: `together`.
     */
    pairs?: 'together' | 'apart'
    /** Every feature with mean 0 and deviation 1, as measured on what is learnt from. Default: `false`. */
    standardize?: boolean
    /** Tokens that go through the base at once. Default: `4096`. */
    batchTokens?: number
    /** Folder for features; the user's cache unless given. */
    cache?: string
    /** What learns from the features; the first of these that can learn the problem unless given. */
    learner?: 'logistic-regression' | 'ridge' | 'linear-svm' | 'nearest-neighbours' | 'gradient-boosted-trees' | 'mlp'
    /** How much the data counts beside small weights, as in scikit-learn. Default: `1`. */
    C?: number
    /** Ends when no slope of the mean loss is larger. Default: `0.00001`. */
    tolerance?: number
    /** Rounds at most. Default: `2000`. */
    maxIterations?: number
    /** How much small weights count beside the data, as in scikit-learn. Default: `1`. */
    alpha?: number
    /** Rows that vote. Default: `5`. */
    neighbours?: number
    /** How far apart two rows are. Default: `cosine`. */
    metric?: 'euclidean' | 'cosine'
    /** Distance: nearer rows count more, by one over their distance. Default: `uniform`. */
    votes?: 'uniform' | 'distance'
    /** Trees, for each class where there are more than two. Default: `100`. */
    rounds?: number
    /** At the start; it falls to zero in a line. Default: `0.001`. */
    learningRate?: number
    /** Leaves of a tree. Default: `31`. */
    maxLeaves?: number
    /** Rows in a leaf at least. Default: `20`. */
    minLeafRows?: number
    /**
     * Places where a feature may be split; 255, as in scikit-learn, takes about three times as long.
     * Default: `64`.
     */
    bins?: number
    /** Holds the values of leaves small. Default: `0`. */
    l2?: number
    /** Width of the hidden layer, or of each. Default: `[128]`. */
    hidden?: number | readonly number[]
    /** Passes over the rows. Default: `20`. */
    epochs?: number
    /** Rows in a step. Default: `256`. */
    batch?: number
    /** Share of a weight, times the learning rate, lost a step. Default: `0.01`. */
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
