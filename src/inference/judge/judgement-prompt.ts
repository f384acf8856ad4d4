// What a judge is asked about two answers, and what its words mean.
import { ConfigError } from '../../core/index.ts'
import { parseTemplate, runTemplate } from '../../tokenizers/index.ts'
import type { EndpointMessage } from './endpoint.ts'

/** The better answer by its place, or neither. */
export type Verdict = 'first' | 'second' | 'tie'

/** A question with the two answers in the order in which the judge sees them. */
export interface Judged {
  question: string
  first: string
  second: string
  /** A reference answer, where the data has one and the judge may see it. */
  reference?: string
}

const task = `You compare two answers to a question. Choose the one that serves the person who asked better: it must be correct first, then complete, then clear. Neither the order of the answers nor their length counts.
Give your reasons in one or two sentences. Then end with one line that has only [[A]] if answer A is better, [[B]] if answer B is better, or [[tie]] if neither is.`

/** The usual prompt, a Jinja template. */
export const usualJudgePrompt = `Question:
{{ question }}

{% if reference %}
A correct answer, for comparison:
{{ reference }}

{% endif %}
Answer A:
{{ first }}

Answer B:
{{ second }}

Which answer is better?`

/**
 * Makes the messages for a pair of answers. @param template Jinja source with `question`, `first`, `second` and, if wanted, `reference`
 * @throws ConfigError for a template that cannot be parsed or does not show both answers
 */
export const judgePrompt = (template: string): ((judged: Judged) => EndpointMessage[]) => {
  const refuse = (fault: string): never => {
    throw new ConfigError(`Expected a Jinja template for \`prompt\`, ${fault}.`)
  }
  const program = (() => {
    try {
      return parseTemplate(template, { trims: true })
    } catch (error) {
      return refuse(`got one that cannot be parsed: ${(error as Error).message}`)
    }
  })()
  const textOf = (judged: Judged): string => {
    try {
      return runTemplate(program, { ...judged }).text
    } catch (error) {
      return refuse(`got one that fails: ${(error as Error).message}`)
    }
  }
  const probe = textOf({ question: '<question>', first: '<first>', second: '<second>' })
  for (const name of ['question', 'first', 'second'])
    if (!probe.includes(`<${name}>`)) refuse(`with {{ ${name} }}, got one without it`)
  return (judged) => [
    { role: 'system', content: task },
    { role: 'user', content: textOf(judged) },
  ]
}

/** The verdict in an answer of the judge: its last mark counts; undefined without one. [[C]] is MT-Bench's tie. */
export const verdictIn = (text: string): Verdict | undefined => {
  const mark = [...text.matchAll(/\[\[\s*(A|B|C|tie)\s*\]\]/gi)].at(-1)?.[1].toLowerCase()
  if (mark === undefined) return undefined
  return mark === 'a' ? 'first' : mark === 'b' ? 'second' : 'tie'
}
