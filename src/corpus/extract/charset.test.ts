import { describe, expect, it } from 'vitest'
import { decodeHtmlBytes, decodePlainBytes } from './charset.ts'

const bytes = (text: string) => Buffer.from(text, 'latin1')
const cp1251 = [0xcf, 0xf0, 0xe8, 0xe2, 0xe5, 0xf2]
const shiftJis = [0x93, 0xfa, 0x96, 0x7b, 0x8c, 0xea]
const gbk = [0xd6, 0xd0, 0xce, 0xc4]
const join = (...parts: (string | number[])[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? bytes(part) : Buffer.from(part))))

describe('HTML', () => {
  it.each([
    ['UTF-8 without a word about it', Buffer.from('<p>naïve 日本'), '', 'utf-8', '<p>naïve 日本'],
    [
      'a byte order mark above all',
      Buffer.from('\ufeffhé', 'utf16le'),
      'text/html; charset=windows-1251',
      'utf-16le',
      'hé',
    ],
    ['the header', join(cp1251), 'text/html; charset="Windows-1251"', 'windows-1251', 'Привет'],
    [
      'the header before meta',
      join('<meta charset=gbk>', cp1251),
      'text/html;charset=cp1251',
      'windows-1251',
      '<meta charset=gbk>Привет',
    ],
    [
      'meta charset',
      join('<meta charset="shift_jis">', shiftJis),
      'text/html',
      'shift_jis',
      '<meta charset="shift_jis">日本語',
    ],
    [
      'meta http-equiv',
      join('<META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=gb2312">', gbk),
      '',
      'gbk',
      undefined,
    ],
    [
      'an XML declaration',
      join('<?xml version="1.0" encoding="windows-1251"?>', cp1251),
      '',
      'windows-1251',
      undefined,
    ],
    [
      'valid UTF-8 under a false label',
      Buffer.from('<meta charset=iso-8859-1>é日'),
      '',
      'utf-8',
      '<meta charset=iso-8859-1>é日',
    ],
    [
      'Windows-1252 under a UTF-8 label',
      bytes('<meta charset=utf-8>caf\u00e9 \u0096 x'),
      'text/html; charset=utf-8',
      'windows-1252',
      '<meta charset=utf-8>café – x',
    ],
    ['no label at all', bytes('caf\u00e9'), '', 'windows-1252', 'café'],
    ['an unknown label', bytes('caf\u00e9'), 'text/html; charset=klingon', 'windows-1252', 'café'],
  ])('%s', (_, input, contentType, charset, text) => {
    const decoded = decodeHtmlBytes(input, contentType)
    expect(decoded.charset).toBe(charset)
    if (text !== undefined) expect(decoded.text).toBe(text)
    expect(decoded.damaged).toBe(false)
  })
  it('keeps UTF-8 with one broken byte', () => {
    const input = Buffer.concat([Buffer.from('日本語'.repeat(20)), Buffer.from([0xff]), Buffer.from('x')])
    expect(decodeHtmlBytes(input)).toMatchObject({ charset: 'utf-8', damaged: true })
  })
})

it('plain text: a mark, UTF-8, Windows-1252', () => {
  expect(decodePlainBytes(Buffer.from('\ufeffx'))).toMatchObject({ text: 'x', charset: 'utf-8' })
  expect(decodePlainBytes(bytes('\u0080 caf\u00e9'))).toMatchObject({ text: '€ café', charset: 'windows-1252' })
})
