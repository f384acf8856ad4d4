import { describe, expect, it } from 'vitest'
import { DataError } from './errors.ts'
import { parseJson } from './json.ts'

const faultOf = (text: string, origin = {}): DataError => {
  try {
    parseJson(text, origin)
  } catch (error) {
    return error as DataError
  }
  throw new Error('No error was thrown.')
}

describe('parseJson', () => {
  it('returns the value of JSON text', () => {
    expect(parseJson('{"a":[1,null,"x"]}')).toEqual({ a: [1, null, 'x'] })
  })

  it('names the path and the given line', () => {
    const fault = faultOf('{', { path: 'a.jsonl', line: 7 })
    expect(fault).toBeInstanceOf(DataError)
    expect(fault.message).toMatch(/^a\.jsonl:7: Expected JSON, got /)
    expect(fault.line).toBe(7)
  })

  it('finds the line of a fault in a text of several lines', () => {
    expect(faultOf('{\n  "a": 1,\n  b: 2\n}', { path: 'a.json' }).line).toBe(3)
  })

  it('leaves the line out for a text of one line, and adds the advice', () => {
    expect(faultOf('nothing', { path: 'a.json', advice: () => 'Build it again.' }).message).toMatch(
      /^a\.json: Expected JSON, got .*\. Build it again\.$/,
    )
  })
})
