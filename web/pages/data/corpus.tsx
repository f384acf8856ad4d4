// A corpus: what its build kept and dropped, and its documents.
import type { CorpusOverview, DropReason } from '../../../src/serving/studio/types/data-types.ts'
import { formatBytes, formatCount } from '../../format.ts'
import { Bars } from '../../parts/bars.tsx'
import { Facts } from '../../parts/facts.tsx'
import { Histogram } from '../../parts/histogram.tsx'
import { Show, useJson } from '../../parts/loading.tsx'
import { SafeText } from '../../parts/safe-text.tsx'
import { Scroll } from '../../parts/scroll.tsx'
import { Documents, textColumn } from './documents.tsx'
import { SourceHead, sourcePath } from './source-head.tsx'
import { SourceTabs } from './tabs.tsx'

const Reason = ({ stage, reason, count, examples }: DropReason) => (
  <details>
    <summary>
      {reason} <span class="muted">in {stage}:</span> {formatCount(count)}
    </summary>
    {examples.map(({ id, source, detail, excerpt }) => (
      <blockquote key={`${source} ${id} ${detail}`}>
        {excerpt.text !== '' && <SafeText {...excerpt} />}
        <div class="muted path">
          {detail !== null && (
            <>
              <SafeText text={detail} />
              {' · '}
            </>
          )}
          <SafeText text={id ?? source} />
        </div>
      </blockquote>
    ))}
    {examples.length === 0 && <p class="muted">The build kept no examples of it.</p>}
  </details>
)

const Dropped = ({ drops, stages }: Pick<CorpusOverview, 'drops' | 'stages'>) => (
  <div class="grid">
    <section class="panel" aria-label="Stages">
      <h2>Stages</h2>
      <Scroll label="Table of stages">
        <table>
          <thead>
            <tr>
              <th scope="col">Stage</th>
              {['In', 'Out', 'Changed', 'Added'].map((title) => (
                <th scope="col" class="number" key={title}>
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {stages.map(({ stage, documentsIn, documentsOut, changed, added }) => (
              <tr key={stage}>
                <td>{stage}</td>
                {[documentsIn, documentsOut, changed, added].map((value, i) => (
                  <td class="number" key={i}>
                    {formatCount(value)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </section>
    <section class="panel" aria-label="Why documents were dropped">
      <h2>Why documents were dropped</h2>
      {drops.length === 0 && <p class="muted">No document was dropped.</p>}
      {drops.map((drop) => (
        <Reason key={`${drop.stage} ${drop.reason}`} {...drop} />
      ))}
    </section>
  </div>
)

const Content = ({ lengths, languages, kinds, inputs, inputCount, damaged }: CorpusOverview) => (
  <div class="grid">
    <section class="panel" aria-label="Lengths">
      <h2>Lengths in characters</h2>
      <Histogram
        label="Histogram of lengths"
        across="characters of a document, doubling from bar to bar"
        bins={lengths}
        whole
      />
      <Bars
        label="Lengths"
        head={['Characters', 'Documents']}
        bars={lengths.map(({ from, to, count }) => ({ name: `${formatCount(from)} to ${formatCount(to - 1)}`, count }))}
      />
    </section>
    <section class="panel" aria-label="Languages">
      <h2>Languages</h2>
      <Bars
        label="Languages"
        head={['Language', 'Documents']}
        bars={languages.map(({ language, documents }) => ({ name: language, count: documents }))}
      />
      {languages.some(({ language }) => language === 'unknown') && (
        <p class="muted">Unknown: no filter with languages has looked at them.</p>
      )}
    </section>
    <section class="panel" aria-label="Sources">
      <h2>Sources</h2>
      <Bars
        label="Sources"
        head={['Kind', 'Documents']}
        bars={kinds.map(({ kind, documents }) => ({ name: kind, count: documents }))}
      />
      <details>
        <summary>{formatCount(inputCount)} inputs</summary>
        <ul>
          {inputs.map(({ path, bytes }) => (
            <li class="path" key={path}>
              <SafeText text={path} /> <span class="muted">{formatBytes(bytes)}</span>
            </li>
          ))}
        </ul>
        {inputCount > inputs.length && <p class="muted">The first {inputs.length} are listed.</p>}
      </details>
      {damaged.map(({ path, message }) => (
        <p class="damage path" key={path}>
          {path}: {message}
        </p>
      ))}
    </section>
  </div>
)

export const CorpusPage = ({ id }: { id: string }) => {
  const overview = useJson<CorpusOverview>(sourcePath(id, '/corpus'))
  return (
    <Show of={overview.value}>
      {(corpus) => (
        <>
          <SourceHead source={corpus.source} />
          <div class="panel">
            <Facts
              facts={[
                ['Documents', formatCount(corpus.documents)],
                ['Text', formatBytes(corpus.textBytes)],
                ['Characters', formatCount(corpus.characters)],
                ['Dropped', formatCount(corpus.drops.reduce((sum, { count }) => sum + count, 0))],
                ['Damaged inputs', formatCount(corpus.damaged.length)],
              ]}
            />
          </div>
          <SourceTabs
            tabs={[
              { key: 'content', title: 'Content', content: () => <Content {...corpus} /> },
              { key: 'dropped', title: 'Dropped', content: () => <Dropped {...corpus} /> },
              {
                key: 'documents',
                title: 'Documents',
                content: () => (
                  <Documents
                    id={id}
                    columns={[
                      textColumn,
                      {
                        key: 'length',
                        title: 'Characters',
                        number: true,
                        cell: ({ text }) => text && formatCount(text.length ?? text.text.length),
                      },
                      { key: 'origin', title: 'Source', cell: ({ origin }) => origin && <SafeText text={origin} /> },
                    ]}
                  />
                ),
              },
            ]}
          />
        </>
      )}
    </Show>
  )
}
