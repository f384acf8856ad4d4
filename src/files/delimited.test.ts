import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DataError } from '../core/index.ts'
import { DelimitedParser, parseDelimited } from './delimited.ts'

describe('DelimitedParser', () => {
  it('returns fields, with doubled quotes, delimiters and line breaks inside quoted ones', () => {
    const parser = new DelimitedParser(',', true)
    expect(parser.push('a,"b,""c""",')).toEqual(['a', 'b,"c"', ''])
    expect(parser.push('"first')).toBeUndefined()
    expect(parser.isOpen).toBe(true)
    expect(parser.push('')).toBeUndefined()
    expect(parser.push('third" and more,x')).toEqual(['first\n\nthird and more', 'x'])
    expect(parser.isOpen).toBe(false)
  })

  it('tells where text follows the closing quote of a field of several lines', () => {
    const parser = new DelimitedParser(',', true)
    parser.push('"never closed,1')
    expect(parser.push('"next record",2')).toEqual(['never closed,1\nnext record"', '2'])
    expect(parser.hasStrayText).toBe(true)
    for (const lines of [['"one" line,1'], ['"two', 'lines" ,"a" b'], ['a,b']]) {
      for (const line of lines) parser.push(line)
      expect(parser.hasStrayText).toBe(false)
    }
  })

  it('keeps quotes inside a field that does not begin with one', () => {
    expect(new DelimitedParser(',', true).push('5" pipe,"x"')).toEqual(['5" pipe', 'x'])
  })

  it('reads quotes as text when they are not enabled', () => {
    expect(new DelimitedParser('\t', false).push('"a\tb"')).toEqual(['"a', 'b"'])
  })

  it('starts a new record after a reset', () => {
    const parser = new DelimitedParser(',', true)
    expect(parser.push('x,"open')).toBeUndefined()
    parser.reset()
    expect(parser.push('a,b')).toEqual(['a', 'b'])
  })

  it('takes time linear in the lines of a record, even when each has quotes', () => {
    const parser = new DelimitedParser(',', true)
    expect(parser.push('"')).toBeUndefined()
    const started = performance.now()
    for (let line = 0; line < 100_000; line++) parser.push('a ""quoted"" word')
    expect(parser.push('"')![0]).toHaveLength(1 + 100_000 * 16)
    // Joining the lines anew for each would take minutes.
    expect(performance.now() - started).toBeLessThan(5000)
  })
})

describe('parseDelimited', () => {
  it('reads back any records written by the rules of RFC 4180', () => {
    const field = fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', ' ', 'é') })
    const records = fc.array(fc.array(field, { minLength: 2, maxLength: 4 }), { maxLength: 6 })
    fc.assert(
      fc.property(records, fc.constantFrom('\n', '\r\n'), (rows, lineEnd) => {
        const quote = (text: string) => `"${text.replaceAll('"', '""')}"`
        expect(parseDelimited(rows.map((row) => row.map(quote).join(',')).join(lineEnd), 'a.csv')).toEqual(rows)
      }),
    )
  })

  it('leaves out empty lines, and names the line where an open quote begins', () => {
    expect(parseDelimited('a;b\n\n1;2\n', 'a.csv', { delimiter: ';' })).toEqual([
      ['a', 'b'],
      ['1', '2'],
    ])
    expect(() => parseDelimited('a,b\n1,"open\n2,"x"\n', 'a.csv')).toThrow(/^a\.csv:2: .* before it is not closed\./)
    expect(() => parseDelimited('a,b\n1,"open\nmore\n', 'a.csv')).toThrow(/^a\.csv:2: Expected a closing quote/)
    expect(() => parseDelimited('"', 'a.csv')).toThrow(DataError)
  })
})
