// A value as indented JSON, in an area that scrolls.
import { Scroll } from './scroll.tsx'

export const JsonText = ({ value, label }: { value: unknown; label: string }) => (
  <Scroll label={label} kind="scroll json">
    <pre>{typeof value === 'string' ? value : JSON.stringify(value, null, 2)}</pre>
  </Scroll>
)
