// Entities of a sequence of tags: lenient, as CoNLL's script and seqeval read them, or strict by a tagging scheme.
// @source Tjong Kim Sang and Buchholz 2000, aclanthology.org/W00-0726 (schemes); seqeval 1.2.2, whose results these are
import { ConfigError } from '../../core/index.ts'

/** An entity of a sentence. */
export interface EntitySpan {
  type: string
  /** The first token, and the one after the last. */
  start: number
  end: number
}

interface Tag {
  prefix: string
  type: string
}

/** Patterns of strict schemes: [previous tag][tag][= same type, ! another type, * any]; several letters are alternatives. */
interface Scheme {
  letters: string
  starts: readonly string[]
  inside: readonly string[]
  ends: readonly string[]
}

const any = 'BIOESLU'

const schemes = {
  iob1: {
    letters: 'BIO',
    starts: ['O I *', 'I I !', 'B I *', 'IB B ='],
    inside: ['BI I ='],
    ends: ['IB I !', 'I OB *', 'B O *', 'B B ='],
  },
  iob2: { letters: 'BIO', starts: [`${any} B *`], inside: ['BI I ='], ends: ['BI OB *', 'BI I !'] },
  ioe1: {
    letters: 'IOE',
    starts: ['OE I *', 'I I !', 'E E ='],
    inside: ['I IE ='],
    ends: ['I I !', 'I O *', 'I E !', 'E IE ='],
  },
  ioe2: {
    letters: 'IOE',
    starts: ['OE IE *', 'I IE !'],
    inside: ['I IE ='],
    ends: [`E ${any} *`],
  },
  iobes: {
    letters: 'BIOES',
    starts: [`${any} BS *`],
    inside: ['BI IE ='],
    ends: [`SE ${any} *`],
  },
  bilou: {
    letters: 'BIOLU',
    starts: [`${any} BU *`],
    inside: ['BI IL ='],
    ends: [`UL ${any} *`],
  },
} as const satisfies { [name: string]: Scheme }

/** Names of the tagging schemes. */
export const entitySchemes = ['lenient', ...(Object.keys(schemes) as (keyof typeof schemes)[])] as const
/** `lenient`, or a strict tagging scheme. */
export type EntityScheme = (typeof entitySchemes)[number]

const outside: Tag = { prefix: 'O', type: '_' }

/** @throws ConfigError for a tag that is not of the scheme */
const parsed = (tag: string, letters: string): Tag => {
  const prefix = tag[0] ?? ''
  const named = tag.length === 1 || (tag[1] === '-' && tag.length > 2)
  const isTag = tag === 'O' || (prefix !== '' && letters.includes(prefix) && named)
  if (!isTag)
    throw new ConfigError(
      `Expected a tag such as O or ${letters.replace('O', '')[0]}-NAME, with one of the letters ${letters}, got "${tag}".`,
    )
  return { prefix, type: tag.slice(2) || '_' }
}

/** Entities whose borders need no prefix: a change of type is enough. */
const lenientSpans = (tags: readonly Tag[]): EntitySpan[] => {
  const spans: EntitySpan[] = []
  let before = outside
  let start = 0
  for (let i = 0; i <= tags.length; i++) {
    const tag = tags[i] ?? outside
    const opens = 'BS'.includes(tag.prefix)
    const changes = tag.type !== before.type
    if (before.prefix !== 'O' && ('ES'.includes(before.prefix) || opens || tag.prefix === 'O' || changes))
      spans.push({ type: before.type, start, end: i })
    if (tag.prefix !== 'O' && (opens || 'ESO'.includes(before.prefix) || changes)) start = i
    before = tag
  }
  return spans
}

const fits = (patterns: readonly string[], before: Tag, tag: Tag): boolean =>
  patterns.some((pattern) => {
    const [first, second, types] = pattern.split(' ')
    if (!first.includes(before.prefix) || !second.includes(tag.prefix)) return false
    return types === '*' || (types === '=') === (before.type === tag.type)
  })

const strictSpans = (tags: readonly Tag[], { starts, inside, ends }: Scheme): EntitySpan[] => {
  const spans: EntitySpan[] = []
  const at = (i: number) => tags[i] ?? outside
  for (let i = 0; i < tags.length; ) {
    if (!fits(starts, at(i - 1), at(i))) {
      i++
      continue
    }
    let end = i + 1
    while (end < tags.length && fits(inside, at(end - 1), at(end))) end++
    if (fits(ends, at(end - 1), at(end))) spans.push({ type: at(i).type, start: i, end })
    i = end
  }
  return spans
}

/** The entities of a sequence of tags. @throws ConfigError for a tag that is not of the scheme */
export const entitySpans = (tags: readonly string[], scheme: EntityScheme = 'lenient'): EntitySpan[] => {
  if (scheme === 'lenient') return lenientSpans(tags.map((tag) => parsed(tag, 'BIOES')))
  const strict: Scheme = schemes[scheme]
  return strictSpans(
    tags.map((tag) => parsed(tag, strict.letters)),
    strict,
  )
}
