// How a module's path is named in a checkpoint of other people's making. Models list their rules; checkpoints are read by them.

/**
 * One name of a checkpoint, as module paths: `.weight` and `.bias` follow both. `{i}` stands for a layer's number. Several of
 * ours are stacked along the first dimension in theirs.
 */
export interface KeyRule {
  ours: string | readonly string[]
  theirs: string
  /** Theirs stores a matrix the other way round (GPT-2's Conv1D). */
  transposed?: boolean
  /** Both names are whole: nothing follows them. */
  exact?: boolean
  /** Names that files of other makers have in its place. */
  alsoReads?: readonly string[]
  /** Writes the tensor under those names too: their class has several parameters where we have one. */
  writesAll?: boolean
}
