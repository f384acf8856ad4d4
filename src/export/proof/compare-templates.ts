// Compares what chat templates render: of the model, and of the files that were written.
import { type ChatMessage, renderChatFor } from '../../tokenizers/index.ts'
import type { ExportSource, ProofRow } from '../export-target.ts'

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
