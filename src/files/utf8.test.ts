import { describe, expect, it } from 'vitest'
import { DataError } from '../core/index.ts'
import { decodeUtf8, strictText } from './text-lines.ts'

describe('strictText', () => {
  it('decodes UTF-8 and drops a byte order mark', () => {
    expect(strictText(Buffer.from('\ufeffé\n日本'), 'a.txt')).toBe('é\n日本')
  })

  it.each([
    ['Latin-1', Buffer.from('one\ncaf\xe9\n', 'latin1'), 2, 'another encoding'],
    ['UTF-16 with a byte order mark', Buffer.from('\ufeffone\n', 'utf16le'), 1, 'UTF-16'],
    ['UTF-16 without one', Buffer.from('one\ntwo', 'utf16le'), 1, 'zero byte'],
    ['a zero byte in a later line', Buffer.from('one\ntwo\n\0three'), 3, 'zero byte'],
    ['a character that the end of the file cuts', Buffer.from([0x61, 10, 0xe2, 0x82]), 2, 'another encoding'],
  ])('refuses %s and names the line', (_, bytes, line, words) => {
    expect(() => strictText(bytes, 'a.txt')).toThrow(new RegExp(`^a\\.txt:${line}: Expected UTF-8.*${words}`))
    expect(() => strictText(bytes, 'a.txt')).toThrow(DataError)
  })
})

describe('decodeUtf8', () => {
  it('returns undefined for bytes that are not UTF-8', () => {
    expect(decodeUtf8(Buffer.from([0xff]))).toBeUndefined()
    expect(decodeUtf8(Buffer.from('\ufeffa'))).toBe('a')
  })
})
