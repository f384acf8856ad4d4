// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

import type { EnvironmentChoice, RewardInput } from '../../alignment/index.ts'
import type { AlignObjectiveChoice } from './align-objectives.ts'
import type { RunSettings } from './run.ts'
import type { VariantChoice } from './variants.ts'

/** Settings of an alignment run, whatever objective and variant. */
export interface AlignSettings extends RunSettings {
  /** Peak learning rate (default: the objective's; ten times as much for adapters). */
  learningRate?: number | undefined
  /** Pretrained model: a folder, a .gguf file, a run or a Hub id. */
  base: string
  /** File or folder with training data. */
  data: string
  /** Columns, form and file format of the data. */
  columns?:
    | {
        /** File format; auto: by the file names; folders: one folder per class, also in a tar or zip archive. */
        format?: 'auto' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'folders' | undefined
        /**
         * Split to read from a folder with several: files with this word, such as train, validation or test, in
         * their name or in that of their folder.
         */
        split?: string | undefined
        /** Unusable records: stop with an error, or skip and count them. */
        onFault?: 'error' | 'skip' | undefined
        /** Maximum number of records. */
        limit?: number | undefined
        /** CSV and TSV: the first line has the column names. */
        header?: boolean | undefined
        /** CSV and TSV: read " as quotes around fields, or as literal text; auto: read in CSV, literal in TSV. */
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
        /** Column with the prompt: text or messages; of several names, the first in the row. */
        prompt?: string | readonly string[] | undefined
        /**
         * Column with the messages: role and content, or from and value; of several names, the first in the
         * row.
         */
        messages?: string | readonly string[] | undefined
        /**
         * Columns of text: raw (the completion continues the prompt) or turns (question and answer, through the
         * chat template); auto: by the form of the data.
         */
        texts?: 'auto' | 'raw' | 'turns' | undefined
        /**
         * Maximum share of records without anything to learn (ties, identical, empty, contradicting or
         * truncated answers) before the run stops with an error.
         */
        maxSkipped?: number | undefined
        /** Column with the better answer: text, a message, or messages. */
        chosen?: string | undefined
        /** Column with the worse answer: text, a message, or messages. */
        rejected?: string | undefined
        /** Column with how much better the chosen answer is, if there is one: the loss requires this margin. */
        margin?: string | undefined
        /**
         * Column with a list of answers: texts, or objects with text and score; of several names, the first in
         * the row.
         */
        answers?: string | readonly string[] | undefined
        /** Column with the scores of the answers; higher is better (default: in the answers themselves). */
        scores?: string | undefined
        /** Column with the ranks of the answers; lower is better. */
        ranks?: string | undefined
        /** Column with the root message of a tree, whose replies have ranks. */
        tree?: string | undefined
        /**
         * Form of a row: pairs (chosen and rejected), dialogues (whole ones, as in hh-rlhf), scores (a list of
         * answers), or a message tree; auto: by the columns.
         */
        form?:
          | 'auto'
          | 'tree'
          | 'scores'
          | 'dialogues'
          | 'pairs'
          | 'auto'
          | 'aqua'
          | 'svamp'
          | 'gsm8k'
          | 'comparisons'
          | 'columns'
          | undefined
        /** Pairs of a list of answers: each two of different scores, or the best with the worst. */
        pairs?: 'all' | 'best-and-worst' | undefined
        /** Column with the rated answer; of several names, the first in the row. */
        completion?: string | readonly string[] | undefined
        /** Column with the rating: true or 1 for a good answer, false or 0 for a bad one. */
        label?: string | undefined
        /** Column with the reference answer, if there is one; of several names, the first in the row. */
        reference?: string | readonly string[] | undefined
        /**
         * Text of the prompt with columns in braces, such as "{question} Think step by step." (default: the
         * prompt).
         */
        pattern?: string | undefined
      }
    | undefined
  /** File or folder with validation data (default: a share of `data`). */
  validation?: string | undefined
  /**
   * Approximate share of `data` to validate on, if there is no `validation`: a hash decides on each
   * record. Default: `0.1`.
   */
  validationShare?: number | undefined
  /** Reference model: the base with adapters off, or a frozen copy where the whole model is trained. */
  reference?:
    | {
        /** Precision of the frozen copy (default: that of the base). */
        precision?: 'float32' | 'bfloat16' | 'int8' | 'nf4' | 'nf4-double' | undefined
        /**
         * Compute the log-probabilities of the reference once and keep them on disk: a frozen copy is freed
         * before training. Default: `false`.
         */
        cache?: boolean | undefined
      }
    | undefined
  /** Answers of the model to prompts that objectives with rewards learn from. */
  rollout?:
    | {
        /** Prompts per rollout. Default: `16`. */
        prompts?: number | undefined
        /** Answers per prompt, which advantages compare (default: the objective's). */
        answers?: number | undefined
        /** Maximum tokens of an answer. Default: `256`. */
        maxNewTokens?: number | undefined
        /** Sampling temperature; it also divides the logits in training. Default: `1`. */
        temperature?: number | undefined
        /** Epochs over the answers of each rollout (default: the objective's). */
        epochs?: number | undefined
        /**
         * Rounds of sampling to fill a rollout with groups whose rewards differ (dynamic sampling); from 2 on,
         * others are left out (default: the objective's).
         */
        rounds?: number | undefined
        /** Answers decoded at once. Default: `32`. */
        concurrency?: number | undefined
        /**
         * The same log-probabilities, to the bit, in sampling and training; needs float32 weights on a CPU,
         * where it is the default.
         */
        exact?: boolean | undefined
        /** Measure the KL divergence from the base or teacher, also if not needed. Default: `true`. */
        measureKl?: boolean | undefined
        /** Write every answer to rollouts/ in the folder of the run (Parquet). Default: `true`. */
        keep?: boolean | undefined
      }
    | undefined
  /** Limits of answers of several turns. */
  episode?:
    | {
        /** Maximum turns of the model in an answer; a longer one is cut and counted. Default: `8`. */
        maxTurns?: number | undefined
        /**
         * Maximum tokens of an answer, those of the environment included (default: what the model takes after
         * the prompt).
         */
        maxTokens?: number | undefined
        /** Maximum seconds of a step of the environment. Default: `60`. */
        timeoutSeconds?: number | undefined
        /**
         * When the environment fails: end the run, or leave the answer without a reward and count it. Default:
         * `stop`.
         */
        onFailure?: 'stop' | 'null' | undefined
      }
    | undefined
  /** Teacher of the objective gkd. */
  distillation?:
    | {
        /** Model to learn from (default: none). */
        teacher?: string | undefined
        /** Divisor of all logits (default: sampling's). */
        temperature?: number | undefined
        /** Measure (default: reverse-kl). */
        divergence?: 'forward-kl' | 'reverse-kl' | 'jensen-shannon' | undefined
        /** Its precision (default: the run's). */
        precision?: 'float32' | 'bfloat16' | 'int8' | 'nf4' | 'nf4-double' | undefined
      }
    | undefined
  /** Signs that the model no longer learns what was meant; each becomes an incident. */
  alarms?:
    | {
        /**
         * Alarm when the entropy of the policy falls below this share of its first value (0: off). Default:
         * `0.2`.
         */
        entropy?: number | undefined
        /** Alarm above this KL divergence from the reference, in nats per answer (0: off). Default: `50`. */
        kl?: number | undefined
        /** Alarm when answers are this many times as long as at first (0: off). Default: `3`. */
        length?: number | undefined
        /**
         * Alarm when the reward has risen and the score of the judge has fallen by this many standard errors
         * (0: off). Default: `0.5`.
         */
        judge?: number | undefined
      }
    | undefined
  /** Apply dropout in training; without it, policy and reference are compared exactly. Default: `false`. */
  dropout?: boolean | undefined
  /** Chat template for turns: a preset's name or Jinja source (default: the base's). */
  template?: string | undefined
  /** System prompt of conversations without one. */
  system?: string | undefined
  /** Folder of the tokenizer (default: the base's). */
  tokenizer?: string | undefined
  /** Maximum tokens of a prompt with its completion (default: model limit, at most 1024). */
  maxLength?: number | undefined
  /** Maximum tokens of a prompt (default: half of maxLength). */
  maxPromptLength?: number | undefined
  /**
   * Longer prompts lose their oldest tokens and completions their end, or the record is dropped, or an
   * error. Default: `truncate`.
   */
  tooLong?: 'truncate' | 'drop' | 'error' | undefined
  /** Also score the base before training, as a reference beside the final scores. Default: `true`. */
  untrainedBaseline?: boolean | undefined
  /** Answers to validation prompts. */
  answers?:
    | {
        /**
         * Validation prompts to answer: in each evaluation with rewards, at the end for the judge with
         * preferences. Default: `64`.
         */
        validation?: number | undefined
        /** Answers before and after training to keep in samples.json. Default: `8`. */
        samples?: number | undefined
        /**
         * Maximum tokens of these answers with preferences; with rewards they are as long as in training.
         * Default: `128`.
         */
        maxNewTokens?: number | undefined
      }
    | undefined
}

/** Rewards and environment of a recipe: names with settings, or functions of answers and turns. */
export interface AlignRewards {
  /**
   * Rewards of answers that are summed: names with settings, such as numeric-match or length:cost=0.001
   * (functions and objects in a recipe).
   */
  rewards?: readonly RewardInput[] | undefined
  /**
   * Reward that is not trained on: it scores validation answers, and chooses the best checkpoint (with
   * preferences, it scores answers at the end).
   */
  judge?: RewardInput | undefined
  /**
   * Partner of the model in answers of several turns: a name such as calculator (a function `step`, or an
   * object with it, in a recipe).
   */
  environment?: EnvironmentChoice | undefined
}

/** The recipe of an alignment run. */
export type AlignInput = AlignSettings &
  AlignRewards &
  AlignObjectiveChoice &
  (Exclude<VariantChoice, { variant: 'feature-based' }> | { variant?: undefined; adapter?: undefined })
