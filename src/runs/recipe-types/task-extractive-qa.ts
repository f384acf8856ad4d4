// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the task extractive-qa. */
export interface ExtractiveQaSettings {
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
  /** Column with the question's id, for rows. Default: `id`. */
  id?: string | undefined
  /** Columns to leave out although they look like a pair, a context or a weight. */
  ignoreColumns?: readonly string[] | undefined
  /** Column with the question, for rows. Default: `question`. */
  question?: string | undefined
  /** Column with the context of the question, for rows. Default: `context`. */
  context?: string | undefined
  /** Column with the answers, for rows: `text` and `answer_start`, single or in lists. Default: `answers`. */
  answers?: string | undefined
  /** SQuAD version: in 1.1 every question has an answer, in 2.0 it may have none. Default: `2.0`. */
  version?: '1.1' | '2.0' | undefined
  /**
   * Overlap of consecutive windows of a long text, in tokens (default: 128, at most half of the tokens
   * next to the question).
   */
  stride?: number | undefined
  /** Maximum tokens of a question; longer ones are truncated. Default: `64`. */
  maxQuestionTokens?: number | undefined
  /** Maximum tokens of a predicted answer. Default: `30`. */
  maxAnswerTokens?: number | undefined
  /** Start and end candidates per window. Default: `20`. */
  nBest?: number | undefined
  /** Further answers in each prediction. Default: `0`. */
  alternatives?: number | undefined
  /**
   * Version 2.0: predict no answer where its score exceeds that of the best answer by more than this.
   * Default: `0`.
   */
  nullThreshold?: number | undefined
  /**
   * Answers that are not at `answer_start`: error, skip the question, keep it for scoring only, or use
   * the nearest occurrence of the text. Default: `error`.
   */
  onMisplaced?: 'error' | 'skip' | 'keep' | 'nearest' | undefined
}
