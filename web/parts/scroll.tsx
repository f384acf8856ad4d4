// An area that scrolls by itself, which the keyboard can reach.
import type { ComponentChildren } from 'preact'

interface ScrollProps {
  label: string
  /** Its class (default: scroll). */
  kind?: string
  children: ComponentChildren
}

export const Scroll = ({ label, kind = 'scroll', children }: ScrollProps) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolled area must be reachable by keyboard
  <section class={kind} tabIndex={0} aria-label={label}>
    {children}
  </section>
)
