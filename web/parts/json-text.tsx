// A value as indented JSON, in an area that scrolls.

export const JsonText = ({ value, label }: { value: unknown; label: string }) => (
  <section
    class="scroll json"
    aria-label={label}
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolled area must be reachable by keyboard
    tabIndex={0}
  >
    <pre>{typeof value === 'string' ? value : JSON.stringify(value, null, 2)}</pre>
  </section>
)
