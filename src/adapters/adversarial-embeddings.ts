// FGM: a second pass over each batch with the token embeddings moved where the loss grows fastest, each sequence by the same
// distance. Sequences are moved by their own gradients, so that no split of a batch changes the loss. @source arXiv:1605.07725
import type { BodyInputs, Model } from '../models/index.ts'
import type { Embedding } from '../nn/index.ts'
import { freeTensors, keepUntilFreed, noGrad, scope, type Tensor, tensor, zerosLike } from '../tensor/index.ts'
import { InputRecorder, lengthsOf } from './embedding-noise.ts'
import { addHook, LayerAdapter } from './layer-adapter.ts'

type Way = Embedding['forward']

/** What is added to the embeddings of a forward pass, and the positions of each of its sequences. */
interface Shift {
  values: Tensor
  positions: readonly number[]
}

/** Adds to the embeddings what it is told to, in the order of the calls. */
class EmbeddingShift extends LayerAdapter<Embedding, Way> {
  readonly #shiftOf: (own: Tensor, ids: Tensor) => Tensor | undefined

  constructor(shiftOf: (own: Tensor, ids: Tensor) => Tensor | undefined) {
    super()
    this.#shiftOf = shiftOf
  }

  wrap(_: Embedding, next: Way): Way {
    return (ids) => {
      const own = next(ids)
      const shift = this.#shiftOf(own, ids)
      return shift === undefined ? own : own.add(shift)
    }
  }
}

/** Each sequence's part of a gradient, scaled to a length. @param positions of each sequence, in order */
const scaledTo = (epsilon: number, { values, positions }: Shift): Tensor => {
  const gradient = values.grad
  if (gradient === undefined) return zerosLike(values.detach())
  const { shape, dtype, device } = gradient
  const width = shape[shape.length - 1]
  const rows = gradient.to('float32').reshape([-1, width]) // [N,C]
  const owner = positions.flatMap((count, i) => Array<number>(count).fill(i))
  const index = tensor(BigInt64Array.from(owner, BigInt), { shape: [owner.length], device })
  const squares = zerosLike(rows.narrow(0, 0, positions.length).select(1, 0)).indexAdd(0, index, rows.square().sum(1))
  // A sequence without a loss has no gradient and is not moved.
  const factor = squares.add(1e-30).rsqrt().mul(epsilon).indexSelect(0, index).unsqueeze(1)
  return rows.mul(factor).view(shape).to(dtype)
}

/** Computes the loss of a batch twice: as it is, and with its embeddings moved. */
export class EmbeddingAdversary {
  readonly #epsilon: number
  readonly #source: { inputs?: BodyInputs } = {}
  #recorded: Shift[] | undefined
  #moves: Tensor[] | undefined

  /** @param epsilon length of the move of each sequence, over all of its embeddings */
  constructor({ body }: Model, epsilon: number) {
    this.#epsilon = epsilon
    addHook(body, new InputRecorder(this.#source))
    addHook(body.embedTokens, new EmbeddingShift((own, ids) => this.#shift(own, ids)))
  }

  #shift(own: Tensor, ids: Tensor): Tensor | undefined {
    if (this.#moves !== undefined) return this.#moves.shift()
    const { inputs } = this.#source
    if (this.#recorded === undefined || inputs === undefined) return undefined
    const values = zerosLike(own.detach())
    values.requiresGrad = true
    // The pass has a scope of its own, after which its gradient is read.
    keepUntilFreed([values])
    this.#recorded.push({ values, positions: lengthsOf(ids, inputs).positions })
    return values
  }

  /** @param pass forward and backward of a batch, in a scope of its own; the second one has the moved embeddings */
  attack(pass: (adversarial: boolean) => void): void {
    const moves: Tensor[] = []
    const recorded: Shift[] = []
    try {
      scope(() => {
        this.#recorded = recorded
        pass(false)
        for (const shift of recorded) moves.push(noGrad(() => scaledTo(this.#epsilon, shift)))
        keepUntilFreed(moves)
      })
      this.#recorded = undefined
      this.#moves = [...moves]
      scope(() => pass(true))
    } finally {
      freeTensors(recorded.map(({ values }) => values))
      this.#recorded = undefined
      this.#moves = undefined
      freeTensors(moves)
    }
  }
}
