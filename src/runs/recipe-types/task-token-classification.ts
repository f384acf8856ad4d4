// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the task token-classification. */
export interface TokenClassificationSettings {
  /**
   * Split to read from a folder with several: files with this word, such as train, validation or test, in
   * their name or in that of their folder.
   */
  split?: string | undefined
  /** Unusable records: stop with an error, or skip and count them. Default: `error`. */
  onFault?: 'error' | 'skip' | undefined
  /** Maximum number of records. */
  limit?: number | undefined
  /** CSV and TSV: the first line has the column names. Default: `true`. */
  header?: boolean | undefined
  /**
   * CSV and TSV: read " as quotes around fields, or as literal text; auto: read in CSV, literal in TSV.
   * Default: `auto`.
   */
  quotes?: 'auto' | 'read' | 'literal' | undefined
  /** Format folders: names of the folders to read (default: all). */
  folders?: readonly string[] | undefined
  /** Column with the id of a record (default: its number). */
  id?: string | undefined
  /** Columns to leave out although they look like a pair, a context or a weight. */
  ignoreColumns?: readonly string[] | undefined
  /**
   * File format: conll (one token and its tag per line), or rows with lists of tokens and tags; auto: by
   * the file name. Default: `auto`.
   */
  format?: 'conll' | 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders' | undefined
  /** Column with the list of words. Default: `tokens`. */
  tokens?: string | undefined
  /** Column with the list of tags: names, or their indices in `labels`. Default: `tags`. */
  tags?: string | undefined
  /** Tag names in the order of their indices (default: the tags in the data, sorted). */
  labels?: readonly string[] | undefined
  /**
   * Other names for tags, or for their types, such as neg=negative: the labels of another data set, or
   * fewer classes.
   */
  labelMap?: { readonly [name: string]: string } | undefined
  /**
   * Tagging scheme of the entities: lenient, as CoNLL and seqeval; a strict scheme; or none for
   * independent tags such as parts of speech. Default: `lenient`.
   */
  scheme?: 'lenient' | 'iob1' | 'iob2' | 'ioe1' | 'ioe2' | 'iobes' | 'bilou' | 'none' | undefined
  /** Overlap of consecutive windows of a long sentence, in tokens. Default: `64`. */
  stride?: number | undefined
  /** Class weights of the loss: none, balanced (inverse frequency) or label=weight. Default: `none`. */
  classWeights?: 'none' | 'balanced' | { readonly [name: string]: number } | undefined
  /** Label smoothing: probability mass spread over all tags. Default: `0`. */
  labelSmoothing?: number | undefined
}
