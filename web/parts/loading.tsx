// What a page shows until its data are there, and when they cannot be had.
import { type Signal, useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'
import { getJson } from '../api.ts'

/** Data that are loaded from a path. */
export interface Loaded<T> {
  data: T | undefined
  error: string | undefined
}

/** Loads JSON whenever the path changes; undefined loads nothing. Earlier data stay until the new ones are there. */
export const useJson = <T,>(path: string | undefined): Signal<Loaded<T>> => {
  const state = useSignal<Loaded<T>>({ data: undefined, error: undefined })
  useEffect(() => {
    if (path === undefined) return
    const controller = new AbortController()
    getJson<T>(path, controller.signal).then(
      (data) => {
        state.value = { data, error: undefined }
      },
      (error: Error) => {
        if (!controller.signal.aborted) state.value = { data: undefined, error: error.message }
      },
    )
    return () => controller.abort()
  }, [path])
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
