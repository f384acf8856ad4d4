// A generated text whose tokens show what else could have been there: by the mouse, or by the arrow keys.
import { useSignal } from '@preact/signals'
import { useRef } from 'preact/hooks'
import type { ShownToken } from '../../../src/serving/studio/types/api-types.ts'
import { Bars } from './bars.tsx'

/** Keys that move from token to token. */
const moves: Record<string, number> = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }

/** Class of a token by its probability: the unlikely ones stand out. */
const rankOf = (logprob: number): string => {
  const share = Math.exp(logprob)
  return share >= 0.5 ? 'likely' : share >= 0.1 ? 'possible' : 'unlikely'
}

/** Signs of the usual invisible characters. */
const signs: Record<string, string> = { ' ': '␣', '\n': '↵', '\t': '→' }

/** A token as it can be read: what is invisible has a sign. */
const shown = (token: string): string =>
  token === ''
    ? '(empty)'
    : token.replace(
        /[\p{C}\p{Z}]/gu,
        (sign) => signs[sign] ?? `U+${sign.codePointAt(0)!.toString(16).padStart(4, '0')}`,
      )

/** Whether a token cannot be seen, so that a screen reader has nothing to say for it. */
const isInvisible = (token: string): boolean => /^[\p{C}\p{Z}\p{M}]*$/u.test(token)

export const TokenText = ({ tokens }: { tokens: readonly ShownToken[] }) => {
  const chosen = useSignal<number | undefined>(undefined)
  const group = useRef<HTMLDivElement>(null)
  const at = chosen.value ?? 0
  const token = chosen.value === undefined ? undefined : tokens[chosen.value]
  const move = (event: KeyboardEvent) => {
    const step = moves[event.key]
    if (step === undefined) return
    event.preventDefault()
    const next = Math.max(0, Math.min(tokens.length - 1, at + step))
    chosen.value = next
    ;(group.current?.children[next] as HTMLElement | undefined)?.focus()
  }
  const chances =
    token === undefined
      ? []
      : [token, ...token.alternatives.filter((one) => one.token !== token.token)].sort((a, b) => b.logprob - a.logprob)
  return (
    <>
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset is for fields of a form */}
      <div ref={group} class="tokens" role="group" aria-label="Tokens of the answer" onKeyDown={move}>
        {tokens.map((each, i) => (
          <button
            key={i}
            type="button"
            class={`token ${rankOf(each.logprob)}`}
            tabIndex={i === Math.min(at, tokens.length - 1) ? 0 : -1}
            aria-pressed={i === chosen.value}
            aria-label={isInvisible(each.token) ? shown(each.token) : undefined}
            onMouseEnter={() => {
              chosen.value = i
            }}
            onFocus={() => {
              chosen.value = i
            }}
          >
            {each.token.startsWith('bytes:') ? '\ufffd' : each.token}
          </button>
        ))}
      </div>
      {token === undefined ? (
        <p class="muted">
          Underlined tokens were unlikely: dotted below 50 %, solid below 10 %. Point at a token, or use the arrow keys,
          to see what else could have been there.
        </p>
      ) : (
        <div class="alternatives" role="status">
          <Bars
            label={`Likeliest tokens in place of ${shown(token.token)}`}
            bars={chances.map((one) => ({
              name: shown(one.token),
              share: Math.exp(one.logprob),
              strong: one.token === token.token,
            }))}
          />
        </div>
      )}
    </>
  )
}
