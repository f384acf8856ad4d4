// The answers of the models, side by side.
import { formatWhole } from '../../format.ts'
import { nameOf } from './model-picker.tsx'
import type { Answer, Turn } from './session.ts'
import { TokenText } from './token-text.tsx'

/** How people call a version: `step 1,200, live`. */
const versionOf = (model: string, step: number | null): string => {
  if (step !== null) return `step ${formatWhole(step)}, live`
  const version = model.slice(model.lastIndexOf('@') + 1)
  return /^\d+$/.test(version)
    ? `step ${formatWhole(Number(version))}`
    : version === 'live'
      ? 'in training'
      : nameOf(model)
}

const waitingText = (model: string): string =>
  model.endsWith('@live') ? 'Waiting for the end of the step …' : 'Waiting for the answer …'

const AnswerView = ({ answer, turn }: { answer: Answer; turn: Turn }) => {
  const { model, step, state, text, reasoning, tokens, body, error } = answer
  return (
    <article class="answer">
      <header class="muted">{versionOf(model, step)}</header>
      {state === 'waiting' && <p class="muted">{waitingText(model)}</p>}
      {reasoning !== '' && (
        <details class="reasoning" open>
          <summary>Reasoning</summary>
          <p class="written muted">{reasoning}</p>
        </details>
      )}
      {tokens.length > 0 ? <TokenText tokens={tokens} /> : text !== '' && <p class="written">{text}</p>}
      {state === 'done' && turn.mode.writes && text === '' && (
        <p class="muted">{reasoning === '' ? '(an empty text)' : '(no answer after the reasoning)'}</p>
      )}
      {state === 'done' && turn.mode.view?.(body, turn.question)}
      {error !== undefined && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
    </article>
  )
}

/** Two models may be the same, and a chat has many answers. @param index number of the turn, from 0 */
const labelOf = (model: string, place: number, index: number | undefined): string =>
  `Answer of ${nameOf(model)}${place > 0 ? ', second model' : ''}${index === undefined ? '' : `, turn ${index + 1}`}`

/** The answers of one model to one question: the newest, and the earlier ones below. */
const Pane = ({ turn, place, index }: { turn: Turn; place: number; index: number }) => {
  const answers = turn.answers[place]
  const newest = answers.at(-1)
  if (newest === undefined) return null
  const earlier = answers.slice(0, -1).reverse()
  return (
    <section class="panel pane" aria-label={labelOf(newest.model, place, turn.mode.chat ? index : undefined)}>
      <AnswerView answer={newest} turn={turn} />
      {earlier.length > 0 && (
        <details open>
          <summary>Earlier answers ({earlier.length})</summary>
          {earlier.map((answer) => (
            <AnswerView key={answer.number} answer={answer} turn={turn} />
          ))}
        </details>
      )}
    </section>
  )
}

export const Answers = ({ turns }: { turns: readonly Turn[] }) => (
  <div class="turns" aria-live="off">
    {turns.map((turn, index) => (
      <div key={turn.number} class="turn">
        {turn.mode.chat && <p class="said">{turn.question.text}</p>}
        <div class="panes">
          {turn.answers.map((_, place) => (
            <Pane key={place} turn={turn} place={place} index={index} />
          ))}
        </div>
      </div>
    ))}
  </div>
)
