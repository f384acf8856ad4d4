// Wikitext constructs one by one. What MediaWiki shows for each is from its help pages (Help:Links, Help:Formatting,
// Help:Tables, Help:Templates) and was worked out by hand.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { extractWikitext, wikiNamespaces } from './index.ts'

const fast = (text: string) => extractWikitext(text, { mode: 'fast' })
const faithful = (text: string) => extractWikitext(text, { mode: 'faithful' })

describe('both modes', () => {
  it.each([
    // links
    [
      '[[dog]]s and [[cat|the cats]], [[New York (state)|]] [[:Category:Dogs]] [[#Part]]',
      'dogs and the cats, New York Category:Dogs #Part',
    ],
    ['See [[File:A.jpg|thumb|A [[nested]] caption]]this.', 'See this.'],
    ['Text.[[Category:Dogs]]\n[[fr:Chien]]\n[[de:Hund]]', 'Text.'],
    ['[[wikt:word|word]] and [[de:Hund|a German dog]]', 'word and a German dog'],
    ['[http://a.b the label], [http://a.b], http://c.d/e', 'the label, http://c.d/e'],
    ['[not a link] [[unclosed', '[not a link] unclosed'],
    // quotes
    ["''italic'', '''bold''', '''''both''''', it's 'quoted'", "italic, bold, both, it's 'quoted'"],
    ["''Alice'''s book", "Alice's book"],
    ["'''Bold''' and ''''four''''", "Bold and 'four'"],
    // templates and what they leave
    ['Paris ({{IPA-fr|paʁi}}) is big.', 'Paris is big.'],
    ['Rome ({{lang-it|Roma}}, {{IPA|x}}) is old.', 'Rome (Roma, x) is old.'],
    ['Fact{{citation needed|date=May 2008}}. Next {{unknown|{{nested|[[x]]}}}} one.', 'Fact. Next one.'],
    ['{{Infobox\n|a = b\n|c = {{d}}\n}}\nText.', 'Text.'],
    ['{{convert|5|km|mi}}, {{convert|3|to|4|ft|m}}, {{convert|20|C|F}}', '5 km, 3 to 4 ft, 20 °C'],
    ['{{convert|22|e6acre|km2}}, {{cvt|5|ft|11|in|cm}}, {{convert|3|sqmi}}', '22 million acre, 5 ft 11 in, 3 sq mi'],
    ['{{nowrap|1=a b}} {{val|6.02|e=23|u=mol}} {{frac|1|2}} {{frac|3|1|4}}', 'a b 6.02 × 10²³ mol 1/2 3 1/4'],
    [
      '{{birth date|1969|7|20}} {{start date|1969|07|20|df=y}} {{As of|2010|5}}',
      'July 20, 1969 20 July 1969 As of May 2010',
    ],
    ['a{{ndash}}b{{snd}}c {{lang|fr|mot}} {{nihongo|Tokyo|東京|Tōkyō}}', 'a–b – c mot Tokyo (東京 Tōkyō)'],
    ['{{{parameter|default}}} {{{none}}}', 'default'],
    ['broken {{template without end\nNext line.', 'broken Next line.'],
    ['stray }} and ]] here', 'stray and here'],
    // references, comments, tags
    ['One.<ref>{{cite|x}} [[y]]</ref> Two.<ref name="a" /> Three.<ref name=b>z</ref>', 'One. Two. Three.'],
    ['A<!-- hidden [[x]] -->B\n<!-- a line -->\nC', 'AB C'],
    ['x<sup>2</sup>, H<sub>2</sub>O, 10<sup>−7</sup>, 4<sup>th</sup>', 'x², H2O, 10⁻⁷, 4th'],
    ['a<br>b<br />c', 'a\nb\nc'],
    ["<nowiki>[[not a link]] ''</nowiki>", '[[not a link]]'],
    ['<small>small</small> <span style="a>b">in</span> <u>u</u> 1 < 2 <foo>', 'small in u 1 < 2 <foo>'],
    ['<gallery>\nA.jpg|cap\n</gallery>After', 'After'],
    ['caf&eacute; &amp;c. &#8211; &lt;b&gt; a&nbsp;b', 'café &c. – <b> a b'],
    ['<math>E = mc^2</math> and <math>\\frac{a}{b} \\le \\alpha_{ij}</math>', 'E = mc^2 and a/b ≤ α_(ij)'],
    // lines
    ['__NOTOC__One.\n__FORCETOC__', 'One.'],
    ['One\nline.\n\nTwo.\n----\nThree.', 'One line.\n\nTwo.\n\nThree.'],
    [
      '* a\n** b\n# one\n# two\n; Term : definition\n: indented\n*',
      '- a\n- b\n1. one\n2. two\nTerm: definition\nindented',
    ],
    ['== A ==\nText.\n=== B ===\n== C ==\n=== D ===\nMore.\n==E==\n{{reflist}}', 'A\n\nText.\n\nC\n\nD\n\nMore.'],
    ['1 + 1 = 2\n= not closed', '1 + 1 = 2 = not closed'],
    ['<pre>\n  code [[x]]\n* y\n</pre>', '  code [[x]]\n* y'],
    ['', ''],
    ['{{Only|templates}}', ''],
  ])('%j', (source, expected) => {
    expect(fast(source)).toBe(expected)
    expect(faithful(source)).toBe(expected)
  })
})

describe('tables, quotations and lists in templates', () => {
  const table =
    '{| class="wikitable"\n|+ Cap\n|-\n! Name !! Age\n|-\n| [[Ann|A]] || 3\n|-\n| style="x" | B\n| {{small|4}}\n|}'
  it('are dropped by fast and rendered by faithful', () => {
    expect(fast(`Before.\n${table}\nAfter.`)).toBe('Before.\n\nAfter.')
    expect(faithful(`Before.\n${table}\nAfter.`)).toBe('Before.\n\nCap\nName | Age\nA | 3\nB | 4\n\nAfter.')
    expect(fast('Said:\n{{quote|Some words.|Ann|Book}}\nEnd.')).toBe('Said:\n\nEnd.')
    expect(faithful('Said:\n{{quote|Some words.|Ann|Book}}\nEnd.')).toBe('Said:\n\nSome words.\n\n— Ann, Book\n\nEnd.')
    expect(faithful('{{plainlist|\n* a\n* [[b|c]]\n}}')).toBe('- a\n- c')
    expect(faithful('{{ubl|a|b}}')).toBe('- a\n- b')
  })
  it('with tables inside tables', () => {
    const nested = `{|\n| Left\n|\n${table}\n| Right\n|}`
    expect(fast(nested)).toBe('')
    expect(faithful(nested)).toBe('Left\nCap\nName | Age\nA | 3\nB | 4\nRight')
  })
  it('leave out navigation', () => {
    expect(faithful('{| class="navbox"\n| x\n|}\nText.')).toBe('Text.')
  })
  it('that never end take only their own lines', () => {
    expect(faithful('{| class="a"\n| x\n|-\n| y\nText goes on.')).toBe('Text goes on.')
  })
})

it('drops links to the namespaces of the language of the dump', () => {
  const namespaces = wikiNamespaces({ file: 'Datei', category: 'Kategorie' })
  expect(extractWikitext('A[[Datei:x.jpg|mini|y]] b.[[Kategorie:Z]] [[Bild|c]]', { mode: 'fast', namespaces })).toBe(
    'A b. c',
  )
})

describe('links and cells out of place', () => {
  it.each([
    ['a file link by the name of another language', 'A [[Bestand:x.jpg|thumb|250px|y]]b.', 'A b.'],
    ['a file link without a namespace', 'A [[x.jpg|thumb|250px|y]]b.', 'A b.'],
    ['a file link that is never closed', '[[File:x.jpg|thumb|250px|A [[cap]] and more\nText.', 'Text.'],
    ['a category of another language', 'A.\n[[Kategorie:Ort|Bodmin]]\n[[Категория:Город]]', 'A.'],
    ['a category that is never closed', 'A.\n[[Category:Towns\nText.', 'A.\n\nText.'],
    ['attributes of cells outside tables', '|valign=top| One\n| width="50%" valign="top" | two', 'One two'],
    ['attributes between cells in a line', 'One |valign=top| two', 'One two'],
    ['the start of a row outside tables', 'One.\n|- valign="top"\nTwo.', 'One.\n\nTwo.'],
  ])('leave nothing of %s', (_, source, expected) => {
    expect(fast(source)).toBe(expected)
    expect(faithful(source)).toBe(expected)
  })

  it('stay as they are in prose', () => {
    for (const text of ['|x| = 3 for x = |−3|', 'An [odd link and more', 'a = b | c', 'class=a|b'])
      expect(fast(text)).toBe(text)
    expect(fast('[[odd link and [[a|b]]')).toBe('odd link and b')
    expect(fast('[[:Kategorie:Ort]] [[a|thumb]]')).toBe('Kategorie:Ort thumb')
  })
})

it('keeps captions and drops sections on request', () => {
  expect(
    extractWikitext('[[File:a.jpg|thumb|200px|alt=x|The [[cap]].]]\nText.', { mode: 'fast', captions: true }),
  ).toBe('The cap.\n\nText.')
  const source = 'Text.\n==References==\n* a\n===Sub===\nb\n==Next==\nc'
  expect(extractWikitext(source, { mode: 'fast', dropSections: new Set(['references']) })).toBe('Text.\n\nNext\n\nc')
})

describe('hostile input', () => {
  const piece = fc.constantFrom(
    ...[
      '{{',
      '}}',
      '{{{',
      '}}}',
      '[[',
      ']]',
      '{|',
      '|}',
      '|-',
      '|',
      '\n',
      '<ref>',
      '</ref>',
      '<ref name=a',
      '<br>',
      '<nowiki>',
      '<math>',
    ],
    ...[
      "''",
      "'''",
      '==',
      '*',
      '#',
      ':',
      ' a ',
      'b',
      '&amp;',
      '&#1;',
      '<!--',
      '-->',
      '[http://x ',
      ']',
      '<div>',
      '</',
      '<table>',
      '\u0002',
      'quote',
      'lang|x',
    ],
  )
  it('never throws, and leaves no marks', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 80 }), (parts) => {
        for (const render of [fast, faithful]) expect(render(parts.join(''))).not.toMatch(/[\u0001-\u0008]/)
      }),
      { numRuns: 2000 },
    )
  })
  it.each([
    ...[
      '{{',
      '{{{',
      '[[',
      '{|\n',
      '<ref>',
      '<!--',
      '[http://a ',
      '<div ',
      '{{a|',
      '[[File:a|',
      '<table>',
      "'''",
      '{{quote|',
      '{{quote|[[a|',
    ],
    ...['{{lang|x|{{', '<math>', '<nowiki>', '&', '==a==\n', '(\u0002', '{|\n|\n', '\n|-', '<sup>'],
  ])('takes little time over many %j', (unit) => {
    const source = unit.repeat(Math.ceil(300_000 / unit.length))
    const start = process.cpuUsage()
    fast(source)
    faithful(source)
    const { user, system } = process.cpuUsage(start)
    expect((user + system) / 1e6).toBeLessThan(6)
  })
})
