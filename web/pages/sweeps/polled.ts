// Answers that are read again and again: the files of a sweep change after each of its runs, which no event of a run announces.
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { type Loaded, useJson } from '../../parts/loading.tsx'

const pollMs = 2000

/** JSON of a path, read again every two seconds while the page is visible. */
export const usePolled = <T>(path: string): Loaded<T> => {
  const version = useSignal(0)
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) version.value += 1
    }, pollMs)
    return () => clearInterval(timer)
  }, [path])
  return useJson<T>(path, version.value).value
}
