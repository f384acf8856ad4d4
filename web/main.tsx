// The studio: navigation, the page of the address, and what all pages have in common.
import { useSignal } from '@preact/signals'
import type { ComponentType } from 'preact'
import { render } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { connected } from './api.ts'
import { followRuns, studioEnded } from './live-runs.ts'
import { type Page, pages } from './pages/index.ts'
import { Messages } from './parts/messages.tsx'
import { linkTo, route } from './router.ts'
import { sharedFile } from './shared-file.ts'
import { theme, toggleTheme } from './theme.ts'

const pageOf = (name: string | undefined): Page => pages.find((page) => page.path === (name ?? 'runs')) ?? pages[0]

/** A saved file has only some of the pages. */
const isShown = ({ path, isHidden }: Page): boolean =>
  !isHidden && (sharedFile === undefined || sharedFile.pages.includes(path))

const Navigation = ({ current }: { current: Page }) => (
  <nav class="side" aria-label="Pages">
    <div class="brand">Tunesmith</div>
    {pages.filter(isShown).map((page) => (
      <a key={page.path} href={linkTo([page.path])} aria-current={page === current ? 'page' : undefined}>
        {page.title}
      </a>
    ))}
    <div class="foot">
      <button
        type="button"
        onClick={toggleTheme}
        aria-label={`Use the ${theme.value === 'dark' ? 'light' : 'dark'} theme`}
      >
        {theme.value === 'dark' ? 'Light' : 'Dark'}
      </button>
      <div role="status">
        {connected.value ? '' : studioEnded.value ? 'The run has ended, and this page with it.' : 'Reconnecting …'}
      </div>
    </div>
  </nav>
)

const NotLoaded = () => (
  <p class="error" role="alert">
    This page could not be loaded. Is `tunesmith ui` still running? Reload the page.
  </p>
)

const Shell = () => {
  const current = pageOf(route.value.parts[0])
  const content = useSignal<{ page: Page; View: ComponentType } | undefined>(undefined)
  const main = useRef<HTMLElement>(null)
  useEffect(() => {
    document.title = `${sharedFile?.title ?? current.title} · Tunesmith`
    let isLeft = false
    const show = (View: ComponentType) => {
      if (!isLeft) content.value = { page: current, View }
    }
    current.load().then(
      ({ default: View }) => show(View),
      () => show(NotLoaded),
    )
    return () => {
      isLeft = true
    }
  }, [current])
  const shown = content.value
  return (
    <div class="shell">
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <Navigation current={current} />
      <main ref={main} tabIndex={-1} data-page={current.path}>
        {shown?.page === current ? <shown.View /> : <p class="muted">Loading …</p>}
      </main>
      <Messages />
    </div>
  )
}

if (sharedFile !== undefined && location.hash.length < 2) location.hash = sharedFile.home
followRuns()
const app = document.getElementById('app')!
app.replaceChildren()
render(<Shell />, app)
