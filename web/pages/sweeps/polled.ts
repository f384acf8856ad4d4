// Answers that are read again and again: the files of a sweep change after each of its runs, which no event of a run announces.
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { connected } from '../../api.ts'
import { type Loaded, useJson } from '../../parts/loading.tsx'

const pollMs = 2000

/** JSON of a path, read again every two seconds while the page is visible. While the studio is away, the last answer stays. */
export const usePolled = <T>(path: string): Loaded<T> => {
  const version = useSignal(0)
  const last = useRef<{ path: string; loaded: Loaded<T> } | undefined>(undefined)
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden && connected.value) version.value += 1
    }, pollMs)
    return () => clearInterval(timer)
  }, [path])
  const loaded = useJson<T>(path, version.value).value
  if (loaded.data !== undefined) last.current = { path, loaded }
  return !connected.value && last.current?.path === path ? last.current.loaded : loaded
}
