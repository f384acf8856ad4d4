// Search in the texts of one source: results are shown as they are found, and the search ends with the page.
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { SearchHit, SearchMessage } from '../../../src/serving/studio/types/data-types.ts'
import { readStream } from '../../api.ts'
import { formatCount } from '../../format.ts'
import { namedCharacters } from '../../parts/safe-text.tsx'
import { route, setQuery } from '../../router.ts'

interface SearchProps {
  /** Path of the search, without its query. */
  path: string
  /** More fields of the query. */
  fields?: Record<string, string>
  /** What is searched, in the plural: `documents`. */
  noun: string
  /** Shows what was found. */
  onOpen(hit: SearchHit): void
}

const endings = {
  all: '',
  matches: 'There are more: the search ended at its limit of matches.',
  time: 'The search ended at its limit of time.',
}

interface Found {
  hits: SearchHit[]
  searched: number
  end: keyof typeof endings | undefined
  error: string | undefined
}

const nothing: Found = { hits: [], searched: 0, end: undefined, error: undefined }

const withMessage = (found: Found, message: SearchMessage): Found =>
  'hits' in message
    ? { ...found, hits: [...found.hits, ...message.hits], searched: message.searched }
    : { ...found, end: message.end, searched: message.searched }

const Hits = ({ hits, onOpen }: { hits: readonly SearchHit[]; onOpen(hit: SearchHit): void }) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolled area must be reachable by keyboard
  <ul class="hits" tabIndex={0} aria-label="Matches">
    {hits.map((hit, i) => (
      <li class="hit" key={i}>
        <button class="hit-number" type="button" onClick={() => onOpen(hit)}>
          {hit.number + 1}
        </button>
        <span class="muted">{hit.where} </span>
        <bdi>
          {namedCharacters(hit.before)}
          <mark>{namedCharacters(hit.match)}</mark>
          {namedCharacters(hit.after)}
        </bdi>
      </li>
    ))}
  </ul>
)

export const Search = ({ path, fields = {}, noun, onOpen }: SearchProps) => {
  const query = route.value.query.get('q') ?? ''
  const typed = useSignal(query)
  const found = useSignal<Found>(nothing)
  const address = query === '' ? undefined : `${path}?${new URLSearchParams({ ...fields, q: query })}`
  useEffect(() => {
    found.value = nothing
    if (address === undefined) return
    return readStream<SearchMessage>(address, {
      onMessage(message) {
        found.value = withMessage(found.value, message)
      },
      onEnd(error) {
        if (error !== undefined) found.value = { ...found.value, error }
      },
    })
  }, [address])
  const { hits, searched, end, error } = found.value
  const matches = `${formatCount(hits.length)} ${hits.length === 1 ? 'match' : 'matches'}`
  return (
    <section class="panel" aria-label="Search">
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault()
          setQuery({ q: typed.value === '' ? undefined : typed.value })
        }}
      >
        <input
          type="search"
          aria-label={`Search all ${noun}`}
          placeholder={`Search all ${noun}`}
          value={typed.value}
          maxLength={500}
          onInput={(event) => {
            typed.value = event.currentTarget.value
          }}
        />
        <button type="submit">Search</button>
        {address !== undefined && (
          <button
            type="button"
            onClick={() => {
              typed.value = ''
              setQuery({ q: undefined })
            }}
          >
            Clear
          </button>
        )}
        <span class="muted" role="status">
          {address !== undefined &&
            error === undefined &&
            `${matches} in ${formatCount(searched)} ${noun}${end === undefined ? ' …' : `. ${endings[end]}`}`}
        </span>
      </form>
      {error !== undefined && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
      {hits.length > 0 && <Hits hits={hits} onOpen={onOpen} />}
    </section>
  )
}
