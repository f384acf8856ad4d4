// CoNLL files: one token and its tag per line and an empty line between sentences; columns are separated by tabs or spaces, the token
// is the first and the tag the last. Of CoNLL-U files (.conllu) the word form and its part of speech are read.
// @source https://universaldependencies.org/format.html; Tjong Kim Sang and De Meulder 2003, aclanthology.org/W03-0419

import { textLines } from '../../files/index.ts'
import type { FaultCounter, Place } from './row.ts'

/** A sentence with its tags. */
export interface TaggedSentence extends Place {
  tokens: string[]
  /** Undefined for files of tokens alone. */
  tags: string[] | undefined
}

export interface ConllOptions {
  /** Whether the last column is a tag. */
  tagged: boolean
  faults: FaultCounter
  signal?: AbortSignal | undefined
}

const documentMark = /^-DOCSTART-/

/** The sentences of a file; faults are counted or thrown by `faults`. */
export async function* conllSentences(
  file: string,
  { tagged, faults, signal }: ConllOptions,
): AsyncGenerator<TaggedSentence, void, undefined> {
  let tokens: string[] = []
  let tags: string[] = []
  let line = 1
  let broken = false
  const isUniversal = /\.conllu(\.\w+)?$/.test(file)
  const close = (): TaggedSentence | undefined => {
    const sentence = tokens.length > 0 && !broken ? { tokens, tags: tagged ? tags : undefined, file, line } : undefined
    tokens = []
    tags = []
    broken = false
    return sentence
  }
  for await (const { text, number } of textLines(file, signal)) {
    if (text.trim() === '' || documentMark.test(text)) {
      const sentence = close()
      if (sentence !== undefined) yield sentence
      continue
    }
    // Comments, multi-word tokens and empty nodes of CoNLL-U.
    if (isUniversal && (text.startsWith('#') || /^\d+[-.]\d+\t/.test(text))) continue
    if (tokens.length === 0) line = number
    const fields = isUniversal || text.includes('\t') ? text.split('\t') : text.trim().split(/ +/)
    const token = isUniversal ? (fields[1] ?? '') : fields[0]
    const tag = isUniversal ? (fields[3] ?? '') : fields.length > 1 ? fields.at(-1)!.trim() : ''
    tokens.push(token)
    tags.push(tag)
    if (broken || (token.trim() !== '' && (!tagged || tag !== ''))) continue
    const what = token.trim() === '' ? 'a token' : 'a tag after the token'
    faults.count('misaligned-tags', `Expected ${what}, got "${text.slice(0, 60)}". Check the columns.`, {
      file,
      line: number,
    })
    broken = true
  }
  const last = close()
  if (last !== undefined) yield last
}
