// What all pages of a source begin with: its name, its place, and the runs that use it.
import type { DataKind, DataSource } from '../../../src/serving/studio/types/data-types.ts'
import { linkTo } from '../../router.ts'

/** What the kinds are called. */
export const kindTitles: Record<DataKind, string> = {
  corpus: 'Corpus',
  shards: 'Token shards',
  records: 'Records',
  pairs: 'Preference pairs',
  ratings: 'Ratings',
  prompts: 'Prompts',
}

/** The path of a source's API. */
export const sourcePath = (id: string, rest = ''): string => `/api/data/${encodeURIComponent(id)}${rest}`

const shownRuns = 5

export const RunLinks = ({ uses }: Pick<DataSource, 'uses'>) => (
  <>
    {uses.slice(0, shownRuns).map(({ run, role }) => (
      <a key={`${run} ${role}`} href={linkTo(['runs', run])}>
        {run}
        {role === 'validation' ? ' (validation)' : ''}
      </a>
    ))}
    {uses.length > shownRuns && <span class="muted">and {uses.length - shownRuns} more</span>}
  </>
)

export const SourceHead = ({ source }: { source: DataSource }) => (
  <>
    <div class="head">
      <h1>{source.name}</h1>
      <span class="muted">
        {kindTitles[source.kind]}
        {source.task === null ? '' : ` of ${source.task}`}
      </span>
      <a href={linkTo(['data'])}>All data</a>
    </div>
    <div class="row muted">
      <span class="path mono">{source.path}</span>
      {source.uses.length > 0 && <span>used by</span>}
      <RunLinks uses={source.uses} />
    </div>
    {source.state === 'missing' && (
      <p class="error" role="alert">
        Nothing is there any more: it was deleted or moved after the run.
      </p>
    )}
  </>
)
