import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { extractHtml } from './index.ts'
import { tokenize } from './tokens.ts'

const all = (html: string) => extractHtml(html, { mode: 'all' }).text
const fast = (html: string) => extractHtml(html, { mode: 'fast' }).text
const prose = (subject: string) =>
  `${subject} has a long history, and what is told of it here goes on for more than one hundred and forty characters, as paragraphs of real pages do, so that it counts.`

const events = (html: string): string[] => {
  const seen: string[] = []
  tokenize(html, {
    text: (start, end) => seen.push(html.slice(start, end)),
    open: (name, start, end) => seen.push(`<${name}${html.slice(start, end)}>`),
    close: (name) => seen.push(`</${name}>`),
  })
  return seen
}

describe('tokens', () => {
  it.each([
    ['a<b>c</b>d', ['a', '<b>', 'c', '</b>', 'd']],
    ['<a title="x>y" href=z>t</A >', ['<a title="x>y" href=z>', 't', '</a>']],
    ["<p class='it''s'>x", ["<p class='it''s'>", 'x']],
    ['<p title=5">x</p>', ['<p title=5">', 'x', '</p>']],
    ['1 < 2 <3', ['1 < 2 ', '<3']],
    ['a<!-- <b> -- > -->b<!doctype x>c<?pi?>d</>e', ['a', 'b', 'c', 'd', 'e']],
    ['<script>if (a<b) "</p>"</script>x', ['<script>', 'if (a<b) "</p>"', '</script>', 'x']],
    ['<title>a < b</TITLE>x', ['<title>', 'a < b', '</title>', 'x']],
    ['<script>never closed <p>text', ['<script>', 'never closed ', '<p>', 'text']],
    ['<!-- never closed <p>x', ['x']],
    ['<p', ['<p>']],
  ])('%j', (html, expected) => expect(events(html)).toEqual(expected))
})

describe('text of a page', () => {
  it.each([
    ['<p>one<p>two', 'one\n\ntwo'],
    ['<p>a <b>b</b>c\n d&amp;e &eacute;&#233;&#x2013;&nbsp;x&#150;</p>', 'a bc d&e éé– x–'],
    ['<ul><li>a<li>b <b>c</b></ul>', '- a\n- b c'],
    ['<table><tr><th>k<th>v<tr><td>1<td><p>2</p><p>3</p></table>', 'k | v\n1 | 2 3'],
    ['a<br>b<br><br>c', 'a\nb\n\nc'],
    ['<h1>T</h1><pre>  x\n    y</pre>', 'T\n\n  x\n    y'],
    ['<style>p{}</style><script>x</script><noscript>n</noscript><svg><text>s</text></svg>a', 'a'],
    ['<div hidden>h</div><p style="display: none">h</p><span aria-hidden="true">h</span>a', 'a'],
    ['<dl><dt>t<dd>d</dl>', '- t\n- d'],
  ])('%j', (html, expected) => expect(all(html)).toBe(expected))
  it('has title and language', () => {
    expect(extractHtml('<html lang="de-AT"><title>A &amp;\n B</title><p>x', { mode: 'all' })).toEqual({
      text: 'x',
      title: 'A & B',
      language: 'de-AT',
    })
  })
})

describe('content', () => {
  const nav =
    '<nav><ul><li><a href="/">Home</a></li><li><a href="/b">Products and all the other things</a></li></ul></nav>'
  const footer = `<footer><p>${prose('The footer')}</p></footer>`
  it('leaves navigation, link lists, notices and footers', () => {
    const links = `<div>${Array.from({ length: 30 }, (_, index) => `<p><a href="/${index}">Another page that one may read ${index}</a></p>`).join('')}</div>`
    const html = `<body>${nav}<h1>Title</h1><p>${prose('One')}</p><p>Short one.</p><p>${prose('Two')}</p>${links}<p>© 2024 Somebody. All rights reserved.</p>${footer}`
    expect(fast(html)).toBe(`Title\n\n${prose('One')}\n\nShort one.\n\n${prose('Two')}`)
  })
  it('keeps to <main>, and within it leaves what is named as something else', () => {
    const share =
      '<div class="share-buttons"><p>Share this page with all of your friends and anyone that you know.</p></div>'
    const html = `<div><p>${prose('Outside')}</p></div><main><h2>Head</h2><p>${prose('Inside')}</p><p>${prose('More')}</p>${share}<table><tr><td>a<td>b<tr><td><a href=x>c</a><td>d</table></main>`
    expect(fast(html)).toBe(`Head\n\n${prose('Inside')}\n\n${prose('More')}\n\na | b\nc | d`)
  })
  it('keeps headings only over content', () => {
    const html = `<main><h1>A</h1><p>${prose('X')}</p><h2>Empty</h2><h2>B</h2><h3>C</h3><p>${prose('Y')}</p><h2>Last</h2></main>`
    expect(fast(html)).toBe(`A\n\n${prose('X')}\n\nB\n\nC\n\n${prose('Y')}`)
  })
  it('ignores boilerplate names that apply to the whole page', () => {
    const html = `<div class="widget">${[1, 2, 3, 4].map((n) => `<p>${prose(`Part ${n}`)}</p>`).join('')}</div>`
    expect(fast(html)).toContain(prose('Part 4'))
  })
  it('keeps a short text in <main>', () => {
    const html = `<body>${nav}<main><h1>Flag</h1><p>Allows this and that on closures.</p><p>Tracked as issue <a href=x>#97362</a> over there.</p></main>`
    expect(fast(html)).toBe('Flag\n\nAllows this and that on closures.\n\nTracked as issue #97362 over there.')
  })
  it('finds nothing on a page of links', () => {
    expect(fast(`<body>${nav.repeat(5)}<p><a href=x>${prose('A link')}</a></p>`)).toBe('')
  })
  it('is found by the faithful mode, too, which falls back where Readability gives up', () => {
    const html = `<html><body>${nav}<h1>Title</h1>${[1, 2, 3, 4].map((n) => `<p>${prose(`Part ${n}`)}</p>`).join('')}${footer}</body></html>`
    const { text } = extractHtml(html, { mode: 'faithful' })
    expect(text).toContain(prose('Part 3'))
    expect(text).not.toContain('Products')
    expect(extractHtml('', { mode: 'faithful' }).text).toBe('')
    const deep = `${'<div>'.repeat(20_000)}<p>${prose('Deep')}</p>`
    expect(extractHtml(deep, { mode: 'faithful' }).text).toBe(fast(deep))
  })
})

describe('faithful mode', () => {
  it('returns the text of the fast rules when Readability picks a sentence of the navigation', () => {
    // Nothing but the navigation has 25 characters in a row, which is what Readability scores.
    const facts = Array.from({ length: 24 }, (_, n) => `<dt>Field ${n}</dt><dd>the value ${n} of it</dd>`).join('')
    const navigation = '<div><p>Web, texts, films, sounds, and programs for all of its visitors</p></div>'
    const html = `<html><title>Item</title><body><div>${navigation}</div><div><div><dl>${facts}</dl></div></div></body></html>`
    const { text } = extractHtml(html, { mode: 'faithful' })
    expect(text).toBe(fast(html))
    expect(text).toContain('- the value 23 of it')
  })
})

describe('hostile input', () => {
  const piece = fc.constantFrom(
    ...[
      '<div>',
      '</div>',
      '<p',
      '>',
      '<',
      '</',
      '"',
      "'",
      '=',
      '<!--',
      '-->',
      '<script>',
      '</script>',
      '<table>',
      '<tr>',
      '<td>',
      '</table>',
      '<br>',
    ],
    ...[
      '<li>',
      '<a href=x>',
      '</a>',
      '<main>',
      '<nav>',
      ' text. ',
      '&amp;',
      '&#0;',
      '&',
      '\u0000',
      '<title>',
      '<pre>',
      '<h1>',
      '</h1>',
      '<svg/>',
      '<html lang=x>',
    ],
  )
  it('never throws and leaves no marks', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 80 }), (parts) => {
        for (const mode of ['fast', 'all'] as const)
          expect(extractHtml(parts.join(''), { mode }).text).not.toMatch(/\u0003/)
      }),
      { numRuns: 2000 },
    )
  })
  it.each([
    ...[
      '<div>',
      '<p>',
      '</p>',
      '<',
      '<a ',
      '<!--',
      '<!',
      '<script>',
      '<title>',
      '<table><tr><td>',
      '<br>',
      '<b>x',
      '"',
      '<a title="',
      "<p class='",
      '&',
      '&amp',
      ' ',
    ],
    ...['<li>', '<div class="', '<td>', '| ', '<tr><td>|', '<div class=x y', '</b></i>', '<svg/>', '<h1>', 'a '],
  ])('takes little time over many %j', (unit) => {
    const html = unit.repeat(Math.ceil(300_000 / unit.length))
    const start = process.cpuUsage()
    extractHtml(html, { mode: 'fast' })
    const { user, system } = process.cpuUsage(start)
    expect((user + system) / 1e6).toBeLessThan(3)
  })
})
