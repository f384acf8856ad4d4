// The tokenizer of whatever names a model: a folder, a tokenizer's file, a .gguf file, a Hub id.
import { stat } from 'node:fs/promises'
import { type LoadOptions, loadTokenizer as loadFromFiles, type Tokenizer } from '../tokenizers/index.ts'
import { openGguf } from './gguf.ts'
import { ggufTokenizer } from './gguf-tokenizer.ts'
import { type ResolveOptions, resolveModel } from './hub.ts'

/**
 * @param source a path, a Hub id, or the content of a tokenizer.json
 * @throws DataError or CheckpointError when nothing usable is there
 */
export const loadTokenizer = async (
  source: string | Record<string, unknown>,
  options: LoadOptions & ResolveOptions = {},
): Promise<Tokenizer> => {
  const { revision, offline, cacheDir, onProgress, ...reading } = options
  if (typeof source !== 'string') return loadFromFiles(source, reading)
  const path = await resolveModel(source, { revision, offline, cacheDir, onProgress })
  if (!(path.endsWith('.gguf') && (await stat(path)).isFile())) return loadFromFiles(path, reading)
  const file = await openGguf(path)
  try {
    const { tokenizer, config } = ggufTokenizer(file)
    return await loadFromFiles(tokenizer, { ...reading, config })
  } finally {
    file.close()
  }
}
