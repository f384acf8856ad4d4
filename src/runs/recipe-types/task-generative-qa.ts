// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the task generative-qa. */
export interface GenerativeQaSettings {
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
   * Data layout: rows with columns, or the XML files of MedQuAD in a folder or an archive. Default:
   * `rows`.
   */
  layout?: 'rows' | 'medquad' | undefined
  /** Column with the question. Default: `question`. */
  question?: string | undefined
  /** Column with a context for the answer. */
  context?: string | undefined
  /** Column with the reference answer, or a list of several. Default: `answer`. */
  answer?: string | undefined
  /**
   * Prompt for decoders; {question} and {context} are replaced by the texts (default: context, then
   * question).
   */
  prompt?: string | undefined
  /** Prefix of the question for encoder-decoders. Default: `question: `. */
  prefix?: string | undefined
  /**
   * Chat template of decoders: chatml, llama3, mistral, alpaca, plain, completion, or Jinja source
   * (default: that of the tokenizer, else plain).
   */
  template?: string | undefined
  /** System prompt of conversations without one. */
  system?: string | undefined
  /**
   * Assistant turns that the loss includes: all of a conversation, or the last one only. Default:
   * `all-answers`.
   */
  lossOn?: 'all-answers' | 'last-answer' | undefined
  /**
   * Examples longer than maxLength: truncate the source text, with a prompt of a quarter of maxLength
   * left, then the end; drop and count them; split them; or stop with an error. Default: `truncate`.
   */
  tooLong?: 'truncate' | 'drop' | 'split' | 'error' | undefined
  /** Label smoothing: probability mass spread over the vocabulary in training; 0.1 is usual. Default: `0`. */
  labelSmoothing?: number | undefined
  /**
   * Maximum tokens of a generated answer (default: 256, or half of the model's positions if that is
   * less).
   */
  maxNewTokens?: number | undefined
  /** Beams of beam search; 1 is greedy decoding. Default: `1`. */
  numBeams?: number | undefined
  /** Repetition penalty: values above 1 make tokens that occurred before less likely. Default: `1`. */
  repetitionPenalty?: number | undefined
  /** Forbid n-grams of this size to repeat in an answer (0 disables). Default: `0`. */
  noRepeatNgramSize?: number | undefined
  /** Sampling temperature (default: no sampling). */
  temperature?: number | undefined
  /** Top-p (nucleus) sampling: cumulative probability of the candidates. Default: `1`. */
  topP?: number | undefined
  /** Seed of sampling; an answer depends only on it and on the record's position. Default: `0`. */
  samplingSeed?: number | undefined
  /** ROUGE: compare stems of English words. Default: `true`. */
  stemming?: boolean | undefined
  /**
   * Metrics of generated answers: rouge1, rouge2, rougeL, rougeLsum, bleu, chrf, chrf++, exactMatch,
   * numericMatch, tokenF1. Default: `["rougeL","tokenF1"]`.
   */
  metrics?:
    | readonly (
        | 'rouge1'
        | 'rouge2'
        | 'rougeL'
        | 'rougeLsum'
        | 'bleu'
        | 'chrf'
        | 'chrf++'
        | 'exactMatch'
        | 'numericMatch'
        | 'tokenF1'
      )[]
    | undefined
}
