// What virtual tokens begin as: real ones, of a text or drawn from the vocabulary. Knows no method.
import { ConfigError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import type { Attention, LayerCache } from '../../nn/index.ts'
import { randint, Tensor } from '../../tensor/index.ts'
import type { AttachContext } from '../adapter.ts'
import { insertAdapter, LayerAdapter, removeAdapter } from '../layer-adapter.ts'
import type { KeysAndValues } from './positions.ts'

/** Ids, int64 [count]: those of the text, again and again or cut to `count`; without a text, drawn from the vocabulary. @throws ConfigError for a text without tokens */
export const firstTokens = (
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
    throw new ConfigError('Expected `encode` (a tokenizer) beside `initialText`, got none: give it to `applyAdapter`.')
  const ids = encode(initialText)
  if (ids.length === 0) throw new ConfigError('Expected `initialText` to hold at least one token, got none.')
  const repeated = BigInt64Array.from({ length: count }, (_, at) => BigInt(ids[at % ids.length]))
  return Tensor.from(repeated, { shape: [count], device })
}

type AttentionWay = Attention['forward']

class Listener extends LayerAdapter<Attention, AttentionWay> {
  readonly #cache: LayerCache

  constructor(hear: LayerCache['append']) {
    super()
    this.#cache = { append: hear, source: (make) => make() }
  }

  wrap(_: Attention, next: AttentionWay): AttentionWay {
    return (input, context, options = {}) => next(input, context, { ...options, cache: this.#cache })
  }
}

/**
 * Runs the base over the tokens and tells what each of these layers makes of them: in front of a text, a decoder sees such keys and values as it
 * sees the tokens themselves. Of an encoder-decoder, both stacks read the tokens.
 * @param ids int64 [P]
 * @param take gets the layer's number with keys and values, [P,K·D] each, which it must copy
 */
export const hearKeysAndValues = (
  model: Model,
  hosts: readonly Attention[],
  ids: Tensor,
  take: (layer: number, heard: KeysAndValues) => void,
): void => {
  const name = ' listener'
  const { training } = model
  const rows = (x: Tensor) => x.squeeze(0).flatten(1) // [1,P,K,D] -> [P,K·D]
  model.eval()
  for (const [i, host] of hosts.entries()) {
    const listener = new Listener((key, value) => {
      take(i, { key: rows(key), value: rows(value) })
      return { key, value }
    })
    insertAdapter(host, name, listener)
  }
  try {
    const row = ids.unsqueeze(0)
    const isPair = model.facts.decoderStartTokenId !== undefined
    model.body.forward({ inputIds: row, ...(isPair && { decoderInputIds: row }) })
  } finally {
    for (const host of hosts) removeAdapter(host, name)
    if (training) model.train()
  }
}
