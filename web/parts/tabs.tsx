// Tabs with what the open one shows. The arrow keys go from tab to tab.
import type { ComponentChildren } from 'preact'

export interface Tab {
  key: string
  title: string
}

interface TabsProps {
  label: string
  tabs: readonly Tab[]
  /** Key of the tab that is shown. */
  open: string
  onOpen(key: string): void
  /** What it shows. */
  children: ComponentChildren
}

const idOf = (key: string): string => `tab-${key}`

export const Tabs = ({ label, tabs, open, onOpen, children }: TabsProps) => {
  const move = (by: number) => {
    const at = tabs.findIndex(({ key }) => key === open)
    const { key } = tabs[(at + by + tabs.length) % tabs.length]
    onOpen(key)
    document.getElementById(idOf(key))?.focus()
  }
  return (
    <>
      <div class="tabs" role="tablist" aria-label={label}>
        {tabs.map(({ key, title }) => (
          <button
            type="button"
            role="tab"
            key={key}
            id={idOf(key)}
            aria-selected={key === open}
            aria-controls="tab-content"
            tabIndex={key === open ? 0 : -1}
            onClick={() => onOpen(key)}
            onKeyDown={({ key: pressed }) => {
              if (pressed === 'ArrowRight') move(1)
              else if (pressed === 'ArrowLeft') move(-1)
            }}
          >
            {title}
          </button>
        ))}
      </div>
      <div role="tabpanel" id="tab-content" aria-labelledby={idOf(open)} class="tab-content">
        {children}
      </div>
    </>
  )
}
