// A text on its way from input to tokens, with or without the way back to the original. Normalizers and pre-tokenizers
// work on the interface, so that the path with offsets and the path without are one code.
// It knows no normalizer and no pre-tokenizer.
import { toByteLevel } from './byte-level.ts'

/** What pre-tokenizers need of a text; every change returns or edits the same kind of text. */
export interface Piece {
  readonly text: string
  /** Where the piece began in the original; 0 for the first. */
  readonly originalStart: number
  slice(start: number, end: number): Piece
  prepend(content: string): void
  /** Replaces each [start, end) by `content`. The ranges are in order and do not touch each other. */
  replace(matches: readonly Span[], content: string): void
  toByteLevel(): void
}

/** A range of UTF-16 units, end excluded. */
export type Span = readonly [start: number, end: number]

/** A piece that forgets where it came from: for ids alone. */
export class PlainPiece implements Piece {
  constructor(
    public text: string,
    readonly originalStart: number,
  ) {}

  slice(start: number, end: number): PlainPiece {
    return new PlainPiece(this.text.slice(start, end), this.originalStart + start)
  }

  prepend(content: string): void {
    if (this.text !== '') this.text = content + this.text
  }

  replace(matches: readonly Span[], content: string): void {
    this.text = replaceSpans(this.text, matches, content)
  }

  toByteLevel(): void {
    this.text = toByteLevel(this.text)
  }
}

export const replaceSpans = (text: string, matches: readonly Span[], content: string): string => {
  if (matches.length === 0) return text
  let result = ''
  let done = 0
  for (const [start, end] of matches) {
    result += text.slice(done, start) + content
    done = end
  }
  return result + text.slice(done)
}

/** A piece that knows, for each UTF-16 unit, the range of the original that it stands for. */
export class AlignedPiece implements Piece {
  // Absent while the text is still the original's own slice: most text never needs them.
  #starts: number[] | undefined
  #ends: number[] | undefined

  constructor(
    public text: string,
    readonly originalStart: number,
    starts?: number[],
    ends?: number[],
  ) {
    this.#starts = starts
    this.#ends = ends
  }

  /** The range of the original that [start, end) of the text stands for. */
  original(start: number, end: number): [number, number] {
    if (this.#starts === undefined || start === end) return [this.originalStart + start, this.originalStart + end]
    return [this.#starts[start], this.#ends![end - 1]]
  }

  slice(start: number, end: number): AlignedPiece {
    const text = this.text.slice(start, end)
    if (this.#starts === undefined || start === end) return new AlignedPiece(text, this.originalStart + start)
    return new AlignedPiece(text, this.#starts[start], this.#starts.slice(start, end), this.#ends!.slice(start, end))
  }

  prepend(content: string): void {
    if (this.text === '' || content === '') return
    const { starts, ends } = this.#align()
    this.#starts = [...new Array<number>(content.length).fill(starts[0]), ...starts]
    this.#ends = [...new Array<number>(content.length).fill(ends[0]), ...ends]
    this.text = content + this.text
  }

  append(content: string): void {
    const { starts, ends } = this.#align()
    const last = this.text.length - 1
    const [start, end] = last < 0 ? [this.originalStart, this.originalStart] : [starts[last], ends[last]]
    for (let i = 0; i < content.length; i++) {
      starts.push(start)
      ends.push(end)
    }
    this.text += content
  }

  replace(matches: readonly Span[], content: string): void {
    if (matches.length === 0) return
    const { starts, ends } = this.#align()
    const newStarts: number[] = []
    const newEnds: number[] = []
    let done = 0
    const copy = (to: number) => {
      for (; done < to; done++) {
        newStarts.push(starts[done])
        newEnds.push(ends[done])
      }
    }
    for (const [start, end] of matches) {
      copy(start)
      // The content takes the place of the last character replaced (or of the one before an empty match).
      const at = end === 0 ? undefined : end - 1
      for (let i = 0; i < content.length; i++) {
        newStarts.push(at === undefined ? this.originalStart : starts[at])
        newEnds.push(at === undefined ? this.originalStart : ends[at])
      }
      done = end
    }
    copy(this.text.length)
    this.text = replaceSpans(this.text, matches, content)
    this.#starts = newStarts
    this.#ends = newEnds
  }

  /**
   * Replaces the whole text by `characters`. The change of each says what it takes of the old text: 1 nothing (it is
   * new and shares the place of what was taken last), 0 one character, -n one and the n after it, which vanish.
   * The first `dropped` characters of the old text vanish too.
   */
  transform(characters: readonly string[], changes: readonly number[], dropped = 0): void {
    const old = this.text
    const { starts, ends } = this.#align()
    const newStarts: number[] = []
    const newEnds: number[] = []
    let at = 0
    const take = (count: number) => {
      for (; count > 0 && at < old.length; count--) at += old.codePointAt(at)! > 0xffff ? 2 : 1
    }
    take(dropped)
    let result = ''
    for (let i = 0; i < characters.length; i++) {
      const character = characters[i]
      const change = changes[i]
      const from = change > 0 ? at - 1 : Math.min(at, old.length - 1)
      const start = from < 0 ? this.originalStart : starts[from]
      const end = from < 0 ? this.originalStart : ends[from]
      if (change <= 0) take(1 - change)
      for (let u = 0; u < character.length; u++) {
        newStarts.push(start)
        newEnds.push(end)
      }
      result += character
    }
    this.text = result
    this.#starts = newStarts
    this.#ends = newEnds
  }

  /** Replaces each character by what `map` gives for it, which may be nothing or several characters. */
  mapCharacters(map: (character: string) => string): void {
    const { starts, ends } = this.#align()
    const newStarts: number[] = []
    const newEnds: number[] = []
    let result = ''
    let at = 0
    for (const character of this.text) {
      const mapped = map(character)
      for (let u = 0; u < mapped.length; u++) {
        newStarts.push(starts[at])
        newEnds.push(ends[at])
      }
      result += mapped
      at += character.length
    }
    this.text = result
    this.#starts = newStarts
    this.#ends = newEnds
  }

  toByteLevel(): void {
    this.mapCharacters(toByteLevel)
  }

  #align(): { starts: number[]; ends: number[] } {
    if (this.#starts === undefined) {
      this.#starts = []
      this.#ends = []
      let at = this.originalStart
      for (const character of this.text) {
        for (let u = 0; u < character.length; u++) {
          this.#starts.push(at)
          this.#ends.push(at + character.length)
        }
        at += character.length
      }
    }
    return { starts: this.#starts, ends: this.#ends! }
  }
}
