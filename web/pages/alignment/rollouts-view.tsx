// The rollouts of a run: a slider over them, their answers with rewards, and groups that teach nothing.
import type {
  AlignmentFacts,
  RolloutAnswerRow,
  RolloutPage,
} from '../../../src/serving/studio/types/alignment-types.ts'
import { runPath } from '../../api.ts'
import { formatValue } from '../../format.ts'
import { Show, useJson } from '../../parts/loading.tsx'
import { Pager } from '../../parts/pager.tsx'
import { Scroll } from '../../parts/scroll.tsx'
import { queryWhole, setQuery } from '../../router.ts'
import { RewardChart } from './reward-chart.tsx'
import { AnswerPanel } from './tokens.tsx'

const size = 50

const finished: Record<string, string> = {
  eos: 'finished',
  stop: 'finished at a stop string',
  length: 'cut at the limit',
  aborted: 'aborted',
}

const AnswerRow = ({ row, names, current }: { row: RolloutAnswerRow; names: readonly string[]; current: boolean }) => (
  <tr class={current ? 'current' : undefined}>
    <td>
      <button
        type="button"
        aria-pressed={current}
        aria-label={`Read answer ${row.row}, number ${row.group}.${row.member}`}
        onClick={() => setQuery({ answer: current ? undefined : String(row.row) })}
      >
        {row.group}.{row.member}
      </button>
    </td>
    <td class="cut">{row.prompt}</td>
    <td class="cut">{row.completion}</td>
    <td class="number">{formatValue(row.reward)}</td>
    {names.map((name) => (
      <td class="number" key={name}>
        {formatValue(row.rewards[name])}
      </td>
    ))}
    <td class="number">{row.advantage === null ? '–' : formatValue(row.advantage)}</td>
    <td class="number">{row.kl === null ? '–' : formatValue(row.kl)}</td>
    <td class="number">{row.tokens}</td>
    <td class="nowrap">{finished[row.finishReason] ?? row.finishReason}</td>
    <td>{row.trained ? 'yes' : 'no'}</td>
  </tr>
)

const EqualGroups = ({ page }: { page: RolloutPage }) => (
  <details class="panel" open={page.equalCount > 0 && page.equalCount < 20}>
    <summary>
      {page.equalCount} of {page.groups} groups without variance
    </summary>
    <p class="muted">
      All answers of such a group have one reward, so objectives that compare within groups learn nothing from it.
      {page.untrained > 0 && ` ${page.untrained} answers of this rollout were not trained on.`}
    </p>
    <div class="row">
      {page.equalGroups.map(({ group, from, to, reward }) => (
        <button
          type="button"
          key={group}
          onClick={() => setQuery({ from: from === 0 ? undefined : String(from), answer: undefined })}
        >
          Group {group}: {to - from} × {reward === null ? 'no reward' : formatValue(reward)}
        </button>
      ))}
    </div>
    {page.equalCount > page.equalGroups.length && <p class="muted">The first {page.equalGroups.length} are listed.</p>}
  </details>
)

const Answers = ({ page }: { page: RolloutPage }) => {
  const all = Object.keys(page.rows[0]?.rewards ?? {})
  // One function alone is the reward itself.
  const names = all.length > 1 ? all : []
  const current = queryWhole('answer')
  return (
    <section class="panel" aria-label="Answers">
      <Scroll label="Answers of the rollout" kind="scroll window">
        <table class="answers">
          <thead>
            <tr>
              <th scope="col">Answer</th>
              <th scope="col">Prompt</th>
              <th scope="col">Completion</th>
              {['Reward', ...names, 'Advantage', 'KL', 'Tokens'].map((title) => (
                <th scope="col" class="number" key={title}>
                  {title}
                </th>
              ))}
              <th scope="col">End</th>
              <th scope="col">Trained</th>
            </tr>
          </thead>
          <tbody>
            {page.rows.map((row) => (
              <AnswerRow key={row.row} row={row} names={names} current={row.row === current} />
            ))}
          </tbody>
        </table>
      </Scroll>
      <Pager
        from={page.from}
        shown={page.rows.length}
        total={page.total}
        size={size}
        noun="answers"
        onFrom={(from) => setQuery({ from: from === 0 ? undefined : String(from), answer: undefined })}
      />
    </section>
  )
}

const Slider = ({ rollouts, at, page }: { rollouts: readonly number[]; at: number; page: RolloutPage | undefined }) => {
  const show = (index: number) => {
    const next = Math.min(rollouts.length - 1, Math.max(0, index))
    // The last one is followed while the run goes on.
    setQuery({
      rollout: next === rollouts.length - 1 ? undefined : String(rollouts[next]),
      from: undefined,
      answer: undefined,
    })
  }
  return (
    <section class="panel slider" aria-label="Rollout">
      <div class="row">
        <button type="button" disabled={at === 0} onClick={() => show(at - 1)}>
          Earlier
        </button>
        <label class="grow">
          <span class="visually-hidden">Rollout</span>
          <input
            type="range"
            min="0"
            max={String(rollouts.length - 1)}
            value={String(at)}
            aria-valuetext={`rollout ${rollouts[at]}`}
            onInput={(event) => show(Number(event.currentTarget.value))}
          />
        </label>
        <button type="button" disabled={at === rollouts.length - 1} onClick={() => show(at + 1)}>
          Later
        </button>
      </div>
      <div class="row muted">
        <b>
          Rollout {rollouts[at]} of {rollouts.at(-1)}
        </b>
        {page && (
          <>
            <span>before step {(page.step ?? 0) + 1}</span>
            <span>{page.total} answers</span>
            <span>
              reward {formatValue(page.reward.mean)} ({formatValue(page.reward.min)} to {formatValue(page.reward.max)})
            </span>
            {page.kl !== null && <span>KL {formatValue(page.kl)}</span>}
          </>
        )}
      </div>
    </section>
  )
}

export const RolloutsView = ({ id, facts, version }: { id: string; facts: AlignmentFacts; version: number }) => {
  const { rollouts } = facts
  const asked = queryWhole('rollout')
  const found = asked === undefined ? -1 : rollouts.indexOf(asked)
  const at = found < 0 ? rollouts.length - 1 : found
  const from = queryWhole('from') ?? 0
  const page = useJson<RolloutPage>(
    at < 0 ? undefined : runPath(id, `/rollouts/${rollouts[at]}?from=${from}&count=${size}`),
  )
  const answer = queryWhole('answer')
  return (
    <>
      <RewardChart id={id} scored={facts.scored} version={version} step={page.value.data?.step ?? null} />
      {at < 0 ? (
        <p class="panel muted">No rollouts on disk: there are none yet, or the recipe has `rollout.keep` false.</p>
      ) : (
        <>
          <Slider rollouts={rollouts} at={at} page={page.value.data} />
          {answer !== undefined && <AnswerPanel run={id} rollout={rollouts[at]} row={answer} />}
          <Show of={page.value}>
            {(data) => (
              <>
                <EqualGroups page={data} />
                <Answers page={data} />
              </>
            )}
          </Show>
        </>
      )}
    </>
  )
}
