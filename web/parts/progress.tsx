// How far something is, as a bar.

/** @param share of the whole, from 0 to 1 */
export const Progress = ({ share, label }: { share: number; label: string }) => (
  <progress value={Math.max(0, Math.min(1, share))} max={1} aria-label={label} />
)
