// A piece of a curve, for legends: its colour and its dashes.
import { curveVariable } from '../theme.ts'

export const CurveSample = ({ n, dash = [] }: { n: number; dash?: readonly number[] | undefined }) => (
  <svg class="curve-sample" width="26" height="8" viewBox="0 0 26 8" aria-hidden="true">
    <path
      d="M0 4H26"
      stroke={`var(${curveVariable(n)})`}
      stroke-width="2.5"
      stroke-dasharray={dash.join(' ') || undefined}
    />
  </svg>
)
