// The interface of export targets: what is exported, what a target writes, and how it proves that its consumer computes the
// same. Independent of particular targets.
import type { ModelTokenizer } from '../checkpoint/index.ts'
import type { GenerationOptions } from '../generation/index.ts'
import type { Model } from '../models/index.ts'
import type { SpecialistTask } from '../runs/index.ts'
import type { Dtype } from '../tensor/index.ts'
import type { Validation } from './proof/compare-scores.ts'

/** The importance matrix of a model, from calibration text. */
export interface Importance {
  /** Sum of the squares of each input of a matrix, by ggml's name of the matrix; those of an expert after those of another. */
  sums: ReadonlyMap<string, Float32Array>
  /** Rows of inputs in the sum, for each expert where the tensor has several. */
  counts: ReadonlyMap<string, Float32Array>
  chunks: number
  /** Tokens of a chunk, and of all together. */
  chunkTokens: number
  tokens: number
}

/** Versions of ONNX's operators that graphs are written with. */
export const onnxOpsets = [18, 23] as const

/**
 * What ONNX's graphs are made of: basic operators (`plain`, opset 18), attention, RMS norms and rotary positions as
 * operators (`standard`, opset 23), or basic ones with onnxruntime's own GroupQueryAttention (`grouped`, opset 18).
 */
export type OnnxOperators = 'plain' | 'standard' | 'grouped'

/** A model that is exported. */
export interface ExportSource {
  /** The model as the caller named it. */
  given: string
  /** Hub id of the model, if it was opened by one. */
  hubId?: string
  /** Short name, safe as a file name. */
  name: string
  /** In evaluation mode, with float32 parameters and merged adapters: no layer of an adapter is left in it. */
  model: Model
  tokenizer: ModelTokenizer
  /** Folder of the opened files, with task.json and generation_config.json; undefined for a .gguf file. */
  folder?: string
  /** dtype of the weights in the files, before they were merged in float32. */
  dtype: Dtype
  /** Generation settings of the model's own files; empty without any. */
  generation: GenerationOptions
  /** Chat template as Jinja source. */
  chatTemplate?: string
  /** The task that the model was fine-tuned on by Tunesmith. */
  task?: SpecialistTask
  /** What errors of quantisation are weighed by (default: none). */
  importance?: Importance
  /** Operators of ONNX's graphs (default: plain). */
  operators?: OnnxOperators
  /** What was merged, with errors, as sentences for the report and the model card. */
  notes: string[]
  /** Whether the validation texts were read to say what a quantised base has changed. */
  usesTexts: boolean
}

/** What a target may use while it writes. */
export interface WriteContext {
  /** One line about what is done now. */
  onProgress?(line: string): void
  /** Something about the export that users must know. */
  note(line: string): void
  /** The SHA-256 of a file that was computed while it was written. */
  onHash?(path: string, sha256: string): void
  signal?: AbortSignal | undefined
}

/** What a target may use while it proves its files. */
export interface ProofContext {
  /** Validation texts of the caller, or built-in ones. */
  texts: readonly string[]
  /** Validation records of the specialist, whose task's score is compared; undefined without any. */
  validation?: Validation
  note(line: string): void
  signal?: AbortSignal | undefined
}

/** One comparison of an export with its source. */
export interface ProofRow {
  /** Target with its variant: `gguf:q8_0`. */
  target: string
  /** Program that computed: `node-llama-cpp 3.22.1`, or `tunesmith` for our own reader. */
  consumer: string
  /** What was compared: `logits`, `perplexity`, `token ids` … */
  check: string
  /** Measured value. */
  value: number | string
  /** Tolerance of the target's dtype. */
  limit?: number | string
  /** False refuses the export. */
  ok: boolean
  /** First layer that differs, differing words. */
  detail?: string
}

/** A format that models are exported to. */
export interface ExportTarget {
  /** Name before the colon: `merged`, `gguf`, `onnx` … */
  type: string
  /** One line for the help. */
  description: string
  /** What may follow the colon; empty if nothing may. */
  variants: readonly string[]
  /** Variant of a target without a colon. */
  defaultVariant?: string
  /** Whether several variants can be in one folder (default: false). */
  sharesFolder?: boolean
  /** Folder below the export's own. */
  folder: string
  /** The Hub's name of the library that opens the files (default: transformers). */
  pipelineLibrary?: string
  /** Whether the matrices have fewer bits than their numbers, with scales (default: never). */
  quantises?(variant: string): boolean
  /** Whether an importance matrix changes what is written (default: never). */
  usesImportance?(variant: string): boolean
  /** Whether the score of the specialist's task is compared (default: false). */
  comparesScores?: boolean
  /** Operators that may be chosen, where the files are ONNX's (default: none). */
  operators?: readonly OnnxOperators[]
  /** Refuses before anything is written. @throws ConfigError with the reason */
  check?(source: ExportSource, variant: string): void | Promise<void>
  /** Writes files into `folder`, beside those of other variants. */
  write(source: ExportSource, variant: string, folder: string, context: WriteContext): Promise<void>
  /** Opens the files in their consumer, or in our own reader where it is not installed, and compares. */
  prove?(source: ExportSource, variant: string, folder: string, context: ProofContext): Promise<ProofRow[]>
}
