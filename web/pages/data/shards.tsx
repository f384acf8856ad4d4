// Token shards: documents as text, and rows as a run sees them, with boundaries, special tokens and masks.
import { useSignal } from '@preact/signals'
import type {
  PackedRows,
  ShardOverview,
  ShardRun,
  ShownRow,
  ShownSequence,
  ShownToken,
} from '../../../src/serving/studio/types/data-types.ts'
import { formatBytes, formatCount } from '../../format.ts'
import { Facts } from '../../parts/facts.tsx'
import { Show, useJson } from '../../parts/loading.tsx'
import { namedCharacters, SafeText } from '../../parts/safe-text.tsx'
import { queryChoice, queryWhole, route, setQuery } from '../../router.ts'
import { Documents, textColumn } from './documents.tsx'
import { SourceHead, sourcePath } from './source-head.tsx'
import { SourceTabs } from './tabs.tsx'

const classOf = ({ special, trained, label }: ShownToken): string | undefined =>
  [label === undefined ? (special ? 'special' : '') : 'masked', trained && label === undefined ? 'trained' : '']
    .filter(Boolean)
    .join(' ') || undefined

const Token = ({ token }: { token: ShownToken }) => (
  <span class={classOf(token)} title={`token ${token.id}${token.trained ? ', trained' : ''}`}>
    {token.label !== undefined && token.label !== token.text && <s>{namedCharacters(token.text)}</s>}
    {namedCharacters(token.label ?? token.text)}
  </span>
)

const roleTitles = { text: undefined, input: 'Input', target: 'Target' }

const Sequence = ({ sequence: { role, tokens } }: { sequence: ShownSequence }) => (
  <div class="sequence">
    {roleTitles[role] !== undefined && <strong>{roleTitles[role]}: </strong>}
    <bdi>
      {tokens.map((token, i) => (
        <Token key={i} token={token} />
      ))}
    </bdi>
  </div>
)

const RowOfRun = ({ row }: { row: ShownRow }) => (
  <article class="panel packed-row" aria-label={`Row at position ${row.position}`}>
    <div class="row muted">
      <strong>Position {formatCount(row.position)}</strong>
      {row.epoch !== null && <span>epoch {row.epoch + 1}</span>}
      <span>
        {row.tokens} tokens, {row.trained} trained
      </span>
      <span>{row.documents === 1 ? '1 document' : `${row.documents} documents`}</span>
      {row.cut > 0 && <span>{row.cut} tokens cut off</span>}
      {row.place !== null && <span class="path">from {row.place}</span>}
    </div>
    {row.sequences === null ? (
      <SafeText {...row.text} />
    ) : (
      row.sequences.map((sequence, i) => <Sequence key={i} sequence={sequence} />)
    )}
  </article>
)

const rowsPerPage = 4

const splitNames = ['train', 'validation'] as const

const Rows = ({ id, runs }: { id: string; runs: readonly ShardRun[] }) => {
  const { query } = route.value
  const run = runs.find((one) => one.run === query.get('run')) ?? runs[0]
  const split = queryChoice('split', splitNames)
  const position = queryWhole('position') ?? 0
  const seed = query.get('seed')
  const typed = useSignal({ position: String(position), seed: seed ?? '' })
  const fields = { run: run.run, split, position: String(position), count: String(rowsPerPage) }
  const rows = useJson<PackedRows>(
    sourcePath(id, `/packed?${new URLSearchParams(seed === null ? fields : { ...fields, seed })}`),
  )
  const go = (to: number) => {
    typed.value = { ...typed.value, position: String(Math.max(0, to)) }
    setQuery({ position: String(Math.max(0, to)) })
  }
  return (
    <>
      <form
        class="panel row"
        aria-label="Which rows"
        onSubmit={(event) => {
          event.preventDefault()
          setQuery({ seed: typed.value.seed === '' ? undefined : typed.value.seed })
          go(Math.floor(Number(typed.value.position)) || 0)
        }}
      >
        <label>
          As seen by{' '}
          <select value={run.run} onChange={(event) => setQuery({ run: event.currentTarget.value })}>
            {runs.map(({ run: name, objective }) => (
              <option key={name} value={name}>
                {name} · {objective}
              </option>
            ))}
          </select>
        </label>
        <label>
          in{' '}
          <select value={split} onChange={(event) => setQuery({ split: event.currentTarget.value })}>
            <option value="train">training</option>
            <option value="validation">validation</option>
          </select>
        </label>
        <label>
          from position{' '}
          <input
            type="number"
            min="0"
            value={typed.value.position}
            onInput={(event) => {
              typed.value = { ...typed.value, position: event.currentTarget.value }
            }}
          />
        </label>
        <label>
          random seed{' '}
          <input
            type="number"
            min="0"
            placeholder={String(run.seed)}
            value={typed.value.seed}
            onInput={(event) => {
              typed.value = { ...typed.value, seed: event.currentTarget.value }
            }}
          />
        </label>
        <button type="submit">Go</button>
        <button type="button" disabled={position === 0} onClick={() => go(position - rowsPerPage)}>
          Earlier
        </button>
        <button type="button" onClick={() => go(position + rowsPerPage)}>
          Later
        </button>
      </form>
      <p class="muted">
        Each bar is a sequence that sees only itself. <span class="trained">Underlined</span> tokens have a loss;{' '}
        <span class="masked">
          <s>input</s>label
        </span>{' '}
        are masked; <span class="special">special</span> tokens are framed.
      </p>
      <Show of={rows.value}>
        {({ rows: shown, perEpoch, maxLength }) => (
          <>
            {perEpoch !== null && (
              <p class="muted">
                {formatCount(perEpoch)} rows per epoch, of at most {formatCount(maxLength)} tokens
              </p>
            )}
            {shown.map((row) => (
              <RowOfRun key={row.position} row={row} />
            ))}
            {shown.length === 0 && <p class="muted">There is no row at this position.</p>}
          </>
        )}
      </Show>
    </>
  )
}

const ShardDocuments = ({ id, splits }: { id: string } & Pick<ShardOverview, 'splits'>) => {
  const split = queryChoice('split', splitNames)
  return (
    <>
      <label class="row">
        Split
        <select value={split} onChange={(event) => setQuery({ split: event.currentTarget.value, row: undefined })}>
          {splits.map(({ name }) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <Documents
        key={split}
        id={id}
        split={split}
        columns={[
          textColumn,
          { key: 'tokens', title: 'Tokens', number: true, cell: ({ tokens }) => formatCount(tokens ?? 0) },
        ]}
      />
    </>
  )
}

export const ShardsPage = ({ id }: { id: string }) => {
  const overview = useJson<ShardOverview>(sourcePath(id, '/shards'))
  return (
    <Show of={overview.value}>
      {(shards) => {
        const rows = { key: 'rows', title: 'Rows of a run', content: () => <Rows id={id} runs={shards.runs} /> }
        const documents = {
          key: 'documents',
          title: 'Documents',
          content: () => <ShardDocuments id={id} splits={shards.splits} />,
        }
        return (
          <>
            <SourceHead source={shards.source} />
            <div class="panel">
              <Facts
                facts={[
                  ...shards.splits.map(
                    ({ name, tokens, documents: count, bytes }) =>
                      [
                        name === 'train' ? 'Training' : 'Validation',
                        `${formatCount(tokens)} tokens, ${formatCount(count)} documents, ${formatBytes(bytes)}`,
                      ] as const,
                  ),
                  ['Vocabulary', `${formatCount(shards.vocabularySize)} tokens, ${shards.dtype}`],
                  ['Tokens around a document', `${shards.beginId ?? 'none'} before, ${shards.endId ?? 'none'} after`],
                  ['Made of', shards.from.slice(0, 40)],
                ]}
              />
            </div>
            {shards.tokenizerFault !== null && (
              <p class="error" role="alert">
                {shards.tokenizerFault}
              </p>
            )}
            {shards.tokenizerFault === null && (
              <SourceTabs tabs={shards.runs.length > 0 ? [rows, documents] : [documents]} />
            )}
          </>
        )
      }}
    </Show>
  )
}
