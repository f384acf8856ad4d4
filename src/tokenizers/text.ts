// A piece of text between input and tokens, with or without alignment to the original. Normalizers and pre-tokenizers
// use the interface, so encoding with and without offsets shares one implementation.
import { toByteLevel } from './byte-level.ts'

/** A piece of text that pre-tokenizers split and edit. */
export interface Piece {
  readonly text: string
  /** Offset of the piece's start in the original text. */
  readonly originalStart: number
  slice(start: number, end: number): Piece
  prepend(content: string): void
  /** Replaces each [start, end) by `content`. The ranges are sorted and do not overlap. */
  replace(matches: readonly Span[], content: string): void
  toByteLevel(): void
}

/** A range of UTF-16 units, end excluded. */
export type Span = readonly [start: number, end: number]

/** A piece without alignment, for encoding to ids only. */
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

/** Replaces each span of `text` by `content`. */
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

/** A piece that maps each UTF-16 unit to a range of the original text. */
export class AlignedPiece implements Piece {
  // Undefined while the text is an unchanged slice of the original, which saves time for most text.
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

  /** The range of the original text for [start, end) of this piece. */
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
      // The content maps to the last replaced character (or to the character before an empty match).
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
   * Replaces the whole text by `characters`. The change of each gives how many old characters it consumes: 1 for none
   * (an insertion, mapped to the last consumed character), 0 for one, -n for one plus n removed characters after it.
   * The first `dropped` old characters are removed as well.
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

  /** Replaces each character by `map(character)`, which may be empty or several characters. */
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
