// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of `settings`, by `task`. */
export interface TaskSettings {
  'extractive-qa': {
    /**
     * Of the files: auto goes by their names; folders: a folder for each class, also in a tar or zip
     * archive. Default: `auto`.
     */
    format?: 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders'
    /** Of a folder with several: reads the files with this in their name, such as train, validation or test. */
    split?: string
    /** What to do with a record that cannot be used: stop, or pass it over and count it. Default: `error`. */
    onFault?: 'error' | 'skip'
    /** Read no more than this many records. */
    limit?: number
    /** Separated values: whether the first line names the columns. Default: `true`. */
    header?: boolean
    /** Separated values: whether " quotes a field; auto: with commas, not with tabs. Default: `auto`. */
    quotes?: 'auto' | 'read' | 'literal'
    /** Folders: names of those to read; all unless given. */
    folders?: readonly string[]
    /** Rows: column with the question's id. Default: `id`. */
    id?: string
    /** Rows: column with the question. Default: `question`. */
    question?: string
    /** Rows: column with the text that it is about. Default: `context`. */
    context?: string
    /** Rows: column with the answers: `text` and `answer_start`, each or in lists. Default: `answers`. */
    answers?: string
    /** SQuAD's rules: in 1.1 every question has an answer, in 2.0 it may have none. Default: `2.0`. */
    version?: '1.1' | '2.0'
    /** Tokens that two windows of a long text share. Default: `128`. */
    stride?: number
    /** Longer questions are cut. Default: `64`. */
    maxQuestionTokens?: number
    /** Longer answers are not considered. Default: `30`. */
    maxAnswerTokens?: number
    /** First and last tokens that are considered in each window. Default: `20`. */
    nBest?: number
    /** Answers that predictions show besides the best. Default: `0`. */
    alternatives?: number
    /**
     * 2.0: no answer is given where its score is higher than that of the best answer by more than this.
     * Default: `0`.
     */
    nullThreshold?: number
    /**
     * What to do with answers that do not stand where the data says: stop, pass the question over, keep it
     * for scoring only, or take the nearest place where the text stands, if any. Default: `error`.
     */
    onMisplaced?: 'error' | 'skip' | 'keep' | 'nearest'
  }
  'generative-qa': {
    /**
     * Of the files: auto goes by their names; folders: a folder for each class, also in a tar or zip
     * archive. Default: `auto`.
     */
    format?: 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders'
    /** Of a folder with several: reads the files with this in their name, such as train, validation or test. */
    split?: string
    /** What to do with a record that cannot be used: stop, or pass it over and count it. Default: `error`. */
    onFault?: 'error' | 'skip'
    /** Read no more than this many records. */
    limit?: number
    /** Separated values: whether the first line names the columns. Default: `true`. */
    header?: boolean
    /** Separated values: whether " quotes a field; auto: with commas, not with tabs. Default: `auto`. */
    quotes?: 'auto' | 'read' | 'literal'
    /** Folders: names of those to read; all unless given. */
    folders?: readonly string[]
    /** Column with the name of a record; its number unless given. */
    id?: string
    /**
     * Of the data: rows with columns, or the XML files of MedQuAD in a folder or an archive. Default:
     * `rows`.
     */
    layout?: 'rows' | 'medquad'
    /** Column with the question. Default: `question`. */
    question?: string
    /** Column with a text that the answer is in. */
    context?: string
    /** Column with the answer, or with a list of several. Default: `answer`. */
    answer?: string
    /**
     * What decoders are asked; {question} and {context} stand for the texts; the question alone unless
     * given.
     */
    prompt?: string
    /** What stands before the question for encoders with a decoder. Default: `question: `. */
    prefix?: string
    /**
     * How decoders see conversations: chatml, llama3, mistral, alpaca, plain, completion, or Jinja source;
     * the tokenizer's own unless given, else plain.
     */
    template?: string
    /** What the model is told before each conversation that does not say it itself. */
    system?: string
    /** Answers of a conversation that are learnt: every one, or the last alone. Default: `every`. */
    learn?: 'every' | 'last'
    /**
     * An example longer than maxLength: cut its source, then its end; drop it and count it; split it into
     * several; or stop. Default: `cut`.
     */
    tooLong?: 'cut' | 'drop' | 'split' | 'error'
    /** Most tokens of an answer that the model writes. Default: `256`. */
    maxNewTokens?: number
    /** Answers followed side by side; 1 takes the likeliest token each time. Default: `1`. */
    numBeams?: number
    /** Above 1 makes tokens that were there less likely. Default: `1`. */
    repetitionPenalty?: number
    /** No run of this many tokens comes twice in an answer; 0 is off. Default: `0`. */
    uniqueNgramSize?: number
    /** Draw tokens at this temperature; the likeliest are taken unless given. */
    temperature?: number
    /** Draw from the likeliest tokens that together reach this. Default: `1`. */
    topP?: number
    /** Of the draws: an answer depends on it and on the record's place alone. Default: `0`. */
    drawSeed?: number
    /** ROUGE compares English words without their endings. Default: `true`. */
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
     * Of the files: auto goes by their names; folders: a folder for each class, also in a tar or zip
     * archive. Default: `auto`.
     */
    format?: 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders'
    /** Of a folder with several: reads the files with this in their name, such as train, validation or test. */
    split?: string
    /** What to do with a record that cannot be used: stop, or pass it over and count it. Default: `error`. */
    onFault?: 'error' | 'skip'
    /** Read no more than this many records. */
    limit?: number
    /** Separated values: whether the first line names the columns. Default: `true`. */
    header?: boolean
    /** Separated values: whether " quotes a field; auto: with commas, not with tabs. Default: `auto`. */
    quotes?: 'auto' | 'read' | 'literal'
    /** Folders: names of those to read; all unless given. */
    folders?: readonly string[]
    /** Column with the name of a record; its number unless given. */
    id?: string
    /**
     * Of a row: an instruction and its answer in columns, several instances of one, messages with roles, or
     * a tree of them. Default: `auto`.
     */
    form?: 'auto' | 'columns' | 'instances' | 'messages' | 'tree'
    /** Column with what is asked. Default: `instruction`. */
    instruction?: string
    /** Column with what it is asked of, where a row has one. Default: `input`. */
    input?: string
    /**
     * Column with the answer; of several, the first that is there. Default:
     * `["output","response","answer"]`.
     */
    output?: string | readonly string[]
    /**
     * Column with the messages: role and content, or from and value; of several, the first that is there.
     * Default: `["messages","conversations","conversation"]`.
     */
    messages?: string | readonly string[]
    /** Column with instances of an instruction: input and output. Default: `instances`. */
    instances?: string
    /** Column with the first message of a tree. Default: `prompt`. */
    tree?: string
    /**
     * Of a tree: one conversation by the replies that people ranked best, or one to each of its ends.
     * Default: `best`.
     */
    paths?: 'best' | 'all'
    /**
     * How decoders see conversations: chatml, llama3, mistral, alpaca, plain, completion, or Jinja source;
     * the tokenizer's own unless given, else plain.
     */
    template?: string
    /** What the model is told before each conversation that does not say it itself. */
    system?: string
    /** Answers of a conversation that are learnt: every one, or the last alone. Default: `every`. */
    learn?: 'every' | 'last'
    /**
     * An example longer than maxLength: cut its source, then its end; drop it and count it; split it into
     * several; or stop. Default: `cut`.
     */
    tooLong?: 'cut' | 'drop' | 'split' | 'error'
    /** Most tokens of an answer that the model writes. Default: `256`. */
    maxNewTokens?: number
    /** Answers followed side by side; 1 takes the likeliest token each time. Default: `1`. */
    numBeams?: number
    /** Above 1 makes tokens that were there less likely. Default: `1`. */
    repetitionPenalty?: number
    /** No run of this many tokens comes twice in an answer; 0 is off. Default: `0`. */
    uniqueNgramSize?: number
    /** Draw tokens at this temperature; the likeliest are taken unless given. */
    temperature?: number
    /** Draw from the likeliest tokens that together reach this. Default: `1`. */
    topP?: number
    /** Of the draws: an answer depends on it and on the record's place alone. Default: `0`. */
    drawSeed?: number
    /** ROUGE compares English words without their endings. Default: `true`. */
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
     * Of the files: auto goes by their names; folders: a folder for each class, also in a tar or zip
     * archive. Default: `auto`.
     */
    format?: 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders'
    /** Of a folder with several: reads the files with this in their name, such as train, validation or test. */
    split?: string
    /** What to do with a record that cannot be used: stop, or pass it over and count it. Default: `error`. */
    onFault?: 'error' | 'skip'
    /** Read no more than this many records. */
    limit?: number
    /** Separated values: whether the first line names the columns. Default: `true`. */
    header?: boolean
    /** Separated values: whether " quotes a field; auto: with commas, not with tabs. Default: `auto`. */
    quotes?: 'auto' | 'read' | 'literal'
    /** Folders: names of those to read; all unless given. */
    folders?: readonly string[]
    /** Column with the name of a record; its number unless given. */
    id?: string
    /** Column with the text that the choices go with. Default: `text`. */
    text?: string
    /** Column with the list of choices, or a column for each. Default: `choices`. */
    choices?: string | readonly string[]
    /** Column with the right choice: its number from 0, a letter from A, or its text. Default: `label`. */
    label?: string
  }
  regression: {
    /**
     * Of the files: auto goes by their names; folders: a folder for each class, also in a tar or zip
     * archive. Default: `auto`.
     */
    format?: 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders'
    /** Of a folder with several: reads the files with this in their name, such as train, validation or test. */
    split?: string
    /** What to do with a record that cannot be used: stop, or pass it over and count it. Default: `error`. */
    onFault?: 'error' | 'skip'
    /** Read no more than this many records. */
    limit?: number
    /** Separated values: whether the first line names the columns. Default: `true`. */
    header?: boolean
    /** Separated values: whether " quotes a field; auto: with commas, not with tabs. Default: `auto`. */
    quotes?: 'auto' | 'read' | 'literal'
    /** Folders: names of those to read; all unless given. */
    folders?: readonly string[]
    /** Column with the name of a record; its number unless given. */
    id?: string
    /** Column with the text. Default: `text`. */
    text?: string
    /** Column with a second text, where a record is about two. */
    pair?: string
    /** Column with the number. Default: `label`. */
    label?: string
  }
  'sequence-classification': {
    /**
     * Of the files: auto goes by their names; folders: a folder for each class, also in a tar or zip
     * archive. Default: `auto`.
     */
    format?: 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders'
    /** Of a folder with several: reads the files with this in their name, such as train, validation or test. */
    split?: string
    /** What to do with a record that cannot be used: stop, or pass it over and count it. Default: `error`. */
    onFault?: 'error' | 'skip'
    /** Read no more than this many records. */
    limit?: number
    /** Separated values: whether the first line names the columns. Default: `true`. */
    header?: boolean
    /** Separated values: whether " quotes a field; auto: with commas, not with tabs. Default: `auto`. */
    quotes?: 'auto' | 'read' | 'literal'
    /** Folders: names of those to read; all unless given. */
    folders?: readonly string[]
    /** Column with the name of a record; its number unless given. */
    id?: string
    /** Column with the text. Default: `text`. */
    text?: string
    /** Column with a second text, where a record is about two. */
    pair?: string
    /** Column with the label: a name, or its number among `labels`. Default: `label`. */
    label?: string
    /** Names of the classes, in the order of their numbers; those of the data unless given. */
    labels?: readonly string[]
    /** A record may have any number of labels: a list, or a text with commas between them. Default: `false`. */
    multiLabel?: boolean
    /** Several labels: a column of 0 and 1 for each, in place of `label`. */
    labelColumns?: readonly string[]
    /** Several labels: the probability from which a label is said. Default: `0.5`. */
    threshold?: number
    /** The class whose own precision, recall and F1 are reported. */
    positive?: string
    /** Class weights of the loss: none, balanced (inverse frequency) or label=weight. Default: `none`. */
    classWeights?: 'none' | 'balanced' | { readonly [name: string]: number }
    /** Share of each answer that is spread over all classes. Default: `0`. */
    labelSmoothing?: number
  }
  summarization: {
    /**
     * Of the files: auto goes by their names; folders: a folder for each class, also in a tar or zip
     * archive. Default: `auto`.
     */
    format?: 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders'
    /** Of a folder with several: reads the files with this in their name, such as train, validation or test. */
    split?: string
    /** What to do with a record that cannot be used: stop, or pass it over and count it. Default: `error`. */
    onFault?: 'error' | 'skip'
    /** Read no more than this many records. */
    limit?: number
    /** Separated values: whether the first line names the columns. Default: `true`. */
    header?: boolean
    /** Separated values: whether " quotes a field; auto: with commas, not with tabs. Default: `auto`. */
    quotes?: 'auto' | 'read' | 'literal'
    /** Folders: names of those to read; all unless given. */
    folders?: readonly string[]
    /** Column with the name of a record; its number unless given. */
    id?: string
    /** Of the data: rows with columns, the folders of Opinosis, or the meetings of QMSum. Default: `rows`. */
    layout?: 'rows' | 'opinosis' | 'meetings'
    /** Column with what is summarised. Default: `text`. */
    text?: string
    /** Column with the summary, or with a list of several. Default: `summary`. */
    summary?: string
    /**
     * What decoders are asked; {text} stands for the text, {query} for what is asked of it, where data has
     * that. Default: `Summarize the following text. {text}`.
     */
    prompt?: string
    /** What stands before the text for encoders with a decoder. Default: `summarize: `. */
    prefix?: string
    /**
     * How decoders see conversations: chatml, llama3, mistral, alpaca, plain, completion, or Jinja source;
     * the tokenizer's own unless given, else plain.
     */
    template?: string
    /** What the model is told before each conversation that does not say it itself. */
    system?: string
    /** Answers of a conversation that are learnt: every one, or the last alone. Default: `every`. */
    learn?: 'every' | 'last'
    /**
     * An example longer than maxLength: cut its source, then its end; drop it and count it; split it into
     * several; or stop. Default: `cut`.
     */
    tooLong?: 'cut' | 'drop' | 'split' | 'error'
    /** Most tokens of an answer that the model writes. Default: `256`. */
    maxNewTokens?: number
    /** Answers followed side by side; 1 takes the likeliest token each time. Default: `1`. */
    numBeams?: number
    /** Above 1 makes tokens that were there less likely. Default: `1`. */
    repetitionPenalty?: number
    /** No run of this many tokens comes twice in an answer; 0 is off. Default: `0`. */
    uniqueNgramSize?: number
    /** Draw tokens at this temperature; the likeliest are taken unless given. */
    temperature?: number
    /** Draw from the likeliest tokens that together reach this. Default: `1`. */
    topP?: number
    /** Of the draws: an answer depends on it and on the record's place alone. Default: `0`. */
    drawSeed?: number
    /** ROUGE compares English words without their endings. Default: `true`. */
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
    /** Of a folder with several: reads the files with this in their name, such as train, validation or test. */
    split?: string
    /** What to do with a record that cannot be used: stop, or pass it over and count it. Default: `error`. */
    onFault?: 'error' | 'skip'
    /** Read no more than this many records. */
    limit?: number
    /** Separated values: whether the first line names the columns. Default: `true`. */
    header?: boolean
    /** Separated values: whether " quotes a field; auto: with commas, not with tabs. Default: `auto`. */
    quotes?: 'auto' | 'read' | 'literal'
    /** Folders: names of those to read; all unless given. */
    folders?: readonly string[]
    /** Column with the name of a record; its number unless given. */
    id?: string
    /**
     * Conll: a token and its tag a line; others: a record a row, with lists of tokens and of tags. Default:
     * `auto`.
     */
    format?: 'conll' | 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders'
    /** Column with the list of words. Default: `tokens`. */
    tokens?: string
    /** Column with the list of tags: names, or their numbers among `labels`. Default: `tags`. */
    tags?: string
    /** Names of the tags, in the order of their numbers; those of the data unless given. */
    labels?: readonly string[]
    /**
     * How entities are found in tags: lenient is as CoNLL and seqeval do it, others are strict; none: tags
     * stand alone, as parts of speech do. Default: `lenient`.
     */
    scheme?: 'lenient' | 'iob1' | 'iob2' | 'ioe1' | 'ioe2' | 'iobes' | 'bilou' | 'none'
    /** Pieces that two windows of a long sentence share. Default: `64`. */
    stride?: number
    /** Class weights of the loss: none, balanced (inverse frequency) or label=weight. Default: `none`. */
    classWeights?: 'none' | 'balanced' | { readonly [name: string]: number }
    /** Share of each answer that is spread over all tags. Default: `0`. */
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
