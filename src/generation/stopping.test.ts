// Text from tokens: whole characters only, stop strings across borders. The tokenizer here has one token a byte.
import { describe, expect, it } from 'vitest'
import { TextAssembler } from './growing-text.ts'

const bytes = { decode: (ids: ArrayLike<number>) => Buffer.from(Uint8Array.from(ids)).toString('utf8') }
const feed = (text: string | Uint8Array, stops: string[]) => {
  const assembler = new TextAssembler(bytes, stops)
  const pieces: string[] = []
  for (const byte of Buffer.from(text as string)) {
    pieces.push(assembler.push(byte))
    if (assembler.stopped) break
  }
  pieces.push(assembler.finish())
  return { assembler, pieces }
}

describe('TextAssembler', () => {
  it('emits only complete characters', () => {
    const text = 'aé€😀 – ünd 語 👩‍👩‍👧'
    const { pieces, assembler } = feed(text, [])
    expect(pieces.join('')).toBe(text)
    expect(assembler.text).toBe(text)
    for (const piece of pieces) expect(piece).not.toContain('\ufffd')
    expect(pieces.filter((piece) => piece !== '').length).toBe([...text].length)
  })

  it('emits broken bytes in the end, and does not hold them back for ever', () => {
    expect(feed(Uint8Array.of(65, 0xe2, 0x82), []).pieces.join('')).toBe('A\ufffd')
    const { pieces } = feed(
      Uint8Array.from({ length: 40 }, () => 0xff),
      [],
    )
    expect(pieces.slice(0, -1).join('').length).toBeGreaterThan(20)
    expect(pieces.join('')).toBe('\ufffd'.repeat(40))
  })

  it('truncates at the first stop string and holds back what may become one', () => {
    const { pieces, assembler } = feed('one END two', ['END', 'two'])
    expect(assembler.stopped).toBe(true)
    expect(pieces.join('')).toBe('one ')
    const halves = feed('one EN two', ['END'])
    expect(halves.pieces.join('')).toBe('one EN two')
    expect(halves.pieces[4]).toBe('')
    expect(feed('EN', ['END']).pieces.join('')).toBe('EN')
    expect(feed('aaab', ['aab']).pieces.join('')).toBe('a')
    expect(feed('x語', ['語']).pieces.join('')).toBe('x')
  })

  it('keeps the space that a token has only beside another', () => {
    // As SentencePiece decoders do: the first space of a text falls away.
    const words = {
      decode: (ids: ArrayLike<number>) =>
        Array.from(ids, (id) => ` w${id}`)
          .join('')
          .trimStart(),
    }
    const assembler = new TextAssembler(words, [])
    expect([1, 2, 3].map((id) => assembler.push(id)).join('')).toBe('w1 w2 w3')
  })
})
