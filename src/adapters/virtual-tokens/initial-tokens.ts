// Initial values of virtual tokens: those of real tokens, from a text or sampled from the vocabulary. Independent of
// methods.
import { ConfigError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import type { Attention, LayerCache } from '../../nn/index.ts'
import { randint, Tensor } from '../../tensor/index.ts'
import type { AttachContext } from '../adapter.ts'
import { addHook, LayerAdapter, removeHook } from '../layer-adapter.ts'
import type { KeysAndValues } from './positions.ts'

/**
 * Token ids, int64 [count]: those of the text, repeated or truncated to `count`; without a text, sampled from the
 * vocabulary.
 * @throws ConfigError for a text without tokens
 */
export const initialTokenIds = (
  model: Model,
  count: number,
  initialText: string | undefined,
  { generator, encode }: Pick<AttachContext, 'generator' | 'encode'>,
): Tensor => {
  const { weight } = model.body.embedTokens
  const { device } = weight
  if (initialText === undefined)
    return randint(0, weight.shape[0], [count], { generator, dtype: 'int64' }).to({ device })
  if (encode === undefined)
    throw new ConfigError('`initialText` needs a tokenizer: pass its `encode` to `applyAdapter`.')
  const ids = encode(initialText)
  if (ids.length === 0)
    throw new ConfigError('Expected at least one token in `initialText`, got none. Write a longer text.')
  const repeated = BigInt64Array.from({ length: count }, (_, at) => BigInt(ids[at % ids.length]))
  return Tensor.from(repeated, { shape: [count], device })
}

type AttentionWay = Attention['forward']

/** Passes the keys and values of an attention layer to a function. */
class CaptureHook extends LayerAdapter<Attention, AttentionWay> {
  readonly #cache: LayerCache

  constructor(capture: LayerCache['append']) {
    super()
    this.#cache = { append: capture, source: (make) => make() }
  }

  wrap(_: Attention, next: AttentionWay): AttentionWay {
    return (input, context, options = {}) => next(input, context, { ...options, cache: this.#cache })
  }
}

/**
 * Runs the base over tokens and passes on their keys and values in each of these layers. In front of a text, a decoder
 * attends to such keys and values as to the tokens themselves. In an encoder-decoder, both stacks run over the tokens.
 * @param ids int64 [P]
 * @param take gets the index of the layer with its keys and values, [P,K·D] each, which it must copy
 */
export const captureKeysAndValues = (
  model: Model,
  hosts: readonly Attention[],
  ids: Tensor,
  take: (layer: number, pair: KeysAndValues) => void,
): void => {
  const { training } = model
  const rows = (x: Tensor) => x.squeeze(0).flatten(1) // [1,P,K,D] -> [P,K·D]
  model.eval()
  const hooks = hosts.map((host, i) => {
    const hook = new CaptureHook((key, value) => {
      take(i, { key: rows(key), value: rows(value) })
      return { key, value }
    })
    addHook(host, hook)
    return { host, hook }
  })
  try {
    model.ready()
    const row = ids.unsqueeze(0)
    const isPair = model.facts.decoderStartTokenId !== undefined
    model.body.forward({ inputIds: row, ...(isPair && { decoderInputIds: row }) })
  } finally {
    for (const { host, hook } of hooks) removeHook(host, hook)
    if (training) model.train()
  }
}
