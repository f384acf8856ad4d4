// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the task reward. */
export interface RewardSettings {
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
  /**
   * Column with the prompt: text or messages; of several names, the first in the row. Default:
   * `["prompt","question","instruction","query"]`.
   */
  prompt?: string | readonly string[] | undefined
  /**
   * Column with the messages: role and content, or from and value; of several names, the first in the
   * row. Default: `["messages","conversations","conversation"]`.
   */
  messages?: string | readonly string[] | undefined
  /**
   * Columns of text: raw (the completion continues the prompt) or turns (question and answer, through the
   * chat template); auto: by the form of the data. Default: `auto`.
   */
  texts?: 'auto' | 'raw' | 'turns' | undefined
  /**
   * Maximum share of records without anything to learn (ties, identical, empty, contradicting or
   * truncated answers) before the run stops with an error. Default: `0.1`.
   */
  maxSkipped?: number | undefined
  /** Column with the better answer: text, a message, or messages. Default: `chosen`. */
  chosen?: string | undefined
  /** Column with the worse answer: text, a message, or messages. Default: `rejected`. */
  rejected?: string | undefined
  /**
   * Column with how much better the chosen answer is, if there is one: the loss requires this margin.
   * Default: `margin`.
   */
  margin?: string | undefined
  /**
   * Column with a list of answers: texts, or objects with text and score; of several names, the first in
   * the row. Default: `["answers","completions","responses"]`.
   */
  answers?: string | readonly string[] | undefined
  /**
   * Column with the scores of the answers; higher is better (default: in the answers themselves).
   * Default: `scores`.
   */
  scores?: string | undefined
  /** Column with the ranks of the answers; lower is better. Default: `ranks`. */
  ranks?: string | undefined
  /** Column with the root message of a tree, whose replies have ranks. Default: `prompt`. */
  tree?: string | undefined
  /**
   * Column with the rated answer; of several names, the first in the row. Default:
   * `["completion","response","answer","output"]`.
   */
  completion?: string | readonly string[] | undefined
  /** Column with the rating: true or 1 for a good answer, false or 0 for a bad one. Default: `label`. */
  label?: string | undefined
  /**
   * Form of a row: pairs (chosen and rejected), dialogues (whole ones, as in hh-rlhf), scores (a list of
   * answers), a message tree, ratings (an answer with a label), or steps (each with a label); auto: by
   * the columns. Default: `auto`.
   */
  form?: 'auto' | 'steps' | 'ratings' | 'tree' | 'scores' | 'dialogues' | 'pairs' | undefined
  /** Column with a label for each step, true or false. Default: `labels`. */
  stepLabels?: string | undefined
  /** Text between the steps of an answer. Default: ` `. */
  separator?: string | undefined
  /** Column with a category, whose accuracy is reported on its own. */
  category?: string | undefined
  /** Chat template of decoders: a preset or Jinja source (default: that of the tokenizer, else plain). */
  template?: string | undefined
  /** System prompt of conversations without one. */
  system?: string | undefined
  /**
   * Prompts and answers longer than maxLength: truncate the start of prompts and the end of answers, drop
   * and count them, or stop with an error. Default: `truncate`.
   */
  tooLong?: 'truncate' | 'drop' | 'error' | undefined
  /** Maximum tokens of a prompt (default: maxLength). */
  maxPromptLength?: number | undefined
  /**
   * Weight of the squared sum of both scores of a pair, which keeps scores around 0; 0.01 is usual.
   * Default: `0`.
   */
  centering?: number | undefined
}
