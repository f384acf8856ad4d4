// Loads the tokenizer of a model. Its batches are tensors, as models take them; tokenizers themselves know no tensors, so that text can be
// encoded without libtorch.

import { stat } from 'node:fs/promises'
import { ConfigError, show } from '../core/index.ts'
import { Tensor } from '../tensor/index.ts'
import {
  type EncodeOptions,
  type Encoding,
  type LoadOptions,
  loadTokenizerAs,
  type Padding,
  Tokenizer,
} from '../tokenizers/index.ts'
import { openGguf } from './gguf.ts'
import { ggufTokenizer } from './gguf-tokenizer.ts'
import { type ResolveOptions, resolveModel } from './hub.ts'

/** Options of `ModelTokenizer.batch`. */
export interface TokenBatchOptions extends Pick<EncodeOptions, 'addSpecialTokens' | 'truncation'> {
  /** Length and side of the padding (default: to the longest text, with the padding token, on the tokenizer's side). */
  padding?: Partial<Padding>
  /** Device of the tensors (default: cpu). */
  device?: string
}

/** Texts as the inputs of a model. */
export interface TokenBatch {
  /** Token ids, int64 [B,T]. */
  inputIds: Tensor
  /** 1 at tokens and 0 at padding, uint8 [B,T]. */
  attentionMask: Tensor
  /** Segment ids, int64 [B,T], where a second text has its own segment. */
  typeIds?: Tensor
  /** Positions, int64 [B,T], where texts are padded on the left: 0 is the first token of a text. */
  positionIds?: Tensor
}

/** A tokenizer that also makes tensors. `loadTokenizer` returns one. */
export class ModelTokenizer extends Tokenizer {
  /**
   * Encodes texts or pairs, pads them to one length and puts them into tensors: `model.forward(tokenizer.batch(texts))`.
   * @throws ConfigError without texts, for a text without tokens, and for a truncation that special tokens do not fit
   */
  batch(
    texts: readonly (string | readonly [string, string])[],
    { padding, device, ...options }: TokenBatchOptions = {},
  ): TokenBatch {
    if (texts.length === 0) throw new ConfigError('`batch` needs at least one text: pass a list of texts.')
    const pad = { id: this.special.pad?.id ?? 0, side: this.paddingSide, ...padding }
    const encodings = this.encodeBatch(texts, { ...options, padding: pad })
    const blank = encodings.findIndex(({ attentionMask }) => !attentionMask.includes(1))
    if (blank >= 0)
      throw new ConfigError(
        `Expected texts with tokens for \`batch\`, got ${show(texts[blank])} at index ${blank}. Leave it out.`,
      )
    const shape = [encodings.length, encodings[0].length]
    const int64 = (rowOf: (encoding: Encoding) => number[]) =>
      Tensor.from(Int32Array.from(encodings.flatMap(rowOf)), { shape, dtype: 'int64', device })
    const batch: TokenBatch = {
      inputIds: int64(({ ids }) => ids),
      attentionMask: Tensor.from(Uint8Array.from(encodings.flatMap((one) => one.attentionMask)), { shape, device }),
    }
    if (encodings.some(({ typeIds }) => typeIds.includes(1))) batch.typeIds = int64(({ typeIds }) => typeIds)
    if (pad.side === 'left') batch.positionIds = int64(positionsOf)
    return batch
  }
}

/** Positions that count the tokens only; 0 at padding. */
const positionsOf = ({ attentionMask }: Encoding): number[] => {
  let position = 0
  return attentionMask.map((isToken) => (isToken === 1 ? position++ : 0))
}

/**
 * Loads a tokenizer.
 * @param source a path, a Hub id, or the content of a tokenizer.json
 * @throws DataError or CheckpointError without a usable tokenizer
 */
export const loadTokenizer = async (
  source: string | Record<string, unknown>,
  options: LoadOptions & ResolveOptions = {},
): Promise<ModelTokenizer> => {
  const { revision, offline, cacheDir, onProgress, ...reading } = options
  if (typeof source !== 'string') return loadTokenizerAs(ModelTokenizer, source, reading)
  const path = await resolveModel(source, { revision, offline, cacheDir, onProgress })
  if (!(path.endsWith('.gguf') && (await stat(path)).isFile())) return loadTokenizerAs(ModelTokenizer, path, reading)
  const file = await openGguf(path)
  try {
    const { tokenizer, config } = ggufTokenizer(file)
    return await loadTokenizerAs(ModelTokenizer, tokenizer, { ...reading, config })
  } finally {
    file.close()
  }
}
