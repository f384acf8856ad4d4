// What a run leaves: memory and time predicted and measured, the run card, checkpoints with their sizes, and what is damaged.
import type { RunDetails, RunFilesAnswer } from '../../../src/serving/studio/types/api-types.ts'
import { runPath } from '../../api.ts'
import { formatBytes, formatTime } from '../../format.ts'
import { JsonText } from '../../parts/json-text.tsx'
import { Show, useJson } from '../../parts/loading.tsx'
import { Scroll } from '../../parts/scroll.tsx'
import { ValueTable } from '../../parts/value-table.tsx'

const Checkpoints = ({ files }: { files: RunFilesAnswer }) => (
  <section class="panel" aria-label="Checkpoints">
    <h2>Checkpoints</h2>
    {files.checkpoints.length === 0 ? (
      <p class="muted">No checkpoint is on disk.</p>
    ) : (
      <Scroll label="Table of checkpoints">
        <table>
          <thead>
            <tr>
              <th class="number">Step</th>
              <th class="number">Size</th>
              <th>Written</th>
              <th>Folder</th>
              <th>Largest files</th>
            </tr>
          </thead>
          <tbody>
            {files.checkpoints.map(({ step, bytes, written, path, files: own }) => (
              <tr key={path}>
                <td class="number">{step}</td>
                <td class="number">{formatBytes(bytes)}</td>
                <td>{formatTime(written)}</td>
                <td class="mono">{path}</td>
                <td class="muted">
                  {own
                    .slice(0, 3)
                    .map((file) => `${file.name} ${formatBytes(file.bytes)}`)
                    .join(', ')}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    )}
    <p class="muted">
      {formatBytes(files.checkpoints.reduce((sum, { bytes }) => sum + bytes, 0))} in checkpoints
      {files.modelBytes !== null && `, ${formatBytes(files.modelBytes)} in the finished model`}.
    </p>
  </section>
)

const Costs = ({ costs }: { costs: RunFilesAnswer['costs'] }) =>
  costs.length === 0 ? null : (
    <section class="panel" aria-label="Predicted and measured">
      <h2>Predicted and measured</h2>
      <Scroll label="Table of predicted and measured costs">
        <table>
          <thead>
            <tr>
              <th>What</th>
              <th class="number">Predicted</th>
              <th class="number">Measured</th>
              <th class="number">Difference</th>
            </tr>
          </thead>
          <tbody>
            {costs.map(({ name, predicted, measured, difference }) => (
              <tr key={name}>
                <td>{name}</td>
                <td class="number">{predicted}</td>
                <td class="number">{measured}</td>
                <td class="number">{difference}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </section>
  )

const Damage = ({ details, files }: { details: RunDetails; files: RunFilesAnswer }) => {
  const { damage, row } = details
  if (damage.length + files.incidents.length === 0 && row.message === null) return null
  return (
    <section class="panel" aria-label="Damage and messages">
      <h2>Damage and messages</h2>
      {row.message !== null && <p class="error">{row.message}</p>}
      <ul>
        {damage.map(({ line, expected }) => (
          <li key={`${line} ${expected}`} class="error">
            {line === null ? 'A line' : `Line ${line}`} of events.jsonl is damaged: expected {expected}.
          </li>
        ))}
      </ul>
      {files.incidents.map(({ step, report }) => (
        <details key={step}>
          <summary>Report of step {step}</summary>
          <JsonText label={`Report of step ${step}`} value={report} />
        </details>
      ))}
    </section>
  )
}

export const Files = ({ id, details, version }: { id: string; details: RunDetails; version: number }) => {
  const files = useJson<RunFilesAnswer>(runPath(id, '/files'), version)
  return (
    <>
      <Show of={files.value}>
        {(found) => (
          <>
            <Damage details={details} files={found} />
            <Costs costs={found.costs} />
            <Checkpoints files={found} />
          </>
        )}
      </Show>
      <div class="panel">
        <h2>Run card</h2>
        {details.card === null ? (
          <p class="muted">The run card is written when a session ends.</p>
        ) : (
          <>
            <ValueTable
              label="Run card"
              value={{ ...details.card, config: undefined, prediction: undefined, measured: undefined }}
            />
            <details>
              <summary>As JSON</summary>
              <JsonText label="Run card as JSON" value={details.card} />
            </details>
          </>
        )}
      </div>
    </>
  )
}
