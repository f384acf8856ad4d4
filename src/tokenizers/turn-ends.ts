// Finds how a chat template ends an assistant turn (by tokens, or by text if there is no end token) and whether it
// starts with the start token, by rendering a short conversation.
import { type ChatOptions, renderChatFor, templateSource } from './chat/index.ts'
import { eosNames } from './special-tokens.ts'
import type { Tokenizer } from './tokenizer.ts'

/** What ends an assistant turn. */
export interface TurnEnds {
  /** Ids of end tokens, including the tokenizer's own. */
  ids: number[]
  /** Stop strings: text that starts the next turn, for templates without an end token. */
  stop: string[]
}

const answer = 'So it is.'
const question = 'Why is that so?'

/**
 * The end tokens and stop strings of a chat template. A template that cannot render gives the tokenizer's end token.
 */
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
  // The first line that is not blank, with the line breaks before it. Special tokens do not appear in decoded text.
  const mark = /^\s*\S[^\n]*/.exec(between)?.[0].trimEnd()
  const shows = mark !== undefined && !specials.some(({ content }) => mark.includes(content))
  return { ids: [...ids], stop: shows ? [mark] : [] }
}

/** The token that can end an answer: the end token, else the separator of BERT's tokenizers, else an end token without a role. */
const endTokenOf = ({ special: { eos, sep }, addedTokens }: Tokenizer): string | undefined =>
  eos?.token ?? sep?.token ?? eosNames.find((name) => addedTokens.some(({ token: { content } }) => content === name))

/**
 * A preset as it fits the tokenizer: with the start token, if the tokenizer adds one to every text, and with another token that ends
 * answers, if the tokenizer has no end token. Other templates are returned as is.
 */
export const fitTemplate = (tokenizer: Tokenizer, template: string): string => {
  const source = templateSource(template)
  if (source === template) return template
  const { bos, eos } = tokenizer.special
  const end = endTokenOf(tokenizer)
  const ended = eos === undefined && end !== undefined ? source.replaceAll('eos_token', `'${end}'`) : source
  const adds = bos !== undefined && tokenizer.encode('a').ids[0] === bos.id
  return adds && !source.includes('bos_token') ? `{{ bos_token }}${ended}` : ended
}
