// Runs side by side: curves, scores against costs, specialists by task, predictions that differ, classes.
import type { ComponentType } from 'preact'
import { comparisonPath, encodeIds } from '../../../src/serving/studio/compare-paths.ts'
import type { RunComparisonAnswer } from '../../../src/serving/studio/types/compare-types.ts'
import { formatTime } from '../../format.ts'
import { Show, useJson } from '../../parts/loading.tsx'
import { type Tab, Tabs } from '../../parts/tabs.tsx'
import { queryChoice, setQuery } from '../../router.ts'
import { sharedFile } from '../../shared-file.ts'
import { Chooser, Chosen } from './chooser.tsx'
import { ClassesView } from './classes-view.tsx'
import './compare.css'
import { CurvesView } from './curves-view.tsx'
import { PredictionsView } from './predictions-view.tsx'
import { ScoresView } from './scores-view.tsx'
import { chosenIds } from './selection.ts'
import { TasksView } from './tasks-view.tsx'

/** Views of scored runs; the curves, which any run has, come before them. */
const scoredViews: Record<string, { title: string; View: ComponentType<{ answer: RunComparisonAnswer }> }> = {
  scores: { title: 'Scores and costs', View: ScoresView },
  tasks: { title: 'Specialists by task', View: TasksView },
  predictions: { title: 'Predictions', View: PredictionsView },
  classes: { title: 'Confusion and calibration', View: ClassesView },
}

const tabs: readonly Tab[] = [
  { key: 'curves', title: 'Curves' },
  ...Object.entries(scoredViews).map(([key, { title }]) => ({ key, title })),
]

const Scored = ({ view, ids }: { view: string; ids: readonly string[] }) => {
  const loaded = useJson<RunComparisonAnswer>(comparisonPath(ids))
  const { View } = scoredViews[view]
  return (
    <Show of={loaded.value}>
      {(answer) => (
        <>
          {answer.warnings.map((warning) => (
            <p class="panel warning" key={warning}>
              {warning}
            </p>
          ))}
          {answer.skipped.length > 0 && (
            <details class="panel">
              <summary>
                {answer.skipped.length} of the chosen runs {answer.skipped.length === 1 ? 'has' : 'have'} no score
              </summary>
              <ul>
                {answer.skipped.map(({ id, reason }) => (
                  <li key={id}>
                    <b>{id}</b>: {reason}
                  </li>
                ))}
              </ul>
            </details>
          )}
          {answer.runs.length === 0 ? (
            <p class="muted">None of the chosen runs has a score: choose finished fine-tuning or alignment runs.</p>
          ) : (
            <View answer={answer} />
          )}
        </>
      )}
    </Show>
  )
}

export default () => {
  const ids = chosenIds()
  const view = queryChoice(
    'view',
    tabs.map(({ key }) => key),
  )
  return (
    <>
      <div class="head">
        <h1>Compare</h1>
        <span class="muted">{ids.length === 0 ? 'Choose runs to compare' : `${ids.length} runs`}</span>
        {ids.length > 1 && sharedFile === undefined && (
          <a class="button end" href={`/api/comparison/share?runs=${encodeURIComponent(encodeIds(ids))}`} download>
            Download as one HTML file
          </a>
        )}
        {sharedFile !== undefined && <span class="muted">saved {formatTime(sharedFile.made)}</span>}
      </div>
      {sharedFile === undefined && <Chooser />}
      <Chosen />
      {ids.length > 0 && (
        <Tabs
          label="Views"
          tabs={tabs}
          open={view}
          onOpen={(key) => setQuery({ view: key === tabs[0].key ? undefined : key })}
        >
          {view === 'curves' ? <CurvesView /> : <Scored view={view} ids={ids} />}
        </Tabs>
      )}
    </>
  )
}
