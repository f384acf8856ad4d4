// Tabs of a source; the address has the open one.
import type { ComponentChildren } from 'preact'
import { type Tab, Tabs } from '../../parts/tabs.tsx'
import { route, setQuery } from '../../router.ts'

interface SourceTab extends Tab {
  content(): ComponentChildren
}

export const SourceTabs = ({ tabs }: { tabs: readonly SourceTab[] }) => {
  const open = tabs.find(({ key }) => key === route.value.query.get('tab')) ?? tabs[0]
  return (
    <Tabs label="Views" tabs={tabs} open={open.key} onOpen={(tab) => setQuery({ tab, row: undefined })}>
      {open.content()}
    </Tabs>
  )
}
