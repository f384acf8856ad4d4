// NEFTune: uniform noise on the token embeddings in training, smaller for long and wide inputs. @source arXiv:2310.05914
import type { Body, BodyInputs, Model } from '../models/index.ts'
import { currentDropout, type Embedding } from '../nn/index.ts'
import { empty, type Tensor, tensor } from '../tensor/index.ts'
import { addHook, LayerAdapter } from './layer-adapter.ts'

/** Remembers the inputs of the body that is computed now, since its embedding sees ids alone. */
class InputRecorder extends LayerAdapter<Body, Body['forward']> {
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

/** Tokens of the sequence of each position, without padding: a number, or float32 that broadcasts to the ids. */
const lengthsOf = (ids: Tensor, { inputIds, starts, attentionMask }: BodyInputs): Tensor | number => {
  const [rows, columns] = ids.shape
  // The decoder of an encoder-decoder has ids of its own.
  if (inputIds.shape.join() !== ids.shape.join()) return columns
  if (starts !== undefined) {
    const bounds = Array.from(starts.toTypedArray(), Number)
    const lengths = bounds.slice(1).flatMap((end, i) => Array<number>(end - bounds[i]).fill(end - bounds[i]))
    return tensor(lengths, { device: ids.device }).view([1, lengths.length])
  }
  if (attentionMask?.shape.join() === ids.shape.join()) return attentionMask.to('float32').sum(1).view([rows, 1])
  return columns
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
      const generator = currentDropout()?.generator
      if (!host.training || inputs === undefined || generator === undefined) return own
      const { shape, dtype, device } = own
      const noise = empty(shape, { dtype: 'float32', device }).uniform_(-1, 1, { generator })
      const lengths = lengthsOf(ids, inputs)
      const width = shape[shape.length - 1]
      const size =
        typeof lengths === 'number'
          ? noise.mul(this.#alpha / Math.sqrt(lengths * width))
          : noise.mul(lengths.mul(width).rsqrt().mul(this.#alpha).unsqueeze(-1))
      return own.add(size.to(dtype))
    }
  }
}

/** Adds noise to the token embeddings of a model in training: uniform, up to `alpha` / sqrt(tokens · width). */
export const addEmbeddingNoise = ({ body }: Model, alpha: number): void => {
  const source: { inputs?: BodyInputs } = {}
  addHook(body, new InputRecorder(source))
  addHook(body.embedTokens, new EmbeddingNoise(source, alpha))
}
