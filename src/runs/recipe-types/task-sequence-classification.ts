// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the task sequence-classification. */
export interface SequenceClassificationSettings {
  /**
   * File format; auto: by the file names; folders: one folder per class, also in a tar or zip archive.
   * Default: `auto`.
   */
  format?: 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders' | undefined
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
  /**
   * Column whose rows with the same value stay together when data is split, such as an author or a
   * patient.
   */
  group?: string | undefined
  /** Columns to leave out although they look like a pair, a context or a weight. */
  ignoreColumns?: readonly string[] | undefined
  /** Column with the text. Default: `text`. */
  text?: string | undefined
  /** Column with the second text, for pairs of texts. */
  pair?: string | undefined
  /** Column with the label: a name, or its index in `labels`. Default: `label`. */
  label?: string | undefined
  /** Class names in the order of their indices (default: the labels in the data, sorted). */
  labels?: readonly string[] | undefined
  /** Other names for labels, such as neg=negative: the labels of another data set, or fewer classes. */
  labelMap?: { readonly [name: string]: string } | undefined
  /** Any number of labels per record: a list, or a text with commas. Default: `false`. */
  multiLabel?: boolean | undefined
  /** Multi-label: one column of 0 and 1 per label, instead of `label`. */
  labelColumns?: readonly string[] | undefined
  /** Multi-label: minimum probability of a predicted label. Default: `0.5`. */
  threshold?: number | undefined
  /** Multi-label: minimum probability by label (default: threshold). */
  thresholds?: { readonly [name: string]: number } | undefined
  /** Divides the logits before probabilities: above 1 lowers the confidence. Default: `1`. */
  temperature?: number | undefined
  /** Parts to fit on the validation records after training: temperature, and thresholds with multiLabel. */
  fit?: readonly ('temperature' | 'thresholds')[] | undefined
  /** Class whose precision, recall and F1 are reported. */
  positive?: string | undefined
  /** Class weights of the loss: none, balanced (inverse frequency) or label=weight. Default: `none`. */
  classWeights?: 'none' | 'balanced' | { readonly [name: string]: number } | undefined
  /** Label smoothing: probability mass spread over all classes. Default: `0`. */
  labelSmoothing?: number | undefined
  /**
   * Focal loss: multiply each loss by (1 - p)^gamma, so that easy examples count less; 2 is usual.
   * Default: `0`.
   */
  focalGamma?: number | undefined
  /**
   * R-Drop: weight of the divergence between two passes with different dropout (twice the compute).
   * Default: `0`.
   */
  rDrop?: number | undefined
}
