// The texts that the model wrote during training, on a slider over the steps: two steps side by side.
import type { RunSamples } from '../../../src/serving/studio/types/api-types.ts'
import { runPath } from '../../api.ts'
import { Show, useJson } from '../../parts/loading.tsx'
import { queryNumber, setQuery } from '../../router.ts'

/** The index of the step nearest to a wanted one. */
const indexOf = (steps: readonly number[], wanted: number | undefined, otherwise: number): number => {
  if (wanted === undefined) return otherwise
  const distance = (at: number) => Math.abs(steps[at] - wanted)
  return steps.reduce((best, _, i) => (distance(i) < distance(best) ? i : best), 0)
}

export const Samples = ({ id, version }: { id: string; version: number }) => {
  const all = useJson<RunSamples>(runPath(id, '/samples'), version)
  return (
    <Show of={all.value}>
      {({ steps }) =>
        steps.length === 0 ? (
          <p class="muted">This run has written no samples. Set `sample.steps` in its recipe to have some.</p>
        ) : (
          <Compared id={id} steps={steps} />
        )
      }
    </Show>
  )
}

const Compared = ({ id, steps }: { id: string; steps: readonly number[] }) => {
  const left = indexOf(steps, queryNumber('left'), 0)
  const right = indexOf(steps, queryNumber('right'), steps.length - 1)
  const texts = useJson<RunSamples>(runPath(id, `/samples?steps=${steps[left]},${steps[right]}`))
  const slider = (name: 'left' | 'right', index: number) => (
    <label class="slider">
      Step <strong>{steps[index]}</strong>
      <input
        type="range"
        min="0"
        max={steps.length - 1}
        value={index}
        aria-valuetext={`step ${steps[index]}`}
        aria-label={name === 'left' ? 'Step on the left' : 'Step on the right'}
        onInput={({ currentTarget: { value } }) => setQuery({ [name]: String(steps[Number(value)]) })}
      />
    </label>
  )
  return (
    <Show of={texts.value}>
      {({ samples: [a, b] }) => (
        <div class="pair">
          <div class="panel">
            {slider('left', left)}
            <Texts texts={a?.texts ?? []} />
          </div>
          <div class="panel">
            {slider('right', right)}
            <Texts texts={b?.texts ?? []} />
          </div>
        </div>
      )}
    </Show>
  )
}

const Texts = ({ texts }: { texts: RunSamples['samples'][number]['texts'] }) => (
  <ol class="samples">
    {texts.map(({ prompt, text }, i) => (
      <li key={i}>
        <p class="tokens">
          {prompt !== null && <span class="muted">{prompt}</span>}
          {/* Some tokenizers have no space before a word: the texts keep apart by their distance. */}
          <span class={prompt !== null && /^\S/.test(text) ? 'continued' : undefined}>{text}</span>
        </p>
      </li>
    ))}
  </ol>
)
