// Finds a text in texts that are streamed: case is ignored, and time and matches have a limit.
import { setImmediate } from 'node:timers/promises'
import type { SearchHit, SearchMessage } from '../types/data-types.ts'

/** Milliseconds after which a search ends. */
const maxMs = 30_000
/** Matches after which a search ends. */
const maxHits = 500
/** Characters around a match. */
const around = 60
/** Matches in one text that are shown. */
const hitsPerText = 3
/** Milliseconds between two messages. */
const messageInterval = 200
/** Milliseconds of work before others get a turn. */
const turnMs = 15

/** A text that is searched. */
export interface SearchedText {
  number: number
  where: string
  text: string
}

/** The matches in one text. */
const matchesIn = ({ number, where, text }: SearchedText, wanted: string): SearchHit[] => {
  const hits: SearchHit[] = []
  const lower = text.toLowerCase()
  // Lower case may have another length, as that of İ has: then only texts of the same case are found at their place.
  const searched = lower.length === text.length ? lower : text
  for (let at = searched.indexOf(wanted); at >= 0 && hits.length < hitsPerText; ) {
    const end = at + wanted.length
    hits.push({
      number,
      where,
      before: text.slice(Math.max(0, at - around), at),
      match: text.slice(at, end),
      after: text.slice(end, end + around),
    })
    at = searched.indexOf(wanted, end)
  }
  return hits
}

/** Searches the texts of one document or row after the other, and sends what is found. */
export const searchTexts = async (
  groups: AsyncIterable<readonly SearchedText[]>,
  query: string,
  send: (message: SearchMessage) => void,
  signal: AbortSignal,
): Promise<void> => {
  const wanted = query.toLowerCase()
  const started = performance.now()
  let turn = started
  let sent = started
  let searched = 0
  let found = 0
  let waiting: SearchHit[] = []
  const flush = () => {
    send({ hits: waiting, searched })
    waiting = []
    sent = performance.now()
  }
  let end: Extract<SearchMessage, { end: string }>['end'] = 'all'
  for await (const texts of groups) {
    if (signal.aborted) return
    searched++
    for (const text of texts) {
      const hits = matchesIn(text, wanted)
      found += hits.length
      waiting.push(...hits)
    }
    const now = performance.now()
    if (found >= maxHits) end = 'matches'
    else if (now - started > maxMs) end = 'time'
    if (end !== 'all') break
    if (now - sent > messageInterval) flush()
    if (now - turn > turnMs) {
      await setImmediate()
      turn = performance.now()
    }
  }
  flush()
  send({ end, searched, found })
}
