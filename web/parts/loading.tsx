// What a page shows until its data are there, and when they cannot be had.
import { type Signal, useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { getJson } from '../api.ts'

/** Data that are loaded from a path. */
export interface Loaded<T> {
  data: T | undefined
  error: string | undefined
}

/**
 * Loads JSON whenever the path or the version changes; undefined loads nothing. Earlier data stay until the new ones are there, and a version
 * that is loading is finished before the next.
 */
export const useJson = <T,>(path: string | undefined, version: number = 0): Signal<Loaded<T>> => {
  const state = useSignal<Loaded<T>>({ data: undefined, error: undefined })
  const busy = useRef<{ path: string; again: boolean } | undefined>(undefined)
  const load = async (wanted: string): Promise<void> => {
    const own = { path: wanted, again: false }
    busy.current = own
    try {
      const data = await getJson<T>(wanted)
      if (busy.current === own) state.value = { data, error: undefined }
    } catch (error) {
      if (busy.current === own) state.value = { data: undefined, error: (error as Error).message }
    }
    // Another path was wanted meanwhile, or the page has gone.
    if (busy.current !== own) return
    busy.current = undefined
    if (own.again) await load(wanted)
  }
  useEffect(() => {
    if (path === undefined) return
    if (busy.current?.path === path) busy.current.again = true
    else void load(path)
  }, [path, version])
  useEffect(
    () => () => {
      busy.current = { path: '', again: false }
    },
    [],
  )
  return state
}

/** Shows data, or why there are none. */
export const Show = <T,>({ of, children }: { of: Loaded<T>; children: (data: T) => ComponentChildren }) =>
  of.error !== undefined ? (
    <p class="error" role="alert">
      {of.error}
    </p>
  ) : of.data === undefined ? (
    <p class="muted">Loading …</p>
  ) : (
    children(of.data)
  )
