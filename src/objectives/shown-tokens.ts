// An example as its tokens, for people who read a batch: which are trained, what the model reads in place of a masked one, and where its loss is
// among those that `LossOptions.onLabelLosses` gives for this example alone.

/** A sequence of an example. */
export interface ShownTokens {
  /** Role of the sequence (`chosen`, `rejected`, `input`, `target`), or its class. */
  name?: string
  /** Token ids of the text before masking. */
  ids: readonly number[]
  /** Ids that the model reads instead, such as a mask, by the token's index. */
  seen?: ReadonlyMap<number, number>
  /** The label of a token, by its index, where it is no token itself. */
  classes?: ReadonlyMap<number, string>
  /** Index among the label losses of each trained token, by the token's index. */
  losses: ReadonlyMap<number, number>
}

/** The sequences of a row that has several: indices from `start` to `end`. */
export const sequencesOf = (starts: readonly number[], length: number): { start: number; end: number }[] =>
  starts.map((start, i) => ({ start, end: starts[i + 1] ?? length }))

/** A sequence whose tokens from `first` on are trained, with losses from `firstLoss` on. */
export const trainedFrom = (
  ids: ArrayLike<number>,
  first: number,
  { name, firstLoss = 0 }: { name?: string; firstLoss?: number } = {},
): ShownTokens => {
  const losses = new Map<number, number>()
  for (let i = first; i < ids.length; i++) losses.set(i, firstLoss + i - first)
  return { ...(name === undefined ? {} : { name }), ids: Array.from(ids), losses }
}

/** An input without trained tokens and a target whose tokens are all trained. */
export const inputAndTarget = (input: ArrayLike<number>, target: ArrayLike<number>): ShownTokens[] => [
  trainedFrom(input, input.length, { name: 'input' }),
  trainedFrom(target, 0, { name: 'target' }),
]
