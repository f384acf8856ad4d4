// The filter of the table: plain words match names, anything else is a condition in SQL that the server computes.
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { FilterAnswer, RunRow } from '../../../src/serving/studio/types/api-types.ts'
import { getJson } from '../../api.ts'
import { runRows, withWords } from '../../live-runs.ts'

/** Words of SQL by which a text is a condition even without a sign such as `=`. */
const sqlWord = /\b(and|or|not|in|is|like|ilike|between|exists)\b/i

/** Whether a text is plain words, which match names. */
const isPlain = (text: string): boolean => /^[\p{L}\p{N}\s_./:@+-]*$/u.test(text) && !sqlWord.test(text)

/** Milliseconds between two computations of a condition while runs change. */
const interval = 1000

/** The rows that a filter lets through, and what is wrong with it. Rows that are known stay while a condition is computed. */
export const useFilter = (text: string): { rows: readonly RunRow[]; error: string | undefined; busy: boolean } => {
  const found = useSignal<{ text: string; ids?: ReadonlySet<string>; error?: string } | undefined>(undefined)
  const plain = isPlain(text)
  useEffect(() => {
    if (plain) return
    const controller = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const ask = async () => {
      const rows = runRows.peek()
      try {
        const { ids } = await getJson<FilterAnswer>(`/api/filter?where=${encodeURIComponent(text)}`, controller.signal)
        found.value = { text, ids: new Set(ids) }
      } catch (error) {
        if (controller.signal.aborted) return
        found.value = { text, error: (error as Error).message }
      }
      const again = () => {
        if (runRows.peek() === rows) timer = setTimeout(again, interval)
        else void ask()
      }
      // A wrong condition stays wrong, whatever the runs do.
      if (!controller.signal.aborted && found.value.error === undefined) timer = setTimeout(again, interval)
    }
    void ask()
    return () => {
      controller.abort()
      clearTimeout(timer)
    }
  }, [text, plain])
  const all = runRows.value
  if (plain)
    return {
      rows: withWords(all, text),
      error: undefined,
      busy: false,
    }
  const { ids, error } = found.value ?? {}
  const busy = found.value?.text !== text
  return {
    rows: ids === undefined ? (error === undefined ? all : []) : all.filter(({ id }) => ids.has(id)),
    error: busy ? undefined : error,
    busy,
  }
}
