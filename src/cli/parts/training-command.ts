// The folder of the run that a training command starts, from its words: what starts it again later needs it.
import { ConfigError } from '../../core/index.ts'
import { readRecipeFile } from '../recipe-file.ts'

const flagValue = (words: readonly string[], flag: string): string | undefined => {
  const at = words.findIndex((word) => word === flag || word.startsWith(`${flag}=`))
  if (at < 0) return undefined
  return words[at] === flag ? words[at + 1] : words[at].slice(flag.length + 1)
}

const training = ['pretrain', 'finetune', 'multitask', 'align', 'resume']

/**
 * The folder that a training command writes. @throws ConfigError for another command, or one without a folder
 * @param use command or flag that needs it, for messages
 */
export const runFolderOf = async (words: readonly string[], use: string): Promise<string> => {
  if (!training.includes(words[0]))
    throw new ConfigError(`Expected one of ${training.join(', ')} after \`--\`, got \`${words.join(' ')}\`.`)
  if (words[0] === 'resume' && words[1] !== undefined && !words[1].startsWith('-')) return words[1]
  const path = flagValue(words, '--recipe')
  const out = flagValue(words, '--out') ?? (path === undefined ? undefined : (await readRecipeFile(path)).out)
  if (typeof out === 'string') return out
  throw new ConfigError(
    `\`${use}\` needs the folder of the run, to resume it: give \`--out\` in the command or in its recipe, or the folder first after \`resume\`.`,
  )
}
