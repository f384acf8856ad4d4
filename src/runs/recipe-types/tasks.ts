// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of `settings`, by `task`. */
export interface TaskSettings {
  'extractive-qa': {
    /**
     * File format; auto: by the file names; folders: one folder per class, also in a tar or zip archive.
     * Default: `auto`.
     */
    format?: 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders'
    /**
     * Split to read from a folder with several: files with this word in their name, such as train,
     * validation or test.
     */
    split?: string
    /** Unusable records: stop with an error, or skip and count them. Default: `error`. */
    onFault?: 'error' | 'skip'
    /** Maximum number of records. */
    limit?: number
    /** CSV and TSV: the first line has the column names. Default: `true`. */
    header?: boolean
    /**
     * CSV and TSV: read " as quotes around fields, or as literal text; auto: read in CSV, literal in TSV.
     * Default: `auto`.
     */
    quotes?: 'auto' | 'read' | 'literal'
    /** Format folders: names of the folders to read (default: all). */
    folders?: readonly string[]
    /** Column with the question's id, for rows. Default: `id`. */
    id?: string
    /** Columns to leave out although they look like a pair, a context or a weight. */
    ignoreColumns?: readonly string[]
    /** Column with the question, for rows. Default: `question`. */
    question?: string
    /** Column with the context of the question, for rows. Default: `context`. */
    context?: string
    /** Column with the answers, for rows: `text` and `answer_start`, single or in lists. Default: `answers`. */
    answers?: string
    /** SQuAD version: in 1.1 every question has an answer, in 2.0 it may have none. Default: `2.0`. */
    version?: '1.1' | '2.0'
    /** Overlap of consecutive windows of a long text, in tokens. Default: `128`. */
    stride?: number
    /** Maximum tokens of a question; longer ones are truncated. Default: `64`. */
    maxQuestionTokens?: number
    /** Maximum tokens of a predicted answer. Default: `30`. */
    maxAnswerTokens?: number
    /** Start and end candidates per window. Default: `20`. */
    nBest?: number
    /** Further answers in each prediction. Default: `0`. */
    alternatives?: number
    /**
     * Version 2.0: predict no answer where its score exceeds that of the best answer by more than this.
     * Default: `0`.
     */
    nullThreshold?: number
    /**
     * Answers that are not at `answer_start`: error, skip the question, keep it for scoring only, or use
     * the nearest occurrence of the text. Default: `error`.
     */
    onMisplaced?: 'error' | 'skip' | 'keep' | 'nearest'
  }
  'generative-qa': {
    /**
     * File format; auto: by the file names; folders: one folder per class, also in a tar or zip archive.
     * Default: `auto`.
     */
    format?: 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders'
    /**
     * Split to read from a folder with several: files with this word in their name, such as train,
     * validation or test.
     */
    split?: string
    /** Unusable records: stop with an error, or skip and count them. Default: `error`. */
    onFault?: 'error' | 'skip'
    /** Maximum number of records. */
    limit?: number
    /** CSV and TSV: the first line has the column names. Default: `true`. */
    header?: boolean
    /**
     * CSV and TSV: read " as quotes around fields, or as literal text; auto: read in CSV, literal in TSV.
     * Default: `auto`.
     */
    quotes?: 'auto' | 'read' | 'literal'
    /** Format folders: names of the folders to read (default: all). */
    folders?: readonly string[]
    /** Column with the id of a record (default: its number). */
    id?: string
    /** Columns to leave out although they look like a pair, a context or a weight. */
    ignoreColumns?: readonly string[]
    /**
     * Data layout: rows with columns, or the XML files of MedQuAD in a folder or an archive. Default:
     * `rows`.
     */
    layout?: 'rows' | 'medquad'
    /** Column with the question. Default: `question`. */
    question?: string
    /** Column with a context for the answer. */
    context?: string
    /** Column with the reference answer, or a list of several. Default: `answer`. */
    answer?: string
    /**
     * Prompt for decoders; {question} and {context} are replaced by the texts (default: context, then
     * question).
     */
    prompt?: string
    /** Prefix of the question for encoder-decoders. Default: `question: `. */
    prefix?: string
    /**
     * Chat template of decoders: chatml, llama3, mistral, alpaca, plain, completion, or Jinja source
     * (default: that of the tokenizer, else plain).
     */
    template?: string
    /** System prompt of conversations without one. */
    system?: string
    /**
     * Assistant turns that the loss includes: all of a conversation, or the last one only. Default:
     * `all-answers`.
     */
    lossOn?: 'all-answers' | 'last-answer'
    /**
     * Examples longer than maxLength: truncate the source text, then the end; drop and count them; split
     * them; or stop with an error. Default: `truncate`.
     */
    tooLong?: 'truncate' | 'drop' | 'split' | 'error'
    /** Maximum tokens of a generated answer. Default: `256`. */
    maxNewTokens?: number
    /** Beams of beam search; 1 is greedy decoding. Default: `1`. */
    numBeams?: number
    /** Repetition penalty: values above 1 make tokens that occurred before less likely. Default: `1`. */
    repetitionPenalty?: number
    /** Forbid n-grams of this size to repeat in an answer (0 disables). Default: `0`. */
    noRepeatNgramSize?: number
    /** Sampling temperature (default: no sampling). */
    temperature?: number
    /** Top-p (nucleus) sampling: cumulative probability of the candidates. Default: `1`. */
    topP?: number
    /** Seed of sampling; an answer depends only on it and on the record's position. Default: `0`. */
    samplingSeed?: number
    /** ROUGE: compare stems of English words. Default: `true`. */
    stemming?: boolean
    /**
     * Metrics of generated answers: rouge1, rouge2, rougeL, rougeLsum, bleu, chrf, chrf++, exactMatch,
     * numericMatch, tokenF1. Default: `["rougeL","tokenF1"]`.
     */
    metrics?: readonly (
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
  }
  instructions: {
    /**
     * File format; auto: by the file names; folders: one folder per class, also in a tar or zip archive.
     * Default: `auto`.
     */
    format?: 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders'
    /**
     * Split to read from a folder with several: files with this word in their name, such as train,
     * validation or test.
     */
    split?: string
    /** Unusable records: stop with an error, or skip and count them. Default: `error`. */
    onFault?: 'error' | 'skip'
    /** Maximum number of records. */
    limit?: number
    /** CSV and TSV: the first line has the column names. Default: `true`. */
    header?: boolean
    /**
     * CSV and TSV: read " as quotes around fields, or as literal text; auto: read in CSV, literal in TSV.
     * Default: `auto`.
     */
    quotes?: 'auto' | 'read' | 'literal'
    /** Format folders: names of the folders to read (default: all). */
    folders?: readonly string[]
    /** Column with the id of a record (default: its number). */
    id?: string
    /** Columns to leave out although they look like a pair, a context or a weight. */
    ignoreColumns?: readonly string[]
    /**
     * Form of a row: columns (instruction and answer), instances of an instruction, messages with roles, or
     * a message tree; auto: by the columns. Default: `auto`.
     */
    form?: 'auto' | 'columns' | 'instances' | 'messages' | 'tree'
    /** Column with the instruction. Default: `instruction`. */
    instruction?: string
    /** Column with the input of the instruction, if there is one. Default: `input`. */
    input?: string
    /**
     * Column with the answer; of several names, the first in the row. Default:
     * `["output","response","answer"]`.
     */
    output?: string | readonly string[]
    /**
     * Column with the messages: role and content, or from and value; of several names, the first in the
     * row. Default: `["messages","conversations","conversation"]`.
     */
    messages?: string | readonly string[]
    /** Column with the instances of an instruction: input and output. Default: `instances`. */
    instances?: string
    /** Column with the root message of a tree. Default: `prompt`. */
    tree?: string
    /**
     * Conversations of a tree: best (follow the best-ranked replies) or all (one for each leaf). Default:
     * `best`.
     */
    paths?: 'best' | 'all'
    /**
     * Chat template of decoders: chatml, llama3, mistral, alpaca, plain, completion, or Jinja source
     * (default: that of the tokenizer, else plain).
     */
    template?: string
    /** System prompt of conversations without one. */
    system?: string
    /**
     * Assistant turns that the loss includes: all of a conversation, or the last one only. Default:
     * `all-answers`.
     */
    lossOn?: 'all-answers' | 'last-answer'
    /**
     * Examples longer than maxLength: truncate the source text, then the end; drop and count them; split
     * them; or stop with an error. Default: `truncate`.
     */
    tooLong?: 'truncate' | 'drop' | 'split' | 'error'
    /** Maximum tokens of a generated answer. Default: `256`. */
    maxNewTokens?: number
    /** Beams of beam search; 1 is greedy decoding. Default: `1`. */
    numBeams?: number
    /** Repetition penalty: values above 1 make tokens that occurred before less likely. Default: `1`. */
    repetitionPenalty?: number
    /** Forbid n-grams of this size to repeat in an answer (0 disables). Default: `0`. */
    noRepeatNgramSize?: number
    /** Sampling temperature (default: no sampling). */
    temperature?: number
    /** Top-p (nucleus) sampling: cumulative probability of the candidates. Default: `1`. */
    topP?: number
    /** Seed of sampling; an answer depends only on it and on the record's position. Default: `0`. */
    samplingSeed?: number
    /** ROUGE: compare stems of English words. Default: `true`. */
    stemming?: boolean
    /**
     * Metrics of generated answers: rouge1, rouge2, rougeL, rougeLsum, bleu, chrf, chrf++, exactMatch,
     * numericMatch, tokenF1. Default: `["rougeL"]`.
     */
    metrics?: readonly (
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
  }
  'multiple-choice': {
    /**
     * File format; auto: by the file names; folders: one folder per class, also in a tar or zip archive.
     * Default: `auto`.
     */
    format?: 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders'
    /**
     * Split to read from a folder with several: files with this word in their name, such as train,
     * validation or test.
     */
    split?: string
    /** Unusable records: stop with an error, or skip and count them. Default: `error`. */
    onFault?: 'error' | 'skip'
    /** Maximum number of records. */
    limit?: number
    /** CSV and TSV: the first line has the column names. Default: `true`. */
    header?: boolean
    /**
     * CSV and TSV: read " as quotes around fields, or as literal text; auto: read in CSV, literal in TSV.
     * Default: `auto`.
     */
    quotes?: 'auto' | 'read' | 'literal'
    /** Format folders: names of the folders to read (default: all). */
    folders?: readonly string[]
    /** Column with the id of a record (default: its number). */
    id?: string
    /** Columns to leave out although they look like a pair, a context or a weight. */
    ignoreColumns?: readonly string[]
    /** Column with the text that the choices belong to. Default: `text`. */
    text?: string
    /** Column with the list of choices, or one column per choice. Default: `choices`. */
    choices?: string | readonly string[]
    /** Column with the right choice: its index from 0, a letter from A, or its text. Default: `label`. */
    label?: string
  }
  regression: {
    /**
     * File format; auto: by the file names; folders: one folder per class, also in a tar or zip archive.
     * Default: `auto`.
     */
    format?: 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders'
    /**
     * Split to read from a folder with several: files with this word in their name, such as train,
     * validation or test.
     */
    split?: string
    /** Unusable records: stop with an error, or skip and count them. Default: `error`. */
    onFault?: 'error' | 'skip'
    /** Maximum number of records. */
    limit?: number
    /** CSV and TSV: the first line has the column names. Default: `true`. */
    header?: boolean
    /**
     * CSV and TSV: read " as quotes around fields, or as literal text; auto: read in CSV, literal in TSV.
     * Default: `auto`.
     */
    quotes?: 'auto' | 'read' | 'literal'
    /** Format folders: names of the folders to read (default: all). */
    folders?: readonly string[]
    /** Column with the id of a record (default: its number). */
    id?: string
    /** Columns to leave out although they look like a pair, a context or a weight. */
    ignoreColumns?: readonly string[]
    /** Column with the text. Default: `text`. */
    text?: string
    /** Column with the second text, for pairs of texts. */
    pair?: string
    /** Column with the number. Default: `label`. */
    label?: string
  }
  'sequence-classification': {
    /**
     * File format; auto: by the file names; folders: one folder per class, also in a tar or zip archive.
     * Default: `auto`.
     */
    format?: 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders'
    /**
     * Split to read from a folder with several: files with this word in their name, such as train,
     * validation or test.
     */
    split?: string
    /** Unusable records: stop with an error, or skip and count them. Default: `error`. */
    onFault?: 'error' | 'skip'
    /** Maximum number of records. */
    limit?: number
    /** CSV and TSV: the first line has the column names. Default: `true`. */
    header?: boolean
    /**
     * CSV and TSV: read " as quotes around fields, or as literal text; auto: read in CSV, literal in TSV.
     * Default: `auto`.
     */
    quotes?: 'auto' | 'read' | 'literal'
    /** Format folders: names of the folders to read (default: all). */
    folders?: readonly string[]
    /** Column with the id of a record (default: its number). */
    id?: string
    /** Columns to leave out although they look like a pair, a context or a weight. */
    ignoreColumns?: readonly string[]
    /** Column with the text. Default: `text`. */
    text?: string
    /** Column with the second text, for pairs of texts. */
    pair?: string
    /** Column with the label: a name, or its index in `labels`. Default: `label`. */
    label?: string
    /** Class names in the order of their indices (default: the labels in the data, sorted). */
    labels?: readonly string[]
    /** Any number of labels per record: a list, or a text with commas. Default: `false`. */
    multiLabel?: boolean
    /** Multi-label: one column of 0 and 1 per label, instead of `label`. */
    labelColumns?: readonly string[]
    /** Multi-label: minimum probability of a predicted label. Default: `0.5`. */
    threshold?: number
    /** Class whose precision, recall and F1 are reported. */
    positive?: string
    /** Class weights of the loss: none, balanced (inverse frequency) or label=weight. Default: `none`. */
    classWeights?: 'none' | 'balanced' | { readonly [name: string]: number }
    /** Label smoothing: probability mass spread over all classes. Default: `0`. */
    labelSmoothing?: number
  }
  summarization: {
    /**
     * File format; auto: by the file names; folders: one folder per class, also in a tar or zip archive.
     * Default: `auto`.
     */
    format?: 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders'
    /**
     * Split to read from a folder with several: files with this word in their name, such as train,
     * validation or test.
     */
    split?: string
    /** Unusable records: stop with an error, or skip and count them. Default: `error`. */
    onFault?: 'error' | 'skip'
    /** Maximum number of records. */
    limit?: number
    /** CSV and TSV: the first line has the column names. Default: `true`. */
    header?: boolean
    /**
     * CSV and TSV: read " as quotes around fields, or as literal text; auto: read in CSV, literal in TSV.
     * Default: `auto`.
     */
    quotes?: 'auto' | 'read' | 'literal'
    /** Format folders: names of the folders to read (default: all). */
    folders?: readonly string[]
    /** Column with the id of a record (default: its number). */
    id?: string
    /** Columns to leave out although they look like a pair, a context or a weight. */
    ignoreColumns?: readonly string[]
    /** Data layout: rows with columns, the folders of Opinosis, or the meetings of QMSum. Default: `rows`. */
    layout?: 'rows' | 'opinosis' | 'meetings'
    /** Column with the text to summarise. Default: `text`. */
    text?: string
    /** Column with the reference summary, or a list of several. Default: `summary`. */
    summary?: string
    /**
     * Prompt for decoders; {text} is replaced by the text, {query} by the query of data sets with queries.
     * Default: `Summarize the following text. {text}`.
     */
    prompt?: string
    /** Prefix of the text for encoder-decoders. Default: `summarize: `. */
    prefix?: string
    /**
     * Chat template of decoders: chatml, llama3, mistral, alpaca, plain, completion, or Jinja source
     * (default: that of the tokenizer, else plain).
     */
    template?: string
    /** System prompt of conversations without one. */
    system?: string
    /**
     * Assistant turns that the loss includes: all of a conversation, or the last one only. Default:
     * `all-answers`.
     */
    lossOn?: 'all-answers' | 'last-answer'
    /**
     * Examples longer than maxLength: truncate the source text, then the end; drop and count them; split
     * them; or stop with an error. Default: `truncate`.
     */
    tooLong?: 'truncate' | 'drop' | 'split' | 'error'
    /** Maximum tokens of a generated answer. Default: `256`. */
    maxNewTokens?: number
    /** Beams of beam search; 1 is greedy decoding. Default: `1`. */
    numBeams?: number
    /** Repetition penalty: values above 1 make tokens that occurred before less likely. Default: `1`. */
    repetitionPenalty?: number
    /** Forbid n-grams of this size to repeat in an answer (0 disables). Default: `0`. */
    noRepeatNgramSize?: number
    /** Sampling temperature (default: no sampling). */
    temperature?: number
    /** Top-p (nucleus) sampling: cumulative probability of the candidates. Default: `1`. */
    topP?: number
    /** Seed of sampling; an answer depends only on it and on the record's position. Default: `0`. */
    samplingSeed?: number
    /** ROUGE: compare stems of English words. Default: `true`. */
    stemming?: boolean
    /**
     * Metrics of generated answers: rouge1, rouge2, rougeL, rougeLsum, bleu, chrf, chrf++, exactMatch,
     * numericMatch, tokenF1. Default: `["rouge1","rouge2","rougeL","rougeLsum"]`.
     */
    metrics?: readonly (
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
  }
  'token-classification': {
    /**
     * Split to read from a folder with several: files with this word in their name, such as train,
     * validation or test.
     */
    split?: string
    /** Unusable records: stop with an error, or skip and count them. Default: `error`. */
    onFault?: 'error' | 'skip'
    /** Maximum number of records. */
    limit?: number
    /** CSV and TSV: the first line has the column names. Default: `true`. */
    header?: boolean
    /**
     * CSV and TSV: read " as quotes around fields, or as literal text; auto: read in CSV, literal in TSV.
     * Default: `auto`.
     */
    quotes?: 'auto' | 'read' | 'literal'
    /** Format folders: names of the folders to read (default: all). */
    folders?: readonly string[]
    /** Column with the id of a record (default: its number). */
    id?: string
    /** Columns to leave out although they look like a pair, a context or a weight. */
    ignoreColumns?: readonly string[]
    /**
     * File format: conll (one token and its tag per line), or rows with lists of tokens and tags; auto: by
     * the file name. Default: `auto`.
     */
    format?: 'conll' | 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders'
    /** Column with the list of words. Default: `tokens`. */
    tokens?: string
    /** Column with the list of tags: names, or their indices in `labels`. Default: `tags`. */
    tags?: string
    /** Tag names in the order of their indices (default: the tags in the data, sorted). */
    labels?: readonly string[]
    /**
     * Tagging scheme of the entities: lenient, as CoNLL and seqeval; a strict scheme; or none for
     * independent tags such as parts of speech. Default: `lenient`.
     */
    scheme?: 'lenient' | 'iob1' | 'iob2' | 'ioe1' | 'ioe2' | 'iobes' | 'bilou' | 'none'
    /** Overlap of consecutive windows of a long sentence, in tokens. Default: `64`. */
    stride?: number
    /** Class weights of the loss: none, balanced (inverse frequency) or label=weight. Default: `none`. */
    classWeights?: 'none' | 'balanced' | { readonly [name: string]: number }
    /** Label smoothing: probability mass spread over all tags. Default: `0`. */
    labelSmoothing?: number
  }
}

/** A task with its settings. */
export type TaskChoice = {
  [Task in keyof TaskSettings]: {
    /** Task to learn. */
    task: Task
    /** Settings of the task: columns, labels, class weights …. */
    settings?: TaskSettings[Task]
  }
}[keyof TaskSettings]
