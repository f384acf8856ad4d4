// Prompts from a pattern with placeholders for texts, one of which may be truncated.
import { ConfigError, show } from '../../core/index.ts'
import { type Checked, fault } from '../records/columns.ts'
import type { Fields } from '../records/row.ts'
import type { ChatPrompt } from './chat-encoder.ts'

/**
 * The user's turn from a pattern such as `Summarize this.\n\n{text}`. Braces in the texts themselves are not replaced.
 * @param source the text that may be truncated @throws ConfigError for a pattern without its placeholder
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
      `Expected the placeholder {${source}} in \`prompt\`, got ${JSON.stringify(pattern)}. Placeholders are ${Object.keys(
        texts,
      )
        .map((name) => `{${name}}`)
        .join(', ')}.`,
    )
  // Templates differ in how they treat white space at the ends, so it is removed here.
  const lead = content.length - content.trimStart().length
  const kept = content.trim()
  return {
    turns: [{ role: 'user', content: kept }],
    source: [Math.max(0, found[0] - lead), Math.min(kept.length, found[1] - lead)],
  }
}

/** A pattern such as `{question} Answer:` with the columns of a row, whose values are texts or numbers. */
export const fillColumns = (pattern: string, values: Fields): Checked<string> => {
  let content = ''
  for (const part of pattern.split(/(\{\w+\})/)) {
    const name = part.slice(1, -1)
    if (!/^\{\w+\}$/.test(part)) {
      content += part
      continue
    }
    const value = values[name]
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'bigint')
      return fault('no-text', `Expected text in column "${name}", which \`pattern\` names, got ${show(value)}.`)
    content += String(value)
  }
  return { value: content }
}
