// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of `objective`, by its `type`. */
export interface ObjectiveSettings {
  'causal-lm': {
    /**
     * Separate: no attention between the documents of a row; joined: one stream with end-of-text between
     * them, as GPT-2. Default: `separate`.
     */
    documents?: 'separate' | 'joined' | undefined
    /** Begin each sequence with the start token of the vocabulary, as Llama does. Default: `false`. */
    startToken?: boolean | undefined
    /** Label smoothing: probability mass spread over the vocabulary in training; 0.1 is usual. Default: `0`. */
    labelSmoothing?: number | undefined
    /**
     * Fill-in-the-middle: share of documents whose middle is moved to the end, so that the model learns to
     * fill gaps; 0.5 to 0.9 for code (0: off). Default: `0`.
     */
    fimRate?: number | undefined
    /** With `fimRate`: share of these documents in the order suffix, prefix, middle (SPM) (default: 0.5). */
    fimSpmRate?: number | undefined
    /**
     * With `fimRate`: cut documents between any two characters, also within a word, or between tokens only
     * (default: characters).
     */
    fimCuts?: 'characters' | 'tokens' | undefined
  }
  'masked-lm': {
    /** Share of the tokens to predict, at least one in a row. Default: `0.15`. */
    maskShare?: number | undefined
    /** Share of the predicted tokens replaced by the mask token. Default: `0.8`. */
    replaceWithMask?: number | undefined
    /** Share of the predicted tokens replaced by a random token. Default: `0.1`. */
    replaceWithRandom?: number | undefined
    /** Whole-word masking: mask all tokens of a word together. Default: `false`. */
    wholeWords?: boolean | undefined
    /**
     * N-gram masking: maximum number of consecutive tokens (or words) to mask, length n with weight 1/n;
     * ALBERT uses 3. Default: `1`.
     */
    maxNgram?: number | undefined
    /**
     * Separate: no attention between the documents of a row; joined: one sequence with separators, as
     * RoBERTa. Default: `separate`.
     */
    documents?: 'separate' | 'joined' | undefined
  }
  'replaced-token-detection': {
    /** Share of the tokens to predict, at least one in a row. Default: `0.15`. */
    maskShare?: number | undefined
    /** Share of the predicted tokens replaced by the mask token. Default: `0.85`. */
    replaceWithMask?: number | undefined
    /** Share of the predicted tokens replaced by a random token. Default: `0`. */
    replaceWithRandom?: number | undefined
    /** Whole-word masking: mask all tokens of a word together. Default: `false`. */
    wholeWords?: boolean | undefined
    /**
     * N-gram masking: maximum number of consecutive tokens (or words) to mask, length n with weight 1/n;
     * ALBERT uses 3. Default: `1`.
     */
    maxNgram?: number | undefined
    /**
     * Separate: no attention between the documents of a row; joined: one sequence with separators. Default:
     * `separate`.
     */
    documents?: 'separate' | 'joined' | undefined
    /** Weight of the detection loss relative to the generator loss. Default: `50`. */
    detectionWeight?: number | undefined
    /** Sampling temperature of the generator. Default: `1`. */
    temperature?: number | undefined
    /** Width of the generator as a share of the width of the model. Default: `0.25`. */
    generatorShare?: number | undefined
    /** Layers of the generator as a share of the layers of the model. Default: `1`. */
    generatorLayers?: number | undefined
  }
  'sentence-pretraining': {
    /** Share of the tokens to predict, at least one in a row. Default: `0.15`. */
    maskShare?: number | undefined
    /** Share of the predicted tokens replaced by the mask token. Default: `0.8`. */
    replaceWithMask?: number | undefined
    /** Share of the predicted tokens replaced by a random token. Default: `0.1`. */
    replaceWithRandom?: number | undefined
    /** Whole-word masking: mask all tokens of a word together. Default: `false`. */
    wholeWords?: boolean | undefined
    /**
     * N-gram masking: maximum number of consecutive tokens (or words) to mask, length n with weight 1/n;
     * ALBERT uses 3. Default: `1`.
     */
    maxNgram?: number | undefined
    /**
     * Next-sentence: half of the second texts are from another document; sentence-order: half of the pairs
     * are swapped. Default: `next-sentence`.
     */
    relation?: 'next-sentence' | 'sentence-order' | undefined
    /** Share of the pairs truncated to a random shorter length. Default: `0.1`. */
    shortShare?: number | undefined
  }
  'span-corruption': {
    /** Share of noise tokens, which are replaced by sentinels. Default: `0.15`. */
    noiseShare?: number | undefined
    /** Mean length of a noise span, in tokens. Default: `3`. */
    meanSpanLength?: number | undefined
  }
}

/** An objective with its settings. */
export type ObjectiveInput = {
  [Type in keyof ObjectiveSettings]: {
    /** Pretraining objective. */
    type: Type
  } & ObjectiveSettings[Type]
}[keyof ObjectiveSettings]
