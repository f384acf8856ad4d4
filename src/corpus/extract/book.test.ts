import { describe, expect, it } from 'vitest'
import { bookText, parseBook } from './book.ts'

const options = { unwrap: true }
const wrapped = (text: string, width = 70) => text.replace(new RegExp(`(.{1,${width}})(?: |$)`, 'g'), '$1\n').trim()
const paragraph = (n: number) =>
  `Paragraph ${n} is told at some length, so that its lines are as long as those of a book that was wrapped by hand, and it goes on.`
const body = (from: number, count = 6) =>
  Array.from({ length: count }, (_, index) => wrapped(paragraph(from + index))).join('\n\n')
const plain = (from: number, count = 6) =>
  Array.from({ length: count }, (_, index) => paragraph(from + index)).join('\n\n')

describe('Project Gutenberg', () => {
  const head =
    'The Project Gutenberg eBook of A Book\n\nThis ebook is for the use of anyone.\n\nTitle: A Book\n       With a Subtitle\n\nAuthor: Some One\n\nLanguage: English\n\n'
  const start = '*** START OF THE PROJECT GUTENBERG EBOOK A BOOK ***\n\nProduced by Ann and\nthe Proofreaders\n\n'
  const end =
    '\n\n*** END OF THE PROJECT GUTENBERG EBOOK A BOOK ***\n\nUpdated editions will replace the previous one.\n'
  it('is cut out of its header and licence, unwrapped, and split into chapters', () => {
    const contents = 'CONTENTS\n\nCHAPTER I. The First\n\nCHAPTER II. The Second\n'
    const source = `${head}${start}A BOOK\n\n${contents}\n\nCHAPTER I. The First\n\n[Illustration: A _cat_]\n\n${body(1)}\n\nCHAPTER II. The Second\n\n_${body(11, 1)}_\n\n${body(12)}${end}`
    const book = parseBook(source.replaceAll('\n', '\r\n'), options)
    expect(book).toMatchObject({ title: 'A Book With a Subtitle', author: 'Some One', language: 'English' })
    const text = bookText(book.chapters)
    expect(text).not.toMatch(/Gutenberg|Produced|Updated|Illustration|_/)
    expect(book.chapters.map(({ title }) => title).slice(-2)).toEqual([
      expect.stringMatching(/CHAPTER I\. The First$/),
      'CHAPTER II. The Second',
    ])
    expect(book.chapters.at(-1)?.text).toBe(`${paragraph(11)}\n\n${plain(12)}`)
  })
  it('of the old form, too', () => {
    const source = `Project Gutenberg Etext of B\n\n*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n\n${body(1)}\n\nEnd of the Project Gutenberg Etext of B\n`
    expect(bookText(parseBook(source, options).chapters)).toBe(plain(1))
  })
})

describe('Markdown', () => {
  it('with the header of the classic books', () => {
    const source = `# Title: Emma\n\n## Author: Jane Austen\n\n## Year: 1815\n\n-------\n\n##  VOLUME I \n\n##  CHAPTER I \n\nOne *two* __three__ [four](http://x) a*b &amp; _five_.\n\n* * *\n\n> Quoted.\n\n### CHAPTER II\n\n![pic](x.png)Last \\*.`
    const book = parseBook(source, options)
    expect(book).toEqual({
      title: 'Emma',
      author: 'Jane Austen',
      year: '1815',
      chapters: [
        { title: 'VOLUME I\n\nCHAPTER I', text: 'One two three four a*b & five.\n\nQuoted.' },
        { title: 'CHAPTER II', text: 'Last *.' },
      ],
    })
  })
  it('with YAML in front', () => {
    expect(parseBook('---\ntitle: "T"\nauthor: A\ndate: 1900\n---\n# One\n\nText.', options)).toMatchObject({
      title: 'T',
      author: 'A',
      year: '1900',
      chapters: [{ title: 'One', text: 'Text.' }],
    })
  })
})

describe('lines', () => {
  it('of verse and of lists stay', () => {
    const verse =
      'Tyger Tyger, burning bright,\nIn the forests of the night;\nWhat immortal hand or eye,\nCould frame thy fearful symmetry?'
    expect(bookText(parseBook(verse, options).chapters)).toBe(verse)
  })
  it('keep their line breaks with unwrap: false', () => {
    expect(bookText(parseBook(body(1), { unwrap: false }).chapters)).toBe(body(1))
  })
  it('an empty book has no chapters', () => expect(parseBook(' \n \n', options).chapters).toEqual([]))
})
