// NEFTune: uniform noise on the token embeddings in training, smaller for long and wide inputs. @source arXiv:2310.05914
import type { Body, BodyInputs, Model } from '../models/index.ts'
import { currentDropout, type DropoutMasks, type Embedding } from '../nn/index.ts'
import { cat, empty, type Tensor, tensor, upload } from '../tensor/index.ts'
import { addHook, LayerAdapter } from './layer-adapter.ts'

/** Remembers the inputs of the body that is computed now, since its embedding sees ids alone. */
export class InputRecorder extends LayerAdapter<Body, Body['forward']> {
  readonly #source: { inputs?: BodyInputs }

  constructor(source: { inputs?: BodyInputs }) {
    super()
    this.#source = source
  }

  wrap(_: Body, next: Body['forward']): Body['forward'] {
    return (inputs) => {
      this.#source.inputs = inputs
      return next(inputs)
    }
  }
}

/** The rows or packed documents that positions belong to: how many positions each has, and its tokens without padding. */
interface SequenceLengths {
  positions: number[]
  /** A number for all, or float32 that broadcasts to the ids. */
  tokens: Tensor | number
}

export const lengthsOf = (ids: Tensor, { inputIds, starts, attentionMask }: BodyInputs): SequenceLengths => {
  const [rows, columns] = ids.shape
  const positions = Array<number>(rows).fill(columns)
  // The decoder of an encoder-decoder has ids of its own.
  if (inputIds.shape.join() !== ids.shape.join()) return { positions, tokens: columns }
  if (starts !== undefined) {
    const bounds = Array.from(starts.toTypedArray(), Number)
    const lengths = bounds.slice(1).map((end, i) => end - bounds[i])
    const byToken = lengths.flatMap((length) => Array<number>(length).fill(length))
    return { positions: lengths, tokens: tensor(byToken, { device: ids.device }).view([1, byToken.length]) }
  }
  if (attentionMask?.shape.join() !== ids.shape.join()) return { positions, tokens: columns }
  return { positions, tokens: attentionMask.to('float32').sum(1).view([rows, 1]) }
}

/** Values in (-1, 1), [...,C]: those of a sequence do not depend on the sequences beside it. */
const uniformNoise = (masks: DropoutMasks, positions: readonly number[], { shape, device }: Tensor): Tensor => {
  const width = shape[shape.length - 1]
  const generators = masks.generatorsOf(positions.length)
  const parts = positions.map((count, i) => empty([count, width]).uniform_(-1, 1, { generator: generators[i] }))
  return upload(cat(parts, 0).view(shape), device)
}

class EmbeddingNoise extends LayerAdapter<Embedding, Embedding['forward']> {
  readonly #source: { inputs?: BodyInputs }
  readonly #alpha: number

  constructor(source: { inputs?: BodyInputs }, alpha: number) {
    super()
    this.#source = source
    this.#alpha = alpha
  }

  wrap(host: Embedding, next: Embedding['forward']): Embedding['forward'] {
    return (ids) => {
      const own = next(ids)
      const { inputs } = this.#source
      const masks = currentDropout()
      if (!host.training || inputs === undefined || masks === undefined) return own
      const { positions, tokens } = lengthsOf(ids, inputs)
      const noise = uniformNoise(masks, positions, own)
      const width = own.shape[own.shape.length - 1]
      const size =
        typeof tokens === 'number'
          ? noise.mul(this.#alpha / Math.sqrt(tokens * width))
          : noise.mul(tokens.mul(width).rsqrt().mul(this.#alpha).unsqueeze(-1))
      return own.add(size.to(own.dtype))
    }
  }
}

/** Adds noise to the token embeddings of a model in training: uniform, up to `alpha` / sqrt(tokens · width). */
export const addEmbeddingNoise = ({ body }: Model, alpha: number): void => {
  const source: { inputs?: BodyInputs } = {}
  addHook(body, new InputRecorder(source))
  addHook(body.embedTokens, new EmbeddingNoise(source, alpha))
}
