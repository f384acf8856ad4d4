// Texts and models of commands that divide their work: the same on every process.
import { shortHash } from '../../distributed/index.ts'
import { modelFilesHash } from '../../features/index.ts'
import type { CommandContext } from '../command.ts'
import { readTexts, STDIN } from './read-texts.ts'

/**
 * The texts of a file, as `readTexts` gives them. Standard input is that of the first process.
 * @throws ConfigError for processes with other texts
 */
export const readSharedTexts = async (
  path: string,
  column: string,
  { group, warn }: Pick<CommandContext, 'group' | 'warn'>,
): Promise<string[]> => {
  const read = () => readTexts(path, column, warn)
  if (group !== undefined && path === STDIN) return group.fromFirst(read)
  const texts = await read()
  await group?.expectEqual({ texts: shortHash(texts) })
  return texts
}

/** @throws ConfigError for processes with other files of a model */
export const expectSameModel = async (
  { group }: Pick<CommandContext, 'group'>,
  folder: string | undefined,
): Promise<void> => {
  if (group !== undefined && folder !== undefined) await group.expectEqual({ model: await modelFilesHash(folder) })
}
