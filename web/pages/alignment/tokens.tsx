// One answer of a rollout, token by token: the advantage, the divergence from the reference or the log-probability as heat.
import type { AnswerToken, RolloutAnswer } from '../../../src/serving/studio/types/alignment-types.ts'
import { runPath } from '../../api.ts'
import { formatValue } from '../../format.ts'
import { Show, useJson } from '../../parts/loading.tsx'
import { queryChoice, setQuery } from '../../router.ts'

interface Heat {
  title: string
  of(token: AnswerToken, answer: RolloutAnswer): number | null
  note?: string
}

const heats: Record<string, Heat> = {
  advantage: {
    title: 'Advantage',
    of: ({ chosen }, { advantage }) => (chosen ? advantage : null),
    note: 'The file keeps the mean advantage of an answer, so all of its tokens have one colour.',
  },
  kl: {
    title: 'Log-probability minus that of the reference',
    of: ({ ratio }) => ratio,
    note: 'Its sum over the tokens estimates the KL divergence.',
  },
  logProb: {
    title: 'Log-probability',
    of: ({ logProb }) => logProb,
    note: 'The more colour, the less likely the token was.',
  },
}

const Token = ({ token, value, most }: { token: AnswerToken; value: number | null; most: number }) => {
  const share = value === null || most === 0 ? 0 : Math.min(1, Math.abs(value) / most)
  const color = value !== null && value < 0 ? 'var(--curve-2)' : 'var(--curve-1)'
  return (
    <span
      class={token.chosen ? 'token' : 'token outside'}
      title={`${token.id}: log-probability ${formatValue(token.logProb)}${token.ratio === null ? '' : `, minus the reference ${formatValue(token.ratio)}`}${token.chosen ? '' : ', written by the environment'}`}
      style={{ background: `color-mix(in srgb, ${color} ${Math.round(45 * share)}%, transparent)` }}
    >
      {token.text === '' ? <span class="muted">⟨{token.id}⟩</span> : token.text}
    </span>
  )
}

const Tokens = ({ answer }: { answer: RolloutAnswer }) => {
  const chosen = queryChoice('heat', Object.keys(heats))
  const heat = heats[chosen]
  const values = answer.answerTokens.map((token) => heat.of(token, answer))
  const most = values.reduce((largest: number, value) => Math.max(largest, Math.abs(value ?? 0)), 0)
  const known = values.some((value) => value !== null)
  return (
    <>
      <div class="row controls">
        <label>
          Colour{' '}
          <select value={chosen} onChange={(event) => setQuery({ heat: event.currentTarget.value })}>
            {Object.entries(heats).map(([key, { title }]) => (
              <option key={key} value={key}>
                {title}
              </option>
            ))}
          </select>
        </label>
        <span class="muted">
          {known ? `from ${formatValue(-most)} to ${formatValue(most)}` : 'not measured for this answer'}
        </span>
      </div>
      {heat.note && <p class="muted">{heat.note}</p>}
      {answer.note && <p class="muted">{answer.note}</p>}
      <p class="tokens mono">
        {answer.answerTokens.map((token, i) => (
          <Token key={i} token={token} value={values[i]} most={most} />
        ))}
      </p>
      {answer.tokens > answer.answerTokens.length && (
        <p class="muted">
          The first {answer.answerTokens.length} of {answer.tokens} tokens.
        </p>
      )}
    </>
  )
}

export const AnswerPanel = ({ run, rollout, row }: { run: string; rollout: number; row: number }) => {
  const answer = useJson<RolloutAnswer>(runPath(run, `/rollouts/${rollout}/answers/${row}`))
  return (
    <section class="panel" aria-label="Answer">
      <Show of={answer.value}>
        {(data) => (
          <>
            <div class="row spread">
              <h2>
                Answer {data.member + 1} to {data.id} <span class="muted">in group {data.group}</span>
              </h2>
              <button type="button" onClick={() => setQuery({ answer: undefined })}>
                Close
              </button>
            </div>
            <div class="row muted">
              <span>reward {formatValue(data.reward)}</span>
              {Object.entries(data.rewards).map(([name, value]) => (
                <span key={name}>
                  {name} {value === null ? '–' : formatValue(value)}
                </span>
              ))}
              <span>advantage {data.advantage === null ? 'none: not trained on' : formatValue(data.advantage)}</span>
              {data.kl !== null && <span>KL {formatValue(data.kl)}</span>}
              <span>{data.tokens} tokens</span>
            </div>
            <h3>Prompt</h3>
            <p class="text">{data.prompt}</p>
            <h3>Answer</h3>
            <Tokens answer={data} />
            {data.reference !== null && (
              <>
                <h3>Reference answer</h3>
                <p class="text">{data.reference}</p>
              </>
            )}
          </>
        )}
      </Show>
    </section>
  )
}
