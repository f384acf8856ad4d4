// The text of common templates of English Wikipedia; other templates have no text. Inline templates are words inside
// sentences (both modes); block templates are quotations, lists and wrappers (faithful mode). Arguments are rendered
// before.
import { superscript } from './formula.ts'

export interface TemplateArguments {
  /** Rendered positional argument, 1-based; empty when absent. */
  at(index: number): string
  /** Rendered named argument; empty when absent. */
  get(name: string): string
  /** Number of positional arguments. */
  readonly count: number
  /** Name as written, lower case. */
  readonly name: string
  /** Rendered with paragraphs and lists kept, for wrappers. */
  blocks(index: number | string): string
}

export type TemplateRenderer = (args: TemplateArguments) => string

const months = 'January February March April May June July August September October November December'.split(' ')

const first: TemplateRenderer = (args) => args.at(1)
const second: TemplateRenderer = (args) => args.at(2) || args.at(1)
const last: TemplateRenderer = (args) => args.at(args.count)
const constant =
  (text: string): TemplateRenderer =>
  () =>
    text

const date = (args: TemplateArguments, from = 1): string => {
  const year = args.at(from)
  const month = Number.parseInt(args.at(from + 1), 10)
  const day = args.at(from + 2)
  const name = months[month - 1]
  if (name === undefined) return year
  const dayFirst = /^(y|yes|1)$/i.test(args.get('df'))
  if (day === '') return `${name} ${year}`
  return dayFirst ? `${Number(day)} ${name} ${year}` : `${name} ${Number(day)}, ${year}`
}

const rangeWords: Record<string, string> = {
  '-': '–',
  '–': '–',
  to: ' to ',
  and: ' and ',
  or: ' or ',
  x: ' × ',
  by: ' by ',
  'to(-)': ' to ',
  '+/-': ' ± ',
  '±': ' ± ',
}

const multiples: Record<string, string> = { e3: 'thousand', e6: 'million', e9: 'billion', e12: 'trillion' }

/** The text of a unit code of `{{convert}}`: `e6acre` is million acre, `sqmi` is sq mi. */
const unitText = (code: string): string => {
  if (code === 'C' || code === 'F') return `°${code}`
  if (code === 'ftin') return 'ft'
  return code
    .replace(/^e(?:3|6|9|12)(?=[a-zA-Z])/, (power) => `${multiples[power]} `)
    .replace(/([a-z])2$/, '$1²')
    .replace(/([a-z])3$/, '$1³')
    .replace(/\b(sq|cu)(?=[a-z])/, '$1 ')
}

/** `{{convert|5|to|10|km|mi}}` becomes the source quantity, without the converted one. */
const convert: TemplateRenderer = (args) => {
  let value = args.at(1)
  let next = 2
  while (next < args.count && Object.hasOwn(rangeWords, args.at(next))) {
    value += `${rangeWords[args.at(next)]}${args.at(next + 1)}`
    next += 2
  }
  const unit = unitText(args.at(next))
  // Feet and inches, stones and pounds: a second number and unit belong to the first.
  const second =
    /^(?:ft|mi|yd|lb|st|oz)$/.test(args.at(next)) && /^[\d.]+$/.test(args.at(next + 1)) && args.at(next + 2)
  const rest = second ? ` ${args.at(next + 1)} ${unitText(args.at(next + 2))}` : ''
  return `${value} ${unit}${rest}`.trim()
}

const asOf: TemplateRenderer = (args) => {
  const alternative = args.get('alt')
  if (alternative !== '') return alternative
  const since = args.get('since') !== ''
  const lower = args.get('lc') !== ''
  const words = since ? (lower ? 'since' : 'Since') : lower ? 'as of' : 'As of'
  return `${words} ${/^\d+$/.test(args.at(2)) ? date(args) : args.at(1)}`.trim()
}

const nihongo: TemplateRenderer = (args) => {
  const inside = [args.at(2), args.at(3)].filter((part) => part !== '').join(' ')
  if (args.at(1) === '') return inside
  return inside === '' ? args.at(1) : `${args.at(1)} (${inside})`
}

const fraction: TemplateRenderer = (args) => {
  if (args.count >= 3) return `${args.at(1)} ${args.at(2)}/${args.at(3)}`
  return args.count === 2 ? `${args.at(1)}/${args.at(2)}` : `1/${args.at(1)}`
}

const value: TemplateRenderer = (args) => {
  const error = args.at(2) === '' ? '' : ` ± ${args.at(2)}`
  const exponent = args.get('e') === '' ? '' : ` × 10${superscript(args.get('e'))}`
  const unit = args.get('u') || args.get('ul')
  return `${args.at(1)}${error}${exponent}${unit === '' ? '' : ` ${unit}`}`
}

const all =
  (separator: string): TemplateRenderer =>
  (args) =>
    Array.from({ length: args.count }, (_, index) => args.at(index + 1)).join(separator)

const scientific: TemplateRenderer = (args) => ` × 10${superscript(args.at(1))}`

const names = (list: string, renderer: TemplateRenderer): [string, TemplateRenderer][] =>
  list.split(' ').map((name) => [name.replaceAll('_', ' '), renderer])

/** Templates inside sentences. */
export const inlineTemplates: ReadonlyMap<string, TemplateRenderer> = new Map([
  ...names(
    'nowrap nobr nobold noitalic small smaller big bigger larger smallcaps sc sc2 allcaps em strong mono code tt kbd var mvar ' +
      'math sub resize linktext vanchor visible_anchor angbr angle_bracket keypress key_press native_name longitem ' +
      'transliteration3 ill interlanguage_link link-interwiki uss hms text pslink abbr tooltip hover_title nts number ' +
      'formatnum: strike underline u no_italic noitalics italic_correction nastaliq first_word flag flagcountry ' +
      'abbrlink sclass lsj unicode okina_text ipa ipa_link definition term dunno dts',
    first,
  ),
  ...names('sup', (args) => superscript(args.at(1))),
  ...names('lang langx script transl transliteration xlit rtl-lang color font_color colored_text rtl lang-rtl', last),
  ...names('convert cvt', convert),
  ...names('as_of asof', asOf),
  ...names('nihongo nihongo2 nihongo3 nihongo_foot', nihongo),
  ...names('frac fraction sfrac', fraction),
  ...names('val', value),
  ...names('e', scientific),
  ...names('chem chem2 simplenuclide nuclide', all('')),
  ...names('pow', (args) => `${args.at(1)}${superscript(args.at(2))}`),
  ...names('circa c. ca.', (args) => `c. ${args.at(1)}`.trim()),
  ...names('floruit fl.', (args) => `fl. ${args.at(1)}`.trim()),
  ...names('reign r.', (args) => `r. ${[args.at(1), args.at(2)].filter(Boolean).join('–')}`),
  ...names('sic', (args) => args.at(1) || '[sic]'),
  ...names(
    'birth_date birth_date_and_age start_date start_date_and_age end_date film_date dob bda release_date',
    (args) => date(args),
  ),
  ...names('death_date death_date_and_age death-date', (args) => date(args)),
  ...names('birth-date birth-date_and_age start-date end-date death-date_and_age', first),
  ...names('marriage', (args) => [args.at(1), args.at(2)].filter(Boolean).join(', ')),
  ...names('url official_url', second),
  ...names('usd us$', (args) => `US$${args.at(1)}`),
  ...names('gbp £', (args) => `£${args.at(1)}`),
  ...names('eur euro €', (args) => `€${args.at(1)}`),
  ...names('inr indian_rupee', (args) => `₹${args.at(1)}`),
  ...names('ndash en_dash', constant('–')),
  ...names('mdash em_dash', constant('—')),
  ...names('snd spnd spaced_ndash snds spaced_en_dash ndashb', constant(' – ')),
  ...names('mdashb spaced_mdash', constant(' — ')),
  ...names('nbsp spaces space thinsp hair_space zwsp', constant(' ')),
  ...names('· dot middot bullet • bull', constant(' · ')),
  ...names("'", constant("'")),
  ...names("'s", constant("'s")),
  ...names('" \'"', constant('"')),
  ...names('! pipe', constant('|')),
  ...names('=', constant('=')),
  ...names('-', constant('-')),
  ...names('okina', constant('ʻ')),
  ...names('vr vol.', constant('')),
  ...names('p. pp.', first),
])

const quotation: TemplateRenderer = (args) => {
  const text = args.blocks('text') || args.blocks('quote') || args.blocks('1') || args.blocks(1)
  const by = args.get('author') || args.get('sign') || args.at(2)
  const source = args.get('title') || args.get('source') || args.at(3)
  const credit = [by, source].filter((part) => part !== '').join(', ')
  return text === '' ? '' : `\n\n${text}${credit === '' ? '' : `\n\n— ${credit}`}\n\n`
}

const listed: TemplateRenderer = (args) =>
  `\n${Array.from({ length: args.count }, (_, index) => `* ${args.at(index + 1)}`).join('\n')}\n`

/** Templates that are separate blocks. */
export const blockTemplates: ReadonlyMap<string, TemplateRenderer> = new Map([
  ...names(
    'quote blockquote cquote quotation bquote rquote quote_box quotebox centered_pull_quote poemquote pull_quote',
    quotation,
  ),
  ...names('plainlist flatlist div_col columns-list center col-float columns block_indent indent', (args) => {
    const text = args.blocks(1) || args.blocks('content') || args.blocks('1')
    return `\n${text}\n`
  }),
  ...names('hlist', all(' · ')),
  ...names('ubl unbulleted_list vunblist ubt plain_list bulleted_list ordered_list vlist', listed),
])
