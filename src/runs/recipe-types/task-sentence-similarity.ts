// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the task sentence-similarity. */
export interface SentenceSimilaritySettings {
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
  /** Column with the first text, such as a question. Default: `text`. */
  text?: string | undefined
  /** Column with the second text, such as the passage that answers it. Default: `pair`. */
  pair?: string | undefined
  /** Column or columns with texts, or lists of texts, that do not belong to the first text. */
  negatives?: string | readonly string[] | undefined
  /** Column with a number that says how alike the texts are (default: all pairs belong together). */
  label?: string | undefined
  /**
   * Multiple-negatives: the second text among those of the batch; symmetric: the first text as well;
   * triplet: each negative farther away than the second text; with `label`, cosent: the order of the
   * pairs, or cosine: labels from -1 to 1 (default: multiple-negatives, with `label` cosent).
   */
  loss?: 'multiple-negatives' | 'symmetric' | 'triplet' | 'cosent' | 'cosine' | undefined
  /** Factor of the cosines in the loss (default: 20). */
  scale?: number | undefined
  /**
   * Triplet: how much farther than the second text a negative should be (default: 5, with the distance
   * cosine 0.5).
   */
  margin?: number | undefined
  /** Triplet: distance of vectors; cosine is 1 - cosine. */
  distance?: 'euclidean' | 'cosine' | undefined
  /** Also train the first N numbers of each vector, for each N of this list, so that vectors can be cut. */
  dimensions?: readonly number[] | undefined
  /** How tokens become a vector (default: as the base has it, or mean). */
  pooling?: 'first' | 'last' | 'mean' | undefined
}
