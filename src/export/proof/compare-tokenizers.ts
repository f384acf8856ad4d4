// Compares the tokenizer of an export with that of the model: ids of every text, with and without special tokens, and what their chat
// templates render.

import { type ChatMessage, renderChatFor } from '../../tokenizers/index.ts'
import type { ExportSource, ProofRow } from '../export-target.ts'

/** What the comparison needs of a tokenizer. */
interface Encoder {
  encode(text: string, options?: { addSpecialTokens?: boolean }): { ids: ArrayLike<number> }
}

const probes = [
  'Hello, world!  3 spaces:   end',
  "I'd've said 1234567.89 isn't ½",
  'naïve Füße 你好 Привет',
  'a\n\n\tb  \r\nc',
  '<|x|> #42 @me',
]

const same = (a: ArrayLike<number>, b: ArrayLike<number>): boolean => Array.from(a).join() === Array.from(b).join()

/** One row; `detail` shows the first words with other ids. */
export const compareTokenizers = (
  { tokenizer }: ExportSource,
  other: Encoder,
  texts: readonly string[],
  { target, consumer }: { target: string; consumer: string },
): ProofRow => {
  const all = [...texts, ...probes, '']
  const different = all.filter(
    (text) =>
      !same(tokenizer.encode(text).ids, other.encode(text).ids) ||
      !same(
        tokenizer.encode(text, { addSpecialTokens: false }).ids,
        other.encode(text, { addSpecialTokens: false }).ids,
      ),
  )
  const words = [...new Set(different.flatMap((text) => text.split(/(?=\s)/)))].filter(
    (word) => !same(tokenizer.encode(word).ids, other.encode(word).ids),
  )
  return {
    target,
    consumer,
    check: 'token ids',
    value: `${all.length - different.length} of ${all.length} texts`,
    ok: different.length === 0,
    ...(different.length === 0
      ? {}
      : { detail: `other ids for ${JSON.stringify(words.length > 0 ? words.slice(0, 8) : different.slice(0, 2))}` }),
  }
}

const conversations: readonly ChatMessage[][] = [
  [{ role: 'user', content: 'What is 2 + 2?' }],
  [
    { role: 'system', content: 'Answer in one word.' },
    { role: 'user', content: 'Is the sky blue?\n\nSay "yes" or "no".' },
  ],
  [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: 'Hello!' },
    { role: 'user', content: '  Größe?  ' },
  ],
]

/** A rendered conversation. Templates refuse some, such as those with a system message: that must agree too. */
const outcome = async (render: () => string | Promise<string>): Promise<string> => {
  try {
    return `rendered ${await render()}`
  } catch {
    return 'refused'
  }
}

/** One row; none for a model without a template. */
export const compareTemplates = async (
  { tokenizer, chatTemplate }: ExportSource,
  render: (messages: readonly ChatMessage[]) => string | Promise<string>,
  { target, consumer }: { target: string; consumer: string },
): Promise<ProofRow[]> => {
  if (chatTemplate === undefined) return []
  const results = await Promise.all(
    conversations.map(async (messages) => [
      await outcome(() => renderChatFor(tokenizer, messages, { addGenerationPrompt: true })),
      await outcome(() => render(messages)),
    ]),
  )
  const different = results.filter(([ours, theirs]) => ours !== theirs)
  return [
    {
      target,
      consumer,
      check: 'rendered chat template',
      value: `${results.length - different.length} of ${results.length} conversations`,
      ok: different.length === 0,
      ...(different.length === 0
        ? {}
        : { detail: `expected ${JSON.stringify(different[0][0])}, got ${JSON.stringify(different[0][1])}` }),
    },
  ]
}
