// Probabilities as bars.

interface Bar {
  name: string
  /** From 0 to 1. */
  share: number
  /** Whether it is the one that was chosen. */
  strong?: boolean
}

const percent = (share: number): string => `${(100 * share).toFixed(share < 0.001 ? 3 : 1)} %`

export const Bars = ({ label, bars }: { label: string; bars: readonly Bar[] }) => (
  <table class="chances" aria-label={label}>
    <tbody>
      {bars.map(({ name, share, strong }, i) => (
        <tr key={`${i} ${name}`}>
          <th scope="row">{strong ? <strong>{name}</strong> : name}</th>
          <td class="bar">
            <div style={{ width: `${(100 * Math.max(0, Math.min(1, share))).toFixed(2)}%` }} />
          </td>
          <td class="number">{percent(share)}</td>
        </tr>
      ))}
    </tbody>
  </table>
)
