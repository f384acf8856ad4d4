// Whether an answer consists of named sections, such as <think>…</think><answer>…</answer>, each once and in their order.
// @source arXiv:2501.12948, section 2.2.2
import { z } from 'zod'
import { defineReward, scoreEach } from './reward.ts'

const countOf = (text: string, part: string): number => text.split(part).length - 1

/** Whether the text is exactly these sections, with nothing but white space around them. */
const hasForm = (text: string, sections: readonly string[]): boolean => {
  let rest = text.trim()
  for (const name of sections) {
    const [open, close] = [`<${name}>`, `</${name}>`]
    const end = rest.indexOf(close)
    if (!rest.startsWith(open) || end < 0) return false
    const inside = rest.slice(open.length, end)
    if (sections.some((other) => inside.includes(`<${other}>`) || inside.includes(`</${other}>`))) return false
    rest = rest.slice(end + close.length).trimStart()
  }
  return rest === ''
}

export const sections = defineReward({
  type: 'sections',
  source: 'arXiv:2501.12948',
  summary: 'Whether the answer consists of named sections in their order, such as <think>…</think><answer>…</answer>.',
  config: z.strictObject({
    sections: z
      .array(z.string().regex(/^[\w-]+$/, 'letters, digits, _ and -'))
      .min(1)
      .default(['think', 'answer'])
      .describe('names of the sections, in their order'),
    begins: z
      .boolean()
      .default(false)
      .describe('the prompt already has the opening tag of the first section, so that answers begin inside it'),
    partial: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe('reward of an answer without the form that has every tag exactly once; less for fewer tags'),
  }),
  open: ({ sections: names, begins, partial }) => ({
    score: scoreEach(({ completion }) => {
      const text = begins ? `<${names[0]}>${completion}` : completion
      if (hasForm(text, names)) return 1
      const tags = names.flatMap((name) => [`<${name}>`, `</${name}>`])
      return (partial * tags.filter((tag) => countOf(text, tag) === 1).length) / tags.length
    }),
  }),
})
