// What a chat template and a tokenizer make of the borders of a conversation: its start token, and what ends an answer, tokens, or text where
// a model has no token for it. Found by asking the template.
import { type ChatOptions, renderChatFor, templateSource } from './chat/index.ts'
import type { Tokenizer } from './tokenizer.ts'

export interface TurnEnds {
  /** Ids of end tokens, the tokenizer's own among them. */
  ids: number[]
  /** Text that only comes when the model speaks for the other side. */
  stop: string[]
}

const answer = 'So it is.'
const question = 'Why is that so?'

/** Never throws: a template that refuses a plain conversation ends with the tokenizer's end token. */
export const turnEnds = (tokenizer: Tokenizer, options: Pick<ChatOptions, 'template'> = {}): TurnEnds => {
  const { eos } = tokenizer.special
  const ids = new Set(eos === undefined ? [] : [eos.id])
  let text: string
  try {
    text = renderChatFor(
      tokenizer,
      [
        { role: 'user', content: 'Is it?' },
        { role: 'assistant', content: answer },
        { role: 'user', content: question },
      ],
      options,
    )
  } catch {
    return { ids: [...ids], stop: [] }
  }
  const from = text.indexOf(answer) + answer.length
  const to = text.indexOf(question, from)
  if (from < answer.length || to < from) return { ids: [...ids], stop: [] }
  let between = text.slice(from, to)
  const specials = tokenizer.addedTokens.map(({ token: { content }, id }) => ({ content, id }))
  if (eos !== undefined) specials.push({ content: eos.token, id: eos.id })
  const trimmed = between.trimStart()
  const end = specials
    .filter(({ content }) => content !== '' && trimmed.startsWith(content))
    .sort((a, b) => b.content.length - a.content.length)[0]
  if (end !== undefined) {
    ids.add(end.id)
    between = trimmed.slice(end.content.length)
  }
  // The first line that says something, with the breaks before it; special tokens never show in text.
  const mark = /^\s*\S[^\n]*/.exec(between)?.[0].trimEnd()
  const shows = mark !== undefined && !specials.some(({ content }) => mark.includes(content))
  return { ids: [...ids], stop: shows ? [mark] : [] }
}

/** A preset with the start token in front, where the tokenizer puts one before any text; other templates say that themselves. */
export const withStart = (tokenizer: Tokenizer, template: string): string => {
  const source = templateSource(template)
  const { bos } = tokenizer.special
  const adds = bos !== undefined && tokenizer.encode('a').ids[0] === bos.id
  return source !== template && adds && !source.includes('bos_token') ? `{{ bos_token }}${source}` : source
}
