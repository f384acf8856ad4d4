// A question made from a pattern with places for texts, one of which may be shortened where there is no room. Knows no task.
import { ConfigError } from '../../core/index.ts'
import type { ChatPrompt } from './chat-encoder.ts'

/**
 * The user's turn by a pattern such as `Summarize this.\n\n{text}`. Braces in the texts themselves stay as they are.
 * @param source which of the texts may be shortened @throws ConfigError for a pattern without a place for it
 */
export const fillPrompt = (pattern: string, texts: { readonly [name: string]: string }, source: string): ChatPrompt => {
  let content = ''
  let found: [number, number] | undefined
  for (const part of pattern.split(/(\{\w+\})/)) {
    const name = part.slice(1, -1)
    if (!part.startsWith('{') || !Object.hasOwn(texts, name)) {
      content += part
      continue
    }
    if (name === source) found ??= [content.length, content.length + texts[name].length]
    content += texts[name]
  }
  if (found === undefined)
    throw new ConfigError(
      `Expected a place {${source}} in \`prompt\`, got ${JSON.stringify(pattern)}. Places are ${Object.keys(texts)
        .map((name) => `{${name}}`)
        .join(', ')}.`,
    )
  // White space at the ends says nothing, and templates differ in what they do with it.
  const lead = content.length - content.trimStart().length
  const kept = content.trim()
  return {
    turns: [{ role: 'user', content: kept }],
    source: [Math.max(0, found[0] - lead), Math.min(kept.length, found[1] - lead)],
  }
}
