// An example of any objective as sequences of tokens that a person can read: what the model sees, and what it must predict. It knows
// the forms of examples, not the objectives: a registered objective whose examples have none of the forms has no view.
import type { CausalExample } from './causal-lm.ts'
import type { MaskedExample } from './masked-lm.ts'
import { sequencesOf } from './sequences.ts'
import type { SpanExample } from './span-corruption.ts'

/** A token of an example. */
export interface TokenView {
  id: number
  /** Whether it has a loss: the token itself, or `label` where there is one. */
  trained: boolean
  /** The right token at a masked position. */
  label?: number
}

/** A sequence that attends to itself only. */
export interface SequenceView {
  /** Encoders and decoders on their own see text; the two sides of span corruption are input and target. */
  role: 'text' | 'input' | 'target'
  tokens: TokenView[]
}

const plain = (ids: Iterable<number>, trained: boolean): TokenView[] => Array.from(ids, (id) => ({ id, trained }))

const isMasked = (example: object): example is MaskedExample => 'positions' in example && 'originals' in example
const isCausal = (example: object): example is CausalExample => 'labels' in example && 'starts' in example
const isSpans = (example: object): example is SpanExample => 'inputs' in example && 'targets' in example

const maskedView = (example: MaskedExample): SequenceView[] => {
  const tokens = plain(example.ids, false)
  example.positions.forEach((position, i) => {
    tokens[position] = { id: tokens[position].id, trained: true, label: example.originals[i] }
  })
  return sequencesOf(example.starts, tokens.length).map(({ start, end }) => ({
    role: 'text',
    tokens: tokens.slice(start, end),
  }))
}

/** Labels are the next tokens: with the first input, they are the whole sequence. */
const causalView = ({ ids, starts, labels }: CausalExample): SequenceView[] =>
  sequencesOf(starts, ids.length).map(({ start, end }) => ({
    role: 'text',
    tokens: [
      { id: ids[start], trained: false },
      ...plain(
        labels.subarray(start, end).filter((label) => label >= 0),
        true,
      ),
    ],
  }))

/** The sequences of an example; undefined for an example of an unknown form. */
export const viewExample = (example: object): SequenceView[] | undefined => {
  if (isMasked(example)) return maskedView(example)
  if (isCausal(example)) return causalView(example)
  if (!isSpans(example)) return undefined
  return [
    { role: 'input', tokens: plain(example.inputs, false) },
    { role: 'target', tokens: plain(example.targets, example.trained > 0) },
  ]
}
