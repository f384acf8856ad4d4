// What the rows of a batch are, for people. Only types: pages import them too.

/** A sequence of a row as the texts of its tokens. */
export interface BatchPart {
  /** Role of the sequence (`chosen`, `rejected`, `input`, `target`), or its class. */
  name: string | null
  /** The text of each token; a masked token is there as what it was. */
  texts: string[]
  /** Indices of the trained tokens. */
  trained: number[]
  /** The loss of each trained token in nats; empty without weights. */
  losses: number[]
  /** Indices of tokens in whose place the model reads another, and that other. */
  seen: [number, string][]
  /** Indices of tokens with a class, and the class. */
  classes: [number, string][]
}

/** A row of a batch. */
export interface BatchRow {
  /** Position in the order of the data. */
  position: number
  /** File and line of its record, or its document, where the data knows them. */
  place: string | null
  /** Its own loss: the mean over its trained tokens, or the loss of its pair. */
  loss: number | null
  tokens: number
  /** Without the texts where the limit of an answer is reached. */
  parts: BatchPart[] | null
  /** Numbers of a rollout's answer. */
  values: Record<string, number>
}

/** The rows that a run trained on in one step. */
export interface BatchRows {
  step: number
  /** Loss that the run recorded for the step. */
  recordedLoss: number | null
  /** Mean loss of the batch under these weights; null without losses, or if rows are left out. */
  loss: number | null
  /** Step of the weights that gave the losses (0: before the first step); null without losses. */
  weightsOfStep: number | null
  /** Why there are no losses. */
  withoutLosses: string | null
  tokens: number
  rows: BatchRow[]
  /** Rows of the batch that are not in `rows`. */
  left: number
  notes: string[]
}
