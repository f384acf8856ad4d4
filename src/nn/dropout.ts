// Dropout, and the random numbers that decide what it drops. The mask of an element is a function of the seed, of the
// place of use in the model, of the token's example, sequence and position, and of the feature (in attention: of the
// head and the key). Rows of a batch have keys that say which token they are, so micro-batches, padding, packing and the
// number of processes change no mask. Independent of models and of the training loop.

import { createRandom } from '../core/index.ts'
import { arange, dropout, empty, Generator, keep, noGradScope, Tensor, upload } from '../tensor/index.ts'
import { Ambient } from './ambient.ts'
import { Module } from './module.ts'

/** An example of a batch: its number in the global batch, and how many sequences it has. */
export interface NumberedExample {
  number: number
  sequences: number
}

/** The rows that a batch consists of. */
export interface RowLayout {
  /** Padded rows [B,T], or one packed row [1,N]. */
  shape: readonly number[]
  /** Cumulative lengths of packed documents, int64 [n+1] on the CPU. */
  starts?: Tensor
  /** Indices of the tokens that the last layer computes, int64 [M]. */
  places?: Tensor
  /** Device of the rows (default: cpu). */
  device?: string
}

// A key holds the number of the example, of the sequence in it, and of the token in that. The highest byte is for heads.
// Numbers beyond their bits would make two rows share a mask, no more.
const sequenceShift = 20n
const exampleShift = 36n
const headShift = 56n
/** Spreads keys over all bits of a seed: 2^64 divided by the golden ratio. */
const oddFactor = 0x9e3779b97f4a7c15n

/**
 * The dropout masks of one forward pass and its backward pass. Each use of dropout takes a seed from the generator, so
 * uses are told apart by their order; rows are told apart by their keys.
 */
export class DropoutMasks {
  readonly generator: Generator
  readonly #examples: readonly NumberedExample[] | undefined
  readonly #sequences: BigInt64Array | undefined
  /** Keys of rows, by their number. */
  readonly #keys = new Map<number, Tensor>()
  readonly #parts: DropoutMasks[] = []
  #device = 'cpu'
  #partSeed: bigint | undefined
  #used = false

  /** @param examples those of the batch, in its order (default: each row or document is an example, numbered from 0) */
  constructor(generator: Generator, examples?: readonly NumberedExample[]) {
    this.generator = generator
    this.#examples = examples
    if (examples === undefined) return
    const keys: bigint[] = []
    for (const { number, sequences } of examples)
      for (let i = 0; i < sequences; i++) keys.push((BigInt(number) << exampleShift) | (BigInt(i) << sequenceShift))
    this.#sequences = BigInt64Array.from(keys)
  }

  /** Notes which tokens the rows of a batch are. Bodies call it before their first layer. */
  layOut({ shape, starts, places, device = 'cpu' }: RowLayout): void {
    this.#device = device
    const count = starts === undefined ? shape[0] : starts.shape[0] - 1
    noGradScope(() => {
      const sequences = Tensor.from(this.#numbers(count), { shape: [count] })
      const host = starts === undefined ? paddedKeys(sequences, shape[1]) : packedKeys(sequences, starts, shape[1])
      const tokens = upload(host, device)
      this.#note(upload(sequences, device))
      if (places !== undefined) this.#note(tokens.indexSelect(0, places))
      // Last, as all tokens may be read, and a document may have one token.
      this.#note(tokens)
    })
  }

  /** Keys of the first tokens of sequences. Others than those of the examples are numbered from the first of these. */
  #numbers(count: number): BigInt64Array {
    const own = this.#sequences
    if (own?.length === count) return own
    const first = own?.[0] ?? 0n
    return BigInt64Array.from({ length: count }, (_, i) => first + (BigInt(i) << sequenceShift))
  }

  /**
   * Masks of a forward pass over some of the examples, for a batch that needs several: each pass has masks of its own,
   * whichever other ones its batch has. They are freed with these.
   * @param pass number of the pass
   * @param examples places in the batch of the examples that it computes
   */
  part(pass: number, examples: readonly number[]): DropoutMasks {
    this.#partSeed ??= drawSeed(this.generator)
    const own = this.#examples
    const part = new DropoutMasks(
      new Generator(this.#partSeed + BigInt(pass)),
      own && examples.map((place) => own[place]),
    )
    this.#parts.push(part)
    return part
  }

  /** Whether a layer of the pass has drawn from them. */
  get used(): boolean {
    return this.#used
  }

  /** The generator of the masks, for a use of them. */
  draw(): Generator {
    this.#used = true
    return this.generator
  }

  /** A generator for each sequence of a batch, for random values of its tokens that are no dropout masks. */
  generatorsOf(count: number): Generator[] {
    this.#used = true
    const seed = drawSeed(this.generator)
    return Array.from(this.#numbers(count), (key) => new Generator(BigInt.asUintN(63, seed + key * oddFactor)))
  }

  #note(keys: Tensor): void {
    const [rows] = keys.shape
    this.#keys.get(rows)?.free()
    this.#keys.set(rows, keep(keys))
  }

  /** Keys of the rows of a tensor, int64 [R]. @param shape its sizes without the last */
  keysOf(shape: readonly number[]): Tensor {
    const rows = shape.reduce((product, size) => product * size, 1)
    const known = this.#keys.get(rows)
    if (known !== undefined) return known
    // Rows that are neither tokens nor sequences, as a layer of a user's may have, differ by their place in the batch.
    const keys = arange(rows, { dtype: 'int64' }).add(Tensor.from(BigInt64Array.of(this.#sequences?.[0] ?? 0n)))
    return upload(keys, this.#device)
  }

  /** Frees the keys; those of the next batch are made anew. */
  free(): void {
    for (const keys of this.#keys.values()) keys.free()
    this.#keys.clear()
    for (const part of this.#parts.splice(0)) part.free()
  }
}

/** Seeds the generator of a step: its random numbers depend on the seed and the number of the step alone. */
export const reseed = (generator: Generator, seed: number, step: number): Generator =>
  generator.seed(createRandom(`${seed}/step/${step}`).integer(2 ** 53 - 1))

/** A seed from a generator, which moves on. */
const drawSeed = (generator: Generator): bigint =>
  noGradScope(() =>
    BigInt(
      Math.floor(
        empty([1], { dtype: 'float64' })
          .uniform_(0, 2 ** 52, { generator })
          .item(),
      ),
    ),
  )

/** Keys of the tokens of padded rows. */
const paddedKeys = (sequences: Tensor, length: number): Tensor =>
  sequences
    .unsqueeze(1)
    .add(arange(length, { dtype: 'int64' }))
    .flatten()

/** Keys of the tokens of packed documents. */
const packedKeys = (sequences: Tensor, starts: Tensor, tokens: number): Tensor => {
  const edges = starts.to('int64')
  const count = sequences.shape[0]
  const lengths = edges.narrow(0, 1, count).sub(edges.narrow(0, 0, count))
  const first = sequences.sub(edges.narrow(0, 0, count))
  return first.repeatInterleave(lengths, 0).add(arange(tokens, { dtype: 'int64' }))
}

const current = new Ambient<DropoutMasks | undefined>(undefined)

/** The masks of the forward pass that runs now. */
export const currentDropout = (): DropoutMasks | undefined => current.value

/** Runs `body` with these masks: every dropout in it, and in the backward pass if it is in it too, uses them. */
export const withDropout = <Result>(masks: DropoutMasks | undefined, body: () => Result): Result =>
  current.during(masks, body)

const rowsAreShared = new Ambient(false)

/** Computes rows that belong to no example, such as a table of positions: each use of dropout has one mask in a step. */
export const withSharedRows = <Result>(body: () => Result): Result => rowsAreShared.during(true, body)

const moved = new Ambient<{ places: Tensor; tokens: number } | undefined>(undefined)

/** Computes rows that are some tokens of a batch in another order. @param places index of the token of each row, int64 [R] */
export const withTokenPlaces = <Result>(places: Tensor, tokens: number, body: () => Result): Result =>
  moved.during({ places, tokens }, body)

/** Generator and keys of rows for an operator with dropout. @param shape sizes of the rows */
export const dropoutNumbers = (shape: readonly number[]): { generator?: Generator; rowKeys?: Tensor } => {
  const masks = current.value
  if (masks === undefined) return {}
  const generator = masks.draw()
  if (rowsAreShared.value) return { generator }
  if (moved.value === undefined) return { generator, rowKeys: masks.keysOf(shape) }
  const { tokens, places } = moved.value
  return { generator, rowKeys: masks.keysOf([tokens]).indexSelect(0, places) }
}

/** Drops elements of rows [...,C] of tokens or sequences. */
export const dropElements = (input: Tensor, p: number): Tensor =>
  dropout(input, p, dropoutNumbers(input.shape.slice(0, -1)))

/** Drops attention weights [B,H,T,S], as the fused attention does. */
export const dropWeights = (weights: Tensor, p: number): Tensor => {
  const [batch, heads, queries] = weights.shape
  const { generator, rowKeys } = dropoutNumbers([batch, queries])
  if (rowKeys === undefined) return dropout(weights, p, { generator })
  const numbers = BigInt64Array.from({ length: heads }, (_, head) => BigInt(head) << headShift)
  const keys = rowKeys
    .view([batch, 1, queries])
    .add(Tensor.from(numbers, { shape: [1, heads, 1], device: rowKeys.device }))
  return dropout(weights, p, { generator, rowKeys: keys })
}

/** Sets elements to 0 with a probability, in training mode only. */
export class Dropout extends Module {
  readonly #p: number

  constructor(p: number) {
    super()
    this.#p = p
  }

  /** Whether it returns its input. */
  get isIdle(): boolean {
    return !this.training || this.#p === 0
  }

  /** A prompt that several answers share has one mask, where each answer alone would have its own. */
  override get sharesKeys(): boolean {
    return this.isIdle
  }

  forward(input: Tensor): Tensor {
    return this.isIdle ? input : dropElements(input, this.#p)
  }
}
