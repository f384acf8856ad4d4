// Texts of data as they are: nothing in them changes the page, and what cannot be seen is named.
import type { ComponentChildren } from 'preact'
import { formatCount } from '../format.ts'

/** Control characters apart from tab and line feed, marks of direction, and characters without a width. */
const hidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/

const nameOf = (character: string): string => `U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`

/** A text with its hidden characters by their names. */
export const namedCharacters = (text: string): ComponentChildren[] => {
  const parts: ComponentChildren[] = []
  let rest = text
  for (let at = rest.search(hidden); at >= 0; at = rest.search(hidden)) {
    // A carriage return at the end of a line is no surprise.
    const isLineEnd = rest[at] === '\r' && rest[at + 1] === '\n'
    parts.push(rest.slice(0, at))
    if (!isLineEnd) parts.push(<span class="hidden-character">{nameOf(rest[at])}</span>)
    rest = rest.slice(at + 1)
  }
  return [...parts, rest]
}

interface SafeTextProps {
  text: string
  /** Characters of the whole text, if it was cut. */
  length?: number | undefined
}

export const SafeText = ({ text, length }: SafeTextProps) => (
  <bdi>
    {namedCharacters(text)}
    {length !== undefined && <span class="muted"> … {formatCount(length)} characters</span>}
  </bdi>
)
