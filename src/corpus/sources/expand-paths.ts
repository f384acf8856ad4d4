// Expands the path of a source to the inputs that the source opens.
import { expandFiles } from '../../files/index.ts'
import type { SourceContext, SourceDefinition } from './source.ts'

/**
 * The inputs that a path names for a source: files by default (see `expandFiles`), or those of the source's own
 * `expand`.
 * @throws DataError when nothing is found
 */
export const expandPaths = async <Config>(
  source: SourceDefinition<Config>,
  path: string,
  config: Config,
  context: SourceContext = {},
): Promise<string[]> => {
  if (source.expand !== undefined) return source.expand(path, config, context)
  return expandFiles(path, source.extensions)
}
