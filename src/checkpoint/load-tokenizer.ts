// Loads the tokenizer of a model from a folder, a tokenizer file, a .gguf file or a Hub id.
import { stat } from 'node:fs/promises'
import { type LoadOptions, loadTokenizerAs } from '../tokenizers/index.ts'
import { openGguf } from './gguf.ts'
import { ggufTokenizer } from './gguf-tokenizer.ts'
import { type ResolveOptions, resolveModel } from './hub.ts'
import { ModelTokenizer } from './model-tokenizer.ts'

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
