// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of `objective`, by its `type`. */
export interface ObjectiveSettings {
  'causal-lm': {
    /**
     * Separate: documents of a row do not see each other; joined: one stream with end-of-text between, as
     * GPT-2. Default: `separate`.
     */
    documents?: 'separate' | 'joined'
    /** Open each sequence with the vocabulary’s start token, as Llama does. Default: `false`. */
    startToken?: boolean
  }
  'masked-lm': {
    /** Share of the tokens that are predicted; at least one of a row. Default: `0.15`. */
    maskShare?: number
    /** Share of the predicted tokens that become the mask token. Default: `0.8`. */
    replaceWithMask?: number
    /** Share of the predicted tokens that become a random token. Default: `0.1`. */
    replaceWithRandom?: number
    /** Hide all tokens of a word together. Default: `false`. */
    wholeWords?: boolean
    /**
     * Hide runs of up to so many tokens (or words), runs of n with weight 1/n, as ALBERT does with 3.
     * Default: `1`.
     */
    maxNgram?: number
    /**
     * Separate: documents of a row do not see each other; joined: one sequence with separators, as RoBERTa.
     * Default: `separate`.
     */
    documents?: 'separate' | 'joined'
  }
  'replaced-token-detection': {
    /** Share of the tokens that are predicted; at least one of a row. Default: `0.15`. */
    maskShare?: number
    /** Share of the predicted tokens that become the mask token. Default: `0.85`. */
    replaceWithMask?: number
    /** Share of the predicted tokens that become a random token. Default: `0`. */
    replaceWithRandom?: number
    /** Hide all tokens of a word together. Default: `false`. */
    wholeWords?: boolean
    /**
     * Hide runs of up to so many tokens (or words), runs of n with weight 1/n, as ALBERT does with 3.
     * Default: `1`.
     */
    maxNgram?: number
    /**
     * Separate: documents of a row do not see each other; joined: one sequence with separators. Default:
     * `separate`.
     */
    documents?: 'separate' | 'joined'
    /** Weight of the detection loss beside the generator’s. Default: `50`. */
    detectionWeight?: number
    /** Of the generator’s samples. Default: `1`. */
    temperature?: number
    /** Width of the generator as a share of the model’s. Default: `0.25`. */
    generatorShare?: number
    /** Layers of the generator as a share of the model’s. Default: `1`. */
    generatorLayers?: number
  }
  'sentence-pretraining': {
    /** Share of the tokens that are predicted; at least one of a row. Default: `0.15`. */
    maskShare?: number
    /** Share of the predicted tokens that become the mask token. Default: `0.8`. */
    replaceWithMask?: number
    /** Share of the predicted tokens that become a random token. Default: `0.1`. */
    replaceWithRandom?: number
    /** Hide all tokens of a word together. Default: `false`. */
    wholeWords?: boolean
    /**
     * Hide runs of up to so many tokens (or words), runs of n with weight 1/n, as ALBERT does with 3.
     * Default: `1`.
     */
    maxNgram?: number
    /**
     * Next-sentence: half of the second texts are from elsewhere; sentence-order: half of the pairs are
     * swapped. Default: `next-sentence`.
     */
    relation?: 'next-sentence' | 'sentence-order'
    /** Share of the pairs that are cut to a random shorter length. Default: `0.1`. */
    shortShare?: number
  }
  'span-corruption': {
    /** Share of the tokens that are replaced. Default: `0.15`. */
    noiseShare?: number
    /** Mean tokens of a replaced span. Default: `3`. */
    meanSpanLength?: number
  }
}

/** An objective with its settings. */
export type ObjectiveInput = {
  [Type in keyof ObjectiveSettings]: {
    /** Pretraining objective. */
    type: Type
  } & ObjectiveSettings[Type]
}[keyof ObjectiveSettings]
