// Whether an answer follows the instructions of IFEval that a program can verify. Two need a model of another party and are
// left out: `language:response_language` (a language detector) and `length_constraints:number_sentences` (a sentence splitter).
// @source Zhou et al. 2023, arXiv:2311.07911; lm-eval 0.4.13, tasks/ifeval
import { spacedWords, trimmed } from '../../metrics/white-space.ts'

// @source Marcus et al. 1993; nltk.word_tokenize without its sentence model
/** Marks that are words of their own wherever they stand. */
const marks = /([\][(){}<>;@#$%&?!"“”«»…]|\.{2,}|--+|[:,](?!\d)|['’‘](?=\s|$)|(?<=^|\s)['’‘`]+)/g
const contraction = /(?<=\w)(n['’]t|['’](?:s|m|d|ll|re|ve))(?=\s|$)/gi
/** Two words that are written as one. */
const joined = /\b(can)(not)\b|\b(gim|lem)(me)\b|\b(gon|wan)(na)\b|\b(got)(ta)\b|\b(d)('ye)\b/gi

const treebankWords = (text: string): string[] =>
  text
    .replace(marks, ' $1 ')
    // A full stop at the end of the text is no part of its last word.
    .replace(/([^.\s])\.(?=["')\]}>]*\s*$)/, '$1 .')
    .replace(contraction, ' $1')
    .replace(joined, (word) => word.replace(/^(can|gim|lem|gon|wan|got|d)/i, '$1 '))
    .split(/\s+/)
    .filter((word) => word !== '')

/** Whether a text has letters with case, and all of them are capitals: Python's `isupper`. */
const isUpperCase = (text: string): boolean => text === text.toUpperCase() && text !== text.toLowerCase()

/** Whether a text has letters with case, and none of them is a capital: Python's `islower`. */
const isLowerCase = (text: string): boolean => text === text.toLowerCase() && text !== text.toUpperCase()

/** Arguments of an instruction, by the names of the data set. */
type InstructionArguments = Readonly<Record<string, unknown>>

type Check = (answer: string, given: InstructionArguments) => boolean

const number = (given: InstructionArguments, name: string): number => Number(given[name] ?? 0)
const text = (given: InstructionArguments, name: string): string => String(given[name] ?? '')
const texts = (given: InstructionArguments, name: string): string[] =>
  Array.isArray(given[name]) ? given[name].map(String) : []

/** `less than` or `at least`, as the argument says. */
const holds = (count: number, given: InstructionArguments, limit: string, relation: string): boolean =>
  text(given, relation) === 'less than' ? count < number(given, limit) : count >= number(given, limit)

const matches = (answer: string, pattern: RegExp): string[] => [...answer.matchAll(pattern)].map(([found]) => found)

/** The keyword as a regular expression, as the data set means it, or as plain text where it is none. */
const keyword = (word: string, flags: string, around = ''): RegExp => {
  try {
    return new RegExp(`${around}${word}${around}`, flags)
  } catch {
    return new RegExp(`${around}${word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}${around}`, flags)
  }
}

/** Python's `\b` and `\w` know letters of all alphabets. */
const wordEdge = String.raw`(?:(?<=[\p{L}\p{N}_])(?![\p{L}\p{N}_])|(?<![\p{L}\p{N}_])(?=[\p{L}\p{N}_]))`

const paragraphsOf = (parts: readonly string[]): number | undefined => {
  const inner = parts.slice(1, -1)
  if (inner.some((part) => trimmed(part) === '')) return undefined
  const ends = parts.length === 1 ? parts : [parts[0], parts[parts.length - 1]]
  return parts.length - ends.filter((part) => trimmed(part) === '').length
}

/** Lower-case letters of the first word up to a punctuation mark. */
const firstWord = (paragraph: string): string => {
  const word = spacedWords(paragraph)[0].replace(/^'+/, '').replace(/^"+/, '')
  return (/^[^.,?!'"]*/.exec(word)?.[0] ?? '').toLowerCase()
}

const isJson = (answer: string): boolean => {
  let rest = trimmed(answer)
  // Each prefix is removed once, in this order.
  for (const prefix of ['```json', '```Json', '```JSON', '```'])
    if (rest.startsWith(prefix)) rest = rest.slice(prefix.length)
  if (rest.endsWith('```')) rest = rest.slice(0, -3)
  // Python's reader takes these numbers too.
  rest = rest.replace(/(?<=^|[[,:\s])-?(?:NaN|Infinity)(?=$|[\],}\s])/g, '0')
  try {
    JSON.parse(trimmed(rest))
    return true
  } catch {
    return false
  }
}

const postscripts: Readonly<Record<string, RegExp>> = {
  'P.P.S': /\s*p\.\s?p\.\s?s.*$/m,
  'P.S.': /\s*p\.\s?s\..*$/m,
}

const twoResponses: Check = (answer) => {
  const parts = answer.split('******')
  const inner = parts.slice(1, -1)
  if (inner.some((part) => trimmed(part) === '')) return false
  const responses = parts.map(trimmed).filter((part) => part !== '')
  return responses.length === 2 && responses[0] !== responses[1]
}

const highlighted: Check = (answer, given) => {
  const single = matches(answer, /\*[^\n*]*\*/g).filter((part) => trimmed(part.replace(/^\*+|\*+$/g, '')) !== '')
  const double = matches(answer, /\*\*[^\n*]*\*\*/g).filter((part) => trimmed(part.slice(2, -2)) !== '')
  return single.length + double.length >= number(given, 'num_highlights')
}

const paragraphStart: Check = (answer, given) => {
  const paragraphs = answer.split('\n\n')
  const count = paragraphs.filter((paragraph) => trimmed(paragraph) !== '').length
  const nth = number(given, 'nth_paragraph')
  if (nth > count) return false
  const paragraph = trimmed(paragraphs[nth - 1])
  if (paragraph === '') return false
  return count === number(given, 'num_paragraphs') && firstWord(paragraph) === text(given, 'first_word').toLowerCase()
}

const checks: Readonly<Record<string, Check>> = {
  'keywords:existence': (answer, given) => texts(given, 'keywords').every((word) => keyword(word, 'i').test(answer)),
  'keywords:frequency': (answer, given) =>
    holds(matches(answer, keyword(trimmed(text(given, 'keyword')), 'gi')).length, given, 'frequency', 'relation'),
  'keywords:forbidden_words': (answer, given) =>
    texts(given, 'forbidden_words').every((word) => !keyword(word, 'iu', wordEdge).test(answer)),
  'keywords:letter_frequency': (answer, given) => {
    const letter = trimmed(text(given, 'letter')).toLowerCase()
    const count = [...answer.toLowerCase()].filter((one) => one === letter).length
    return holds(count, given, 'let_frequency', 'let_relation')
  },
  'length_constraints:number_paragraphs': (answer, given) =>
    paragraphsOf(answer.split(/\s?\*\*\*\s?/)) === number(given, 'num_paragraphs'),
  'length_constraints:number_words': (answer, given) =>
    holds(matches(answer, /[\p{L}\p{N}_]+/gu).length, given, 'num_words', 'relation'),
  'length_constraints:nth_paragraph_first_word': paragraphStart,
  'detectable_content:number_placeholders': (answer, given) =>
    matches(answer, /\[.*?\]/g).length >= number(given, 'num_placeholders'),
  'detectable_content:postscript': (answer, given) => {
    const marker = trimmed(text(given, 'postscript_marker'))
    const pattern = postscripts[marker] ?? keyword(marker.toLowerCase(), 'm')
    return pattern.test(answer.toLowerCase())
  },
  'detectable_format:number_bullet_lists': (answer, given) =>
    matches(answer, /^\s*\*[^*].*$/gm).length + matches(answer, /^\s*-.*$/gm).length === number(given, 'num_bullets'),
  'detectable_format:constrained_response': (answer) =>
    ['My answer is yes.', 'My answer is no.', 'My answer is maybe.'].some((option) => answer.includes(option)),
  'detectable_format:number_highlighted_sections': highlighted,
  'detectable_format:multiple_sections': (answer, given) =>
    answer.split(keyword(String.raw`\s?${trimmed(text(given, 'section_spliter'))}\s?\d+\s?`, 'u')).length - 1 >=
    number(given, 'num_sections'),
  'detectable_format:json_format': isJson,
  'detectable_format:title': (answer) =>
    matches(answer, /<<[^\n]+>>/g).some((title) => trimmed(title.replace(/^<+|>+$/g, '')) !== ''),
  'combination:two_responses': twoResponses,
  'combination:repeat_prompt': (answer, given) =>
    trimmed(answer)
      .toLowerCase()
      .startsWith(trimmed(text(given, 'prompt_to_repeat')).toLowerCase()),
  'startend:end_checker': (answer, given) =>
    trimmed(answer)
      .replace(/^"+|"+$/g, '')
      .toLowerCase()
      .endsWith(trimmed(text(given, 'end_phrase')).toLowerCase()),
  'startend:quotation': (answer) => {
    const bare = trimmed(answer)
    return bare.length > 1 && bare.startsWith('"') && bare.endsWith('"')
  },
  'change_case:capital_word_frequency': (answer, given) =>
    holds(treebankWords(answer).filter(isUpperCase).length, given, 'capital_frequency', 'capital_relation'),
  'change_case:english_capital': isUpperCase,
  'change_case:english_lowercase': isLowerCase,
  'punctuation:no_comma': (answer) => !answer.includes(','),
}

export const checkableInstructions = Object.keys(checks)

/** The answer as it is, and without its first line, its last line and its asterisks: what the loose metrics look at. */
const looseForms = (answer: string): string[] => {
  const lines = answer.split('\n')
  const forms = [
    answer,
    trimmed(lines.slice(1).join('\n')),
    trimmed(lines.slice(0, -1).join('\n')),
    trimmed(lines.slice(1, -1).join('\n')),
  ]
  return [...forms, ...forms.map((form) => form.replaceAll('*', ''))]
}

/** Whether an answer follows an instruction, strictly and loosely; undefined for one that cannot be checked. */
export const followsInstruction = (
  answer: string,
  id: string,
  given: InstructionArguments,
): { strict: boolean; loose: boolean } | undefined => {
  if (!Object.hasOwn(checks, id)) return undefined
  const follows = (form: string) => trimmed(form) !== '' && checks[id](form, given)
  return { strict: follows(answer), loose: looseForms(answer).some(follows) }
}
