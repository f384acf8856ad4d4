// Tabs of a source; the address has the open one.
import type { ComponentChildren } from 'preact'
import { route, setQuery } from '../../router.ts'

export interface Tab {
  key: string
  title: string
  content(): ComponentChildren
}

export const Tabs = ({ tabs }: { tabs: readonly Tab[] }) => {
  const open = tabs.find(({ key }) => key === route.value.query.get('tab')) ?? tabs[0]
  const move = (by: number) => {
    const next = tabs[(tabs.indexOf(open) + by + tabs.length) % tabs.length]
    setQuery({ tab: next.key, row: undefined })
    document.getElementById(`tab-${next.key}`)?.focus()
  }
  return (
    <>
      <div class="tabs" role="tablist">
        {tabs.map(({ key, title }) => (
          <button
            type="button"
            role="tab"
            key={key}
            id={`tab-${key}`}
            aria-selected={key === open.key}
            aria-controls="tab-content"
            tabIndex={key === open.key ? 0 : -1}
            onClick={() => setQuery({ tab: key, row: undefined })}
            onKeyDown={({ key: pressed }) => {
              if (pressed === 'ArrowRight') move(1)
              else if (pressed === 'ArrowLeft') move(-1)
            }}
          >
            {title}
          </button>
        ))}
      </div>
      <div role="tabpanel" id="tab-content" aria-labelledby={`tab-${open.key}`} class="tab-content">
        {open.content()}
      </div>
    </>
  )
}
