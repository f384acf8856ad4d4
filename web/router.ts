// Addresses of the pages: `#/runs/NAME?tab=samples`. They are behind the `#`, so that a shared file has them too.
import { computed, signal } from '@preact/signals'

/** An address in parts. */
export interface Route {
  /** Decoded parts of the path. */
  parts: string[]
  query: URLSearchParams
}

const parse = (hash: string): Route => {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split('?')
  const decode = (part: string) => {
    try {
      return decodeURIComponent(part)
    } catch {
      return part
    }
  }
  return { parts: path.split('/').filter(Boolean).map(decode), query: new URLSearchParams(query) }
}

const hash = signal(location.hash)
addEventListener('hashchange', () => {
  hash.value = location.hash
})

/** The address of the page that is shown. */
export const route = computed(() => parse(hash.value))

/** A number of the address; undefined without one. */
export const queryNumber = (name: string): number | undefined => {
  const value = route.value.query.get(name)?.trim()
  const number = Number(value)
  return value && Number.isFinite(number) ? number : undefined
}

/** A whole number of the address that is not negative, such as an offset. */
export const queryWhole = (name: string): number | undefined => {
  const number = queryNumber(name)
  return Number.isSafeInteger(number) && number! >= 0 ? number : undefined
}

/** The one of some words that the address names; without one, the first of them. */
export const queryChoice = <Word extends string>(name: string, words: readonly Word[]): Word => {
  const value = route.value.query.get(name)
  return words.find((word) => word === value) ?? words[0]
}

/** The address of a page. */
export const linkTo = (parts: readonly string[], query: Record<string, string | undefined> = {}): string => {
  const set = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined)
  const search = new URLSearchParams(set).toString()
  return `#/${parts.map(encodeURIComponent).join('/')}${search === '' ? '' : `?${search}`}`
}

/** Shows another page. */
export const goTo = (parts: readonly string[]): void => {
  location.hash = linkTo(parts)
}

/** Changes fields of the address without a new entry in the history; undefined removes a field. */
export const setQuery = (changes: Record<string, string | undefined>): void => {
  const { parts, query } = route.value
  history.replaceState(null, '', linkTo(parts, { ...Object.fromEntries(query), ...changes }))
  hash.value = location.hash
}
